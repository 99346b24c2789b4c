"""E-mail: the message, and every attachment by its own parser."""

from email.headerregistry import HeaderRegistry
from email.message import EmailMessage

import docx
import pytest

from dreamhub.errors import InvalidInputError, TooLargeError
from dreamhub_worker.extract.mail import MAX_DEPTH, MAX_PARTS, MAX_VALUE, extract_mail
from tests.unit.worker.office import outline, place_of, saved
from tests.unit.worker.pdfs import BODY, typeset

PNG = b"\x89PNG\r\n\x1a\n" + bytes(64)


def message(text: str = "See the files.", subject: str = "Dovolená 2026") -> EmailMessage:
    made = EmailMessage()
    made["From"] = "Eva Nová <eva@acme.cz>"
    made["To"] = "jan@acme.cz"
    made["Subject"] = subject
    made["Date"] = "Mon, 05 Jan 2026 10:00:00 +0100"
    made.set_content(text)
    return made


def attach(made: EmailMessage, name: str, data: bytes, media_type: str = "application/octet-stream") -> None:
    main, sub = media_type.split("/")
    made.add_attachment(data, maintype=main, subtype=sub, filename=name)


def handbook() -> bytes:
    document = docx.Document()
    document.add_heading("Leave", 1)
    document.add_paragraph("Thirty days.")
    document.add_heading("Pay", 1)
    document.add_paragraph("Monthly.")
    return saved(document)


def test_a_message_says_who_wrote_what_and_when() -> None:
    made = message("Ahoj,\nviz přílohy.\n")
    made.add_alternative("<p>Ahoj</p>", subtype="html")
    extracted = extract_mail(made.as_bytes())
    assert extracted.title == "Dovolená 2026"
    [(path, text)] = outline(extracted)
    assert path == ()
    assert text.splitlines() == [
        "From: Eva Nová <eva@acme.cz>",
        "To: jan@acme.cz",
        "Date: 2026-01-05 10:00+01:00",
        "Subject: Dovolená 2026",
        "",
        "Ahoj,",
        "viz přílohy.",
    ]


def test_each_attachment_is_read_by_its_own_parser_under_its_name() -> None:
    made = message()
    attach(made, "plan.pdf", typeset([[(BODY, "Page one.")], [(BODY, "Page two.")]]), "application/pdf")
    attach(made, "Handbuch.docx", handbook())
    attach(made, "prices.csv", b"Item,Price\nPump,30\n", "text/csv")
    extracted = extract_mail(made.as_bytes())
    assert [path for path, _ in outline(extracted)] == [
        (),
        ("plan.pdf",),
        ("Handbuch.docx", "Leave"),
        ("Handbuch.docx", "Pay"),
        ("prices.csv",),
    ]
    places = [place_of(extracted, words) for words in ("See the", "Page two", "Thirty", "Pump")]
    assert places == [None, ("page", 2), None, ("row", 2)]
    assert extracted.pages == 2


def test_what_cannot_be_read_is_named_with_the_reason_and_takes_nothing_with_it() -> None:
    made = message()
    made.add_related(PNG, "image", "png", cid="<logo>")
    attach(made, "all.zip", b"PK\x03\x04" + bytes(80), "application/zip")
    attach(made, "setup.txt", b"MZ" + bytes(80), "text/plain")
    attach(made, "photo.png", PNG, "image/png")
    attach(made, "notes.txt", b"Good words.", "text/plain")
    extracted = extract_mail(made.as_bytes())
    [(_, body), (path, text)] = outline(extracted)
    assert (path, text) == (("notes.txt",), "Good words.")
    unread = body.partition("Attachments that could not be read:\n")[2].splitlines()
    assert [line.split(" (")[0] for line in unread] == ["- all.zip", "- setup.txt", "- photo.png"]
    assert "executables are never accepted" in unread[1]


def test_a_message_in_a_message_is_read_as_deep_as_is_allowed() -> None:
    made = message("the innermost", "level 0")
    for level in range(1, MAX_DEPTH + 2):
        outer = message(f"text {level}", f"level {level}")
        outer.add_attachment(made)
        made = outer
    extracted = extract_mail(made.as_bytes())
    paths = [path for path, _ in outline(extracted)]
    assert paths == [(), ("level 3",), ("level 3", "level 2")]
    assert f"{MAX_DEPTH} deep" in extracted.text
    assert "the innermost" not in extracted.text


def test_a_message_of_html_alone_is_read() -> None:
    made = EmailMessage()
    made["Subject"] = "News"
    made.set_content("<html><body><h1>News</h1><p>We open at nine o'clock.</p></body></html>", subtype="html")
    assert "We open at nine" in extract_mail(made.as_bytes()).text


@pytest.mark.parametrize(
    ("charset", "encoding"), [("gb2312", "gb18030"), ("iso-2022-jp", "iso2022_jp"), ("x-unknown", "utf-8")]
)
def test_bodies_in_old_charsets(charset: str, encoding: str) -> None:
    text = "年" * 30
    data = f"Subject: x\r\nContent-Type: text/plain; charset={charset}\r\n\r\n".encode() + text.encode(encoding)
    assert text in extract_mail(data).text


def test_a_wrong_charset_does_not_lose_the_message() -> None:
    data = b"Subject: x\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nbefore \xff\xfe\xfd after\r\n"
    assert "before" in extract_mail(data).text


@pytest.mark.parametrize(
    "header",
    [
        b'Content-Disposition: attachment; filename="=?x?q?',
        b"Content-Type: multipart/mixed",
        b"Date: Xyz, 99 Abc 0000",
        b"Subject: =?utf-8?b?????=",
        b"From: <<>>,,\x00@",
        b"Content-Transfer-Encoding: nonsense",
    ],
)
def test_broken_headers_are_survived(header: bytes) -> None:
    assert "body words" in extract_mail(b"To: a@b.cz\r\n" + header + b"\r\n\r\nbody words\r\n").text


def test_a_message_of_too_many_parts_is_refused() -> None:
    made = message()
    for number in range(MAX_PARTS + 1):
        attach(made, f"{number}.txt", b"x", "text/plain")
    with pytest.raises(TooLargeError):
        extract_mail(made.as_bytes())


def test_attachments_share_one_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dreamhub_worker.extract.text.MAX_CHARACTERS", 3_000)
    made = message()
    for number in range(4):
        attach(made, f"{number}.txt", b"word " * 200, "text/plain")
    with pytest.raises(TooLargeError):
        extract_mail(made.as_bytes())


def test_a_header_of_a_megabyte_and_an_empty_message_are_refused() -> None:
    with pytest.raises(TooLargeError):
        extract_mail(b"X-Long: " + b"x" * 1_100_000 + b"\r\n\r\nbody")
    with pytest.raises(InvalidInputError) as caught:
        extract_mail(b"X-Only: this\r\n\r\n \r\n")
    assert caught.value.code == "BadMail"


def test_headers_are_cut_before_they_are_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    parse = HeaderRegistry.__call__

    def count(self: HeaderRegistry, name: str, value: str) -> object:
        asked.append(len(value))
        return parse(self, name, value)

    monkeypatch.setattr(HeaderRegistry, "__call__", count)
    long = b"=?utf-8?Q?a?= " * 10_000
    inner = b"Subject: " + long + b"\r\n\r\nInner."
    data = b"Subject: " + long + b"\r\nTo: " + long + b"\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
    data += b"--b\r\nContent-Type: message/rfc822\r\n\r\n" + inner + b"\r\n--b--\r\n"
    extracted = extract_mail(data)
    assert extracted.title
    assert extracted.title.startswith("aaaa")
    assert "Inner." in extracted.text
    assert max(asked) <= MAX_VALUE

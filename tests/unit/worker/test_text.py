"""Bytes to text: what they say, else what they surely are, else an error that names the place."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dreamhub.errors import InvalidInputError
from dreamhub_worker.extract.text import clean, decode, extract_text, first_line_title


@given(st.text(st.characters(exclude_categories=["Cc", "Cn", "Cs"])))
def test_utf8_is_read_with_and_without_a_mark(text: str) -> None:
    data = text.encode()
    assert decode(b"\xef\xbb\xbf" + data) == text


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "utf-32", "utf-16-le", "utf-16-be", "utf-32-be"])
def test_every_form_of_unicode_is_read(encoding: str) -> None:
    assert decode("Grüße 漢字\n".encode(encoding)) == "Grüße 漢字\n"


def test_a_declared_encoding_is_believed_and_checked() -> None:
    assert decode("Größe".encode("latin-1"), "ISO-8859-1") == "Größe"
    with pytest.raises(InvalidInputError, match="byte 1 ") as caught:
        decode(b"a\xff\xff", "gb18030")
    assert caught.value.code == "InvalidEncoding"


def test_an_unknown_declared_encoding_means_utf8() -> None:
    assert decode("é".encode(), "no-such-thing") == "é"


@pytest.mark.parametrize(
    ("data", "offset"),
    [
        (b"caf\xe8", 3),
        (b"\xc3\xa9\xc3\xa1 caf\xe9 \xc4\x8d", 8),
        (b"\xef\xbb\xbfab\xff", 5),
        (b"\xff\xfeA\0\x00\xd8", 4),
        (b"ok\xc3", 2),
    ],
)
def test_the_first_bad_byte_is_named(data: bytes, offset: int) -> None:
    with pytest.raises(InvalidInputError, match=f"byte {offset} ") as caught:
        decode(data)
    assert caught.value.code == "InvalidEncoding"
    assert "UTF-8" in caught.value.message


CHINESE = "本公司员工每年享有三十天带薪年假。未使用的假期可以结转到次年三月底。"
TRADITIONAL = "本公司員工每年享有三十天帶薪年假。未使用的假期可以結轉到次年三月底。"
JAPANESE = "当社の従業員は毎年三十日の有給休暇を取得できます。"
KOREAN = "우리 회사의 직원은 매년 삼십 일의 유급 휴가를 받습니다."
CZECH = "Každý zaměstnanec má nárok na třicet dní placené dovolené v každém kalendářním roce."
RUSSIAN = "Каждый сотрудник имеет право на тридцать дней оплачиваемого отпуска."


NOISE = b"".join(sha256(bytes([at])).digest() for at in range(90)).translate(None, bytes(range(32)) + b"\x7f")


@pytest.mark.parametrize("times", [1, 200])
@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (CHINESE, "gb18030"),
        (CHINESE, "gbk"),
        (TRADITIONAL, "big5"),
        (JAPANESE, "shift_jis"),
        (JAPANESE, "euc_jp"),
        (JAPANESE, "iso2022_jp"),
        (KOREAN, "euc_kr"),
        (CZECH, "cp1250"),
        (CZECH, "iso8859-2"),
        (RUSSIAN, "cp1251"),
        (RUSSIAN, "koi8-r"),
        ("Größe und Gewicht der Geräte müssen überprüft werden.", "cp1252"),
        ("It\u2019s the company\u2019s \u201cpolicy\u201d \u2014 as of today.", "cp1252"),
        ("Κάθε εργαζόμενος δικαιούται τριάντα ημέρες άδειας κάθε έτος.", "iso8859-7"),
        ("Çal\u0131\u015fanlar için izin süresi bu y\u0131l otuz gündür.", "cp1254"),
        ("พนักงานทุกคนมีสิทธิลาพักร้อนสามสิบวันต่อปี", "tis-620"),
        ("Name,Ort\nMüller,Brno\n", "cp1252"),
    ],
)
def test_old_encodings_are_recognised(text: str, encoding: str, times: int) -> None:
    text = (text + "\n") * times
    assert decode(text.encode(encoding)) == text


def test_a_letter_far_behind_is_found() -> None:
    text = "plain words\n" * 50_000 + CHINESE * 100
    assert decode(text.encode("gb18030")) == text


@pytest.mark.parametrize(
    "data",
    [NOISE, "Größe der Geräte ".encode() * 30 + b"\xe9t\xe9", b"\x80\x81\x82 x", CZECH.encode()[:-1] + b"\xc5"],
    ids=["random letters", "nearly UTF-8", "no text", "cut in a letter"],
)
def test_a_doubtful_guess_is_none(data: bytes) -> None:
    with pytest.raises(InvalidInputError) as caught:
        decode(data)
    assert caught.value.code == "InvalidEncoding"


@pytest.mark.parametrize("name", ["punycode", "idna", "hex", "unicode_escape", "utf-7", "rot13"])
def test_what_is_no_encoding_of_text_is_not_believed(name: str) -> None:
    assert decode(b"+AGE-\\u0041 x--y", name) == "+AGE-\\u0041 x--y"


def test_rubbish_behind_a_harmless_beginning_is_no_text() -> None:
    with pytest.raises(InvalidInputError) as caught:
        decode(b"words " * 2_000 + bytes(range(1, 9)) * 500)
    assert caught.value.code == "NotText"


def test_newlines_become_one_kind_and_nul_goes() -> None:
    assert clean("a\r\nb\rc\0d\ud800") == "a\nb\ncd?"


@pytest.mark.parametrize("data", [b" ", b"\n\t\r\n", "\u3000".encode()])
def test_white_space_is_no_text(data: bytes) -> None:
    with pytest.raises(InvalidInputError) as caught:
        extract_text(data)
    assert caught.value.code == "NoText"


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("Safety rules\n\nWear a helmet.", "Safety rules"),
        ("\n\n  Safety rules  \n \nWear a helmet.", "Safety rules"),
        ("This is a sentence.\n\nAnd more.", None),
        ("这是一个句子。\n\n下一句", None),
        ("first line\nsecond line", None),
        ("x" * 200 + "\n\nbody", None),
        ("only one line", None),
    ],
)
def test_a_first_line_that_stands_alone_is_the_title(text: str, title: str | None) -> None:
    assert first_line_title(text) == title

"""XML that only attacks need is refused before a parser sees it."""

import pytest

from dreamhub.errors import InvalidInputError, TooLargeError
from dreamhub_worker.xml_guard import MAX_DEPTH, MAX_TOKEN_BYTES, check_xml, check_xml_pieces

LAUGHS = b'<!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]><l>&b;</l>'


def code_of(data: bytes) -> str:
    with pytest.raises(InvalidInputError) as caught:
        check_xml(data)
    return caught.value.code


@pytest.mark.parametrize(
    "data",
    [
        b"<a/>",
        b'\xef\xbb\xbf<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n<a b="c">&amp; &#228; <![CDATA[<]]></a>',
        '<?xml version="1.0" encoding="UTF-16"?><a>\u00e4</a>'.encode("utf-16"),
        b"<a>" * MAX_DEPTH + b"</a>" * MAX_DEPTH,
        b"<a>" + b"<b/>" * 100_000 + b"</a>",
        b"<a>" + b"words " * 3_000_000 + b"</a>",
    ],
    ids=["empty", "declared", "utf-16", "deepest", "wide", "long text"],
)
def test_what_office_programs_write_passes(data: bytes) -> None:
    check_xml(data)


@pytest.mark.parametrize(
    "data",
    [
        LAUGHS,
        LAUGHS.decode().encode("utf-16"),
        LAUGHS.decode().encode("utf-16-be"),
        b'<!DOCTYPE l SYSTEM "http://evil.example/x.dtd"><l/>',
        b'<!DOCTYPE l [<!ENTITY x SYSTEM "file:///etc/passwd">]><l>&x;</l>',
        b'<!DOCTYPE l [<!ENTITY % x SYSTEM "http://evil.example/x">%x;]><l/>',
        b"<!-- calm --><?calm?><!DOCTYPE l><l/>",
    ],
)
def test_no_document_type_is_accepted(data: bytes) -> None:
    assert code_of(data) == "UnsafeXML"


@pytest.mark.parametrize(
    "data", [b"", b"  ", b"<a>", b"<a></b>", b"words", b"<a>&b;</a>", b"<a/><a/>", b"\xff\xff", b"<a b=1/>", b"\0<a/>"]
)
def test_xml_that_is_not_well_formed(data: bytes) -> None:
    assert code_of(data) == "CorruptDocument"


@pytest.mark.parametrize("encoding", [b"x-nonesuch", b"utf-7", b"base64"])
def test_an_unknown_encoding_is_no_bug(encoding: bytes) -> None:
    assert code_of(b'<?xml version="1.0" encoding="' + encoding + b'"?><a>+AGE-</a>') == "CorruptDocument"


def test_depth_ends_at_the_limit_without_reading_on() -> None:
    def endless() -> "list[bytes]":
        return [b"<a>" * 1_000] * 1_000

    with pytest.raises(InvalidInputError) as caught:
        check_xml_pieces(endless())
    assert caught.value.code == "ExtractionTooDeep"


@pytest.mark.parametrize("opening", [b'<a b="', b"<!--", b"<", b"<?a "])
def test_an_endless_token_is_not_read_to_its_end(opening: bytes) -> None:
    given = 0

    def pieces() -> "list[bytes]":
        nonlocal given
        given = 64
        return [opening, *[b"x" * 2**20] * given]

    with pytest.raises(InvalidInputError) as caught:
        check_xml_pieces(pieces())
    assert caught.value.code == "UnsafeXML"
    assert f"{MAX_TOKEN_BYTES:,}" in caught.value.message


@pytest.mark.parametrize(
    "data", [b"<a>" + b"<b/>" * 20 + b"</a>", b"<a " + b" ".join(b'x%d=""' % n for n in range(20)) + b"/>"]
)
def test_a_tree_has_a_number_of_nodes(data: bytes) -> None:
    check_xml(data)
    check_xml(data, 21)
    with pytest.raises(TooLargeError):
        check_xml(data, 20)

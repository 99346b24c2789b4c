"""Bytes to text, never by guessing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dreamhub.errors import InvalidInputError
from dreamhub_worker.extract.text import clean, decode, extract_text, first_line_title


@given(st.text(st.characters(exclude_categories=["Cc", "Cn", "Cs"])))
def test_utf8_is_read_with_and_without_a_mark(text: str) -> None:
    data = text.encode()
    assert decode(b"\xef\xbb\xbf" + data) == text


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_marked_encodings_are_read(encoding: str) -> None:
    assert decode("Grüße 漢字".encode(encoding)) == "Grüße 漢字"


def test_a_declared_encoding_is_believed_and_checked() -> None:
    assert decode("Größe".encode("latin-1"), "ISO-8859-1") == "Größe"
    with pytest.raises(InvalidInputError, match="byte 1 ") as caught:
        decode(b"a\xff\xff", "gb18030")
    assert caught.value.code == "InvalidEncoding"


def test_an_unknown_declared_encoding_means_utf8() -> None:
    assert decode("é".encode(), "no-such-thing") == "é"


@pytest.mark.parametrize(
    ("data", "offset"), [(b"caf\xe9", 3), (b"\xef\xbb\xbfab\xff", 5), (b"\xff\xfeA\0\x00\xd8", 4), (b"ok\xc3", 2)]
)
def test_the_first_bad_byte_is_named(data: bytes, offset: int) -> None:
    with pytest.raises(InvalidInputError, match=f"byte {offset} ") as caught:
        decode(data)
    assert caught.value.code == "InvalidEncoding"
    assert "UTF-8" in caught.value.message


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

"""JSON as text: every value once, in pieces that say what they belong to."""

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dreamhub.errors import InvalidInputError
from dreamhub_worker.chunking import MAX_TOKENS, estimate_tokens, split
from dreamhub_worker.extract.json_values import extract_json, extract_json_lines
from tests.unit.worker.office import outline

WORDS = st.text("abc é漢", min_size=1, max_size=40)
VALUES: st.SearchStrategy[Any] = st.recursive(
    WORDS | st.integers(-9, 9) | st.booleans(),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(WORDS, inner, max_size=6),
    max_leaves=60,
)


def read(value: object) -> list[tuple[tuple[str, ...], str]]:
    return outline(extract_json(json.dumps(value, ensure_ascii=False).encode()))


def test_a_small_value_is_one_piece_that_reads_like_a_list() -> None:
    value = {"name": "Acme", "address": {"city": "Brno", "zip": None}, "tags": ["a", {"b": 1}], "open": True, "x": []}
    assert read(value) == [((), "name: Acme\naddress:\n  city: Brno\n  zip: \ntags:\n  - a\n  - b: 1\nopen: true\nx:")]


def test_a_large_one_is_cut_where_its_structure_is() -> None:
    people = [{"name": f"Person {at}", "about": "words " * 60} for at in range(6)]
    sections = read({"people": people, "company": "Acme", "site": {"city": "Brno"}})
    assert sections[0] == ((), "company: Acme\nsite:\n  city: Brno")
    assert {path for path, _ in sections[1:]} == {("people",)}
    assert [text.count("name: Person") for _, text in sections[1:]] == [2, 2, 2]


def test_a_value_deep_inside_has_the_names_above_as_headings() -> None:
    sections = read({"a": {"b": [{"note": f"{at} " + "long words " * 100} for at in range(3)]}})
    assert sections[0][0] == ("a", "b", "1")
    assert sections[0][1].startswith("note: 0 long words")
    assert [path for path, _ in sections] == [("a", "b", "1"), ("a", "b", "2"), ("a", "b", "3")]


@given(VALUES)
def test_every_text_comes_once(value: Any) -> None:
    marked = {"first": "start", "value": value}
    text = extract_json(orjson.dumps(marked)).text
    for words in leaves(value):
        assert words.strip() in text or not words.strip()


def leaves(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for item in value.values() for text in leaves(item)]
    if isinstance(value, list):
        return [text for item in value for text in leaves(item)]
    return [value] if isinstance(value, str) else []


def test_lines_are_placed_and_never_cut_while_they_fit() -> None:
    records = [{"id": at, "text": f"record {at} " + "words " * 40} for at in range(20)]
    data = "\n".join(json.dumps(record) for record in records).encode()
    for extracted in (extract_json_lines(data), extract_json(data)):
        pieces = list(split(extracted))
        assert {piece.unit for piece in pieces} == {"line"}
        for piece in pieces:
            assert piece.page is not None
            assert piece.text.startswith(f"id: {piece.page - 1}\n")
            assert estimate_tokens(piece.text) <= MAX_TOKENS
        assert sum(piece.text.count("id: ") for piece in pieces) == 20


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32", "utf-16-le"])
def test_any_unicode_is_read(encoding: str) -> None:
    assert "city: Plzeň" in extract_json('{"city": "Plzeň"}'.encode(encoding)).text


@pytest.mark.parametrize(
    ("data", "code", "told"),
    [
        (b'{"a": 1,\n"b": }', "BadJSON", "line 2"),
        (b'{"a": 1}\n{"b": }\n', "BadJSON", "line 2"),
        (b"[" * 300 + b"]" * 300, "ExtractionTooDeep", "nested"),
        (b'{"a":' * 5_000 + b"1" + b"}" * 5_000, "BadJSON", "line 1"),
        (b"{}", "NoText", "no text"),
        (b" \n", "NoText", "no text"),
    ],
    ids=["broken", "a broken line", "deep", "deeper than the parser goes", "empty", "blank"],
)
def test_why_json_is_refused(data: bytes, code: str, told: str) -> None:
    with pytest.raises(InvalidInputError, match=told) as caught:
        extract_json(data)
    assert caught.value.code == code

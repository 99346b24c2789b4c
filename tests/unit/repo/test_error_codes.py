import ast
from textwrap import dedent

import pytest

from hack.checks.error_codes import Code, read_codes, render, sentence_of


def codes(source: str) -> list[Code]:
    return sorted(read_codes(ast.parse(dedent(source))))


@pytest.mark.parametrize(
    ("literal", "sentence"),
    [
        ("'plain'", "plain"),
        ("f'at most {limit} pages; split it'", "at most … pages; split it"),
        ("'joined ' + f'{part}'", "joined …"),
        ("message", "…"),
    ],
)
def test_sentences(literal: str, sentence: str) -> None:
    assert sentence_of(ast.parse(literal, mode="eval").body) == sentence


def test_a_code_given_as_a_word() -> None:
    assert codes("raise InvalidInputError('no pages', code='EmptyDocument')") == [
        Code(400, "EmptyDocument", "no pages")
    ]


def test_a_class_has_a_code_of_its_own() -> None:
    assert codes("raise errors.NotFoundError('gone')") == [Code(404, "NotFound", "gone")]


def test_a_code_that_a_function_passes_on() -> None:
    found = codes(
        """
        def refuse(head, code, advice):
            raise UnsupportedTypeError(f"the file is {head}; {advice}", code=code)

        refuse(head, "ArchiveFile", "unpack it")
        refuse(head, "ExecutableFile", "never")
        """
    )
    assert found == [Code(415, "ArchiveFile", "the file is …; …"), Code(415, "ExecutableFile", "the file is …; …")]


def test_what_is_not_an_error_is_left_out() -> None:
    assert codes("Response('text', code='X')") == []


def test_the_page_has_one_row_for_each_code() -> None:
    page = render([Code(400, "EmptyFile", "one"), Code(400, "EmptyFile", "two"), Code(400, "EmptyFile", "…")])
    assert "## 400 Bad Request" in page
    assert "| `EmptyFile` | one<br>two |" in page

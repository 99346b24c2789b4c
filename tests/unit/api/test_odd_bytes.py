"""Bytes that no honest client sends get a clear refusal, not a traceback."""

import pytest

from dreamhub.errors import InvalidInputError, UnauthenticatedError
from dreamhub_api.auth.tokens import read_bearer
from dreamhub_api.handlers.documents import _base_name


def test_a_token_is_ascii() -> None:
    with pytest.raises(UnauthenticatedError) as refused:
        read_bearer("Bearer a.b.\udcff")
    assert refused.value.code == "TokenMalformed"


@pytest.mark.parametrize("name", ["a\r\nb.txt", "a\x1b[31m.txt", "a\udcff.txt"])
def test_a_forms_file_name_is_printable(name: str) -> None:
    with pytest.raises(InvalidInputError, match="rename it"):
        _base_name(name)


@pytest.mark.parametrize(("name", "kept"), [("C:\\docs\\手册.md", "手册.md"), ("/x/a b.txt", "a b.txt"), ("", None)])
def test_folders_are_cut_from_a_forms_file_name(name: str, kept: str | None) -> None:
    assert _base_name(name) == kept

"""The Secret of a source as it is mounted."""

from pathlib import Path

import pytest

from dreamhub.errors import InvalidInputError
from dreamhub_worker.sources.credentials import read_secret


def test_entries_are_files_without_the_white_space_around(tmp_path: Path) -> None:
    (tmp_path / "username").write_text("ada\n")
    (tmp_path / "..data").mkdir()
    assert read_secret(tmp_path) == {"username": "ada"}


@pytest.mark.parametrize(("name", "data"), [("password", b"\xff"), ("..2026", b"hidden")])
def test_why_there_is_no_secret(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InvalidInputError) as failed:
        read_secret(tmp_path)
    assert failed.value.code == "SecretMissing"

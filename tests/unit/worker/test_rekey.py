"""What the re-encryption does before it has a database, and the mounted keys that it and workers read."""

import os
from pathlib import Path

import pytest

from dreamhub.domain.keys import DataKeys
from dreamhub.errors import InvalidInputError
from dreamhub_worker import rekey
from dreamhub_worker.failures import EXIT_PERMANENT, EXIT_TRANSIENT
from dreamhub_worker.key_file import KeyFile


async def test_a_secret_that_is_not_refreshed_yet_is_another_try(tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_text(DataKeys.generate().dump())
    environment = {"DREAMHUB_CREDENTIALS_DIR": str(tmp_path), "DREAMHUB_KEY_ID": "2"}
    assert await rekey.run(environment) == EXIT_TRANSIENT


@pytest.mark.parametrize("content", [None, "{}"])
async def test_a_bad_mount_is_not_tried_again(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "keys.json").write_text(content)
    assert await rekey.run({"DREAMHUB_CREDENTIALS_DIR": str(tmp_path)}) == EXIT_PERMANENT


def test_mounted_keys_are_taken_over_when_they_change(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    first, second = DataKeys.generate(), DataKeys.generate()
    path.write_text(first.dump())
    keys = KeyFile(path)
    assert keys.read() is keys.read()
    before = path.stat()
    path.write_text(second.dump())
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert keys.read() == second
    path.unlink()
    with pytest.raises(InvalidInputError, match=r"keys\.json"):
        keys.read()


def test_mounted_keys_do_not_show(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_text(DataKeys.generate().dump())
    keys = KeyFile(path)
    keys.read()
    assert "index" not in repr(keys)

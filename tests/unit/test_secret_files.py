"""Secrets in files: read whole, read together, and noticed when they change."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from dreamhub.errors import InvalidInputError
from dreamhub.secret_files import SecretWatch, read_secret, read_together, secret_source


def mount(folder: Path, number: int, **files: str) -> None:
    """As the kubelet does it: a new folder, then one move of the symlink `..data`."""
    generation = folder / f"..{number}"
    generation.mkdir()
    for name, text in files.items():
        (generation / name).write_text(text)
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(Path("..data") / name)
    (folder / "..data_tmp").symlink_to(generation.name)
    (folder / "..data_tmp").replace(folder / "..data")


def test_white_space_around_a_secret_is_no_part_of_it(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("\n pass word \n")
    assert read_secret(tmp_path / "a") == "pass word"


@pytest.mark.parametrize("content", [None, b"", b" \n", b"\xff"])
def test_what_cannot_be_a_secret_is_named_and_not_quoted(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "key").write_bytes(content)
    with pytest.raises(InvalidInputError) as caught:
        read_secret(tmp_path / "key")
    assert str(tmp_path / "key") in caught.value.message
    assert caught.value.code == "SecretMissing"


def test_a_moved_volume_is_read_anew(tmp_path: Path) -> None:
    mount(tmp_path, 1, url="one")
    source = secret_source(tmp_path / "url")
    assert source() == "one"
    mount(tmp_path, 2, url="two")
    assert source() == "two"


def test_two_keys_are_of_one_generation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mount(tmp_path, 1, access="a1", secret="s1")
    assert read_together(tmp_path, ("access", "secret")) == ("a1", "s1")
    real = read_secret

    def change_between(path: Path) -> str:
        text = real(path)
        if not (tmp_path / "..2").exists():
            mount(tmp_path, 2, access="a2", secret="s2")
        return text

    monkeypatch.setattr("dreamhub.secret_files.read_secret", change_between)
    assert read_together(tmp_path, ("access", "secret")) == ("a1", "s1")
    assert read_together(tmp_path, ("access", "secret")) == ("a2", "s2")


def test_plain_files_are_read_too(tmp_path: Path) -> None:
    (tmp_path / "access").write_text("a")
    assert read_together(tmp_path, ("access",)) == ("a",)
    with pytest.raises(InvalidInputError, match="secret"):
        read_together(tmp_path, ("access", "secret"))


class Calls:
    def __init__(self) -> None:
        self.number = 0
        self.event = asyncio.Event()

    async def __call__(self) -> None:
        self.number += 1
        self.event.set()


async def test_a_change_is_told_once(tmp_path: Path) -> None:
    mount(tmp_path, 1, url="one")
    calls, watch = Calls(), SecretWatch()
    watch.add("url", secret_source(tmp_path / "url"), calls)
    await watch.look()
    assert calls.number == 0
    mount(tmp_path, 2, url="two")
    await watch.look()
    await watch.look()
    assert calls.number == 1
    (tmp_path / "..2" / "url").unlink()
    await watch.look()
    assert calls.number == 1


async def test_what_could_not_be_taken_over_is_tried_again(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("one")
    tries: list[str] = []

    async def fail_once() -> None:
        tries.append((tmp_path / "url").read_text())
        if len(tries) == 1:
            raise RuntimeError("not now")

    watch = SecretWatch()
    watch.add("url", secret_source(tmp_path / "url"), fail_once)
    (tmp_path / "url").write_text("two")
    for _ in range(3):
        await watch.look()
    assert tries == ["two", "two"]


@pytest.mark.parametrize("seconds", [0.01, 3600.0])
async def test_a_look_comes_by_itself_or_by_a_signal(tmp_path: Path, seconds: float) -> None:
    (tmp_path / "url").write_text("one")
    calls, watch = Calls(), SecretWatch(seconds)
    watch.add("url", secret_source(tmp_path / "url"), calls)
    async with watch.running(), asyncio.timeout(30):
        (tmp_path / "url").write_text("two")
        if seconds > 1:
            os.kill(os.getpid(), signal.SIGHUP)
        await calls.event.wait()

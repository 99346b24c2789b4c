"""The extraction process itself: what it is denied, and how it is survived."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import pytest_asyncio

from dreamhub.errors import InvalidInputError, UnavailableError
from dreamhub_worker.allowance import ExtractionLimits
from dreamhub_worker.extractor import Extractor
from tests.integration.worker.support import eventually

MEGABYTE = 2**20
TIGHT = ExtractionLimits(cpu_seconds=0, wall_seconds=30, memory_bytes=400 * MEGABYTE)


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good"
    path.write_bytes(b"# Title\n\nSome words.\n")
    return path


@dataclass
class Pipe:
    """A file that never gives a byte: the child waits in the middle of a document."""

    path: Path
    writers: list[int] = field(default_factory=list)

    async def is_being_read(self) -> bool:
        """A reader has come when the writing end opens without waiting. Closing it would be the end of the file."""
        try:
            self.writers.append(os.open(self.path, os.O_WRONLY | os.O_NONBLOCK))
        except OSError:
            return False
        return True


@pytest.fixture
def stuck(tmp_path: Path) -> Iterator[Pipe]:
    pipe = Pipe(tmp_path / "stuck")
    os.mkfifo(pipe.path)
    yield pipe
    for writer in pipe.writers:
        os.close(writer)


@pytest_asyncio.fixture
async def extractor() -> AsyncIterator[Extractor]:
    async with Extractor(TIGHT) as running:
        yield running


def child_of(extractor: Extractor) -> int:
    assert extractor._child is not None
    return extractor._child.pid


def is_alive(process: int) -> bool:
    return Path(f"/proc/{process}").exists()


def read_proc(process: int, name: str) -> str:
    return Path(f"/proc/{process}/{name}").read_text()


async def refusal(extractor: Extractor, path: Path) -> str:
    with pytest.raises(InvalidInputError) as caught:
        await extractor.extract(path, "text/plain")
    return caught.value.code


async def test_one_process_serves_many_documents(extractor: Extractor, good: Path) -> None:
    child = child_of(extractor)
    for _ in range(3):
        assert (await extractor.extract(good, "text/markdown")).title == "Title"
    assert child_of(extractor) == child


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGKILL, signal.SIGXCPU])
async def test_a_crash_is_the_documents_fault_and_the_next_one_is_read(
    extractor: Extractor, good: Path, stuck: Pipe, number: signal.Signals
) -> None:
    extracting = asyncio.create_task(refusal(extractor, stuck.path))
    await eventually(stuck.is_being_read, "the child reads")
    os.kill(child_of(extractor), number)
    expected = {signal.SIGKILL: "ExtractionOutOfMemory", signal.SIGXCPU: "ExtractionTimeout"}
    assert await extracting == expected.get(number, "ParserCrashed")
    assert (await extractor.extract(good, "text/markdown")).title == "Title"


async def test_a_document_that_takes_too_long_is_given_up(good: Path, stuck: Pipe) -> None:
    async with Extractor(ExtractionLimits(wall_seconds=1)) as extractor:
        slow = child_of(extractor)
        assert await refusal(extractor, stuck.path) == "ExtractionTimeout"
        assert not is_alive(slow)
        extractor._limits = ExtractionLimits()  # however slow the machine is
        assert (await extractor.extract(good, "text/plain")).text


async def test_a_document_that_wants_too_much_memory_is_refused(
    extractor: Extractor, good: Path, tmp_path: Path
) -> None:
    """A file of holes, asked for in one piece: refused at once, however slow the machine is."""
    vast = tmp_path / "vast"
    vast.touch()
    os.truncate(vast, 1024 * MEGABYTE)
    assert await refusal(extractor, vast) == "ExtractionOutOfMemory"
    assert (await extractor.extract(good, "text/plain")).text


async def test_a_document_that_computes_too_long_is_refused(good: Path, tmp_path: Path) -> None:
    """With memory to spare, so that time is what runs out."""
    roomy = ExtractionLimits(cpu_seconds=0, wall_seconds=30, memory_bytes=4096 * MEGABYTE)
    heavy = tmp_path / "heavy"
    heavy.write_bytes(b"<html><body>" + b"<p>words <b>and <i>more</i></b> words</p>" * 60_000)
    async with Extractor(roomy) as extractor:
        with pytest.raises(InvalidInputError) as caught:
            await extractor.extract(heavy, "text/html")
        assert caught.value.code == "ExtractionTimeout"
        assert (await extractor.extract(good, "text/plain")).text


async def test_a_child_that_has_grown_is_replaced(good: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What a large document leaves behind would be missing for the next one."""
    grown = "import dreamhub_worker.extract_child as child\nchild._TOO_LARGE = 1\nchild.main()\n"
    (tmp_path / "grown_child.py").write_text(grown)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr("dreamhub_worker.extractor._CHILD", "grown_child")
    async with Extractor(TIGHT) as extractor:
        first = child_of(extractor)
        assert (await extractor.extract(good, "text/markdown")).title == "Title"
        assert not is_alive(first)
        assert (await extractor.extract(good, "text/markdown")).title == "Title"


async def test_the_child_holds_no_credentials_and_writes_no_files(
    extractor: Extractor, good: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DREAMHUB_SECRET", "hidden")
    async with Extractor(TIGHT) as later:
        await later.extract(good, "text/plain")
        environment, limits = read_proc(child_of(later), "environ"), read_proc(child_of(later), "limits")
    assert "DREAMHUB" not in environment
    assert [line.split()[3] for line in limits.splitlines() if line.startswith("Max file size")] == ["0"]
    assert [line.split()[4] for line in limits.splitlines() if line.startswith("Max core file size")] == ["0"]


async def test_a_cancelled_extraction_leaves_no_process(extractor: Extractor, stuck: Pipe) -> None:
    child = child_of(extractor)
    extracting = asyncio.create_task(extractor.extract(stuck.path, "text/plain"))
    await eventually(stuck.is_being_read, "the child reads")
    extracting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await extracting
    assert not is_alive(child)


async def test_the_child_ends_with_its_worker() -> None:
    extractor = Extractor(TIGHT)
    async with extractor:
        child = child_of(extractor)
    assert not is_alive(child)


async def test_a_process_that_cannot_start_is_no_documents_fault(good: Path) -> None:
    async with Extractor(ExtractionLimits(memory_bytes=2**70)) as extractor:
        with pytest.raises(UnavailableError) as caught:
            await extractor.extract(good, "text/plain")
    assert caught.value.code == "ExtractorUnavailable"

"""Every hostile file through the real extraction process: refused, in time, within its memory, the process alive."""

import asyncio
import hashlib
import resource
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from dreamhub.domain.media_types import sniff_bytes
from dreamhub.errors import UserError
from dreamhub_worker.extractor import Extractor
from hack.checks.error_codes import PAGE
from tests.hostile.case import Case
from tests.hostile.catalog import catalog
from tests.hostile.office import MAIN, WORDS, clean_parts
from tests.hostile.pdfs import words
from tests.hostile.zips import archive

ENOUGH = 200
SECONDS = 5.0
MEMORY = 512 * 2**20


@pytest_asyncio.fixture(scope="module")
async def extractor() -> AsyncIterator[Extractor]:
    """One for all, as in a worker, with a worker's limits."""
    async with Extractor() as running:
        yield running


@pytest.fixture
def original(tmp_path: Path) -> Path:
    return tmp_path / "original"


async def read(extractor: Extractor, path: Path, name: str, data: bytes, declared: str = "") -> str:
    """What could be found from now on. As the worker does: sniffed, then parsed."""
    media_type = sniff_bytes(data, name, declared)
    await asyncio.to_thread(path.write_bytes, data)
    return (await extractor.extract(path, media_type)).text


async def refusal(extractor: Extractor, path: Path, case: Case, data: bytes) -> str:
    with pytest.raises(UserError) as caught:
        await read(extractor, path, case.name, data, case.declared)
    assert case.name not in caught.value.message
    return caught.value.code


def used_seconds() -> float:
    """Processor time of all extraction processes that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def stop_watch(extractor: Extractor) -> tuple[float, int]:
    """Processor time so far, and the peak of memory since the last look."""
    child = extractor._child
    if child is None:
        return used_seconds(), 0
    fields = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()
    status = Path(f"/proc/{child.pid}/status").read_text()
    [peak] = [int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM")]
    Path(f"/proc/{child.pid}/clear_refs").write_text("5")
    return used_seconds() + (int(fields[11]) + int(fields[12])) / 100, peak


def test_there_are_enough_and_no_two_are_the_same() -> None:
    cases = catalog()
    files = {hashlib.sha256(case.name.encode() + case.declared.encode() + case.build()).digest() for case in cases}
    assert len({case.title for case in cases}) == len(cases)
    assert len(files) == len(cases) >= ENOUGH


def test_every_code_is_one_that_users_are_told_about() -> None:
    page = PAGE.read_text()
    used = {code for case in catalog() for code in case.codes}
    assert [code for code in sorted(used) if f"`{code}`" not in page] == []


@pytest.mark.parametrize("kind", MAIN)
async def test_the_same_file_without_its_attack_is_read(extractor: Extractor, original: Path, kind: str) -> None:
    """Else the refusals below would prove nothing."""
    assert WORDS in await read(extractor, original, f"report.{kind}", archive(clean_parts(kind)))


async def test_the_same_pdf_without_its_attack_is_read(extractor: Extractor, original: Path) -> None:
    assert WORDS in await read(extractor, original, "report.pdf", words())


@pytest.mark.parametrize("case", catalog(), ids=str)
async def test_a_hostile_file_is_refused(extractor: Extractor, original: Path, case: Case) -> None:
    data = case.build()
    await read(extractor, original, "warm.txt", b"some words")
    before, _ = stop_watch(extractor)

    code = await refusal(extractor, original, case, data)

    after, peak = stop_watch(extractor)
    assert code in case.codes
    assert after - before <= SECONDS
    assert peak <= MEMORY
    assert await read(extractor, original, "good.txt", b"some words") == "some words"

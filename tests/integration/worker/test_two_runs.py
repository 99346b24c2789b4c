"""Two IngestJobs on one document: the later waits for the earlier, whatever becomes of it."""

import asyncio
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest_asyncio

from dreamhub.domain.job_input import InputDocument, InputText
from dreamhub.llm.models import ModelList, ModelSettings
from dreamhub_worker.document import BATCH_CHUNKS
from tests.integration.llm.provider_server import DIMENSIONS, Provider, run_provider
from tests.integration.worker.support import Mount, Rig, eventually, spawn

MODEL = "gated"
TEXT = "\n\n".join(f"Paragraph {n}: " + "the river rises. " * 50 for n in range(2 * BATCH_CHUNKS - 100)).encode()


@dataclass
class Pair:
    """A rig whose model lets one batch pass at a time."""

    rig: Rig
    provider: Provider
    gate: asyncio.Semaphore

    def mount(self, *items: InputDocument | InputText, **fields: Any) -> Mount:
        entry = ModelSettings(
            name=MODEL, kind="embedding", endpoint=self.provider.endpoint, dimensions=DIMENSIONS, timeout_seconds=900
        )
        return self.rig.mount(*items, models=ModelList(models=(entry,)), model=MODEL, **fields)

    async def begin(self, mount: Mount) -> asyncio.subprocess.Process:
        """Start a worker, and wait until its first batch stands at the gate."""
        before = len(self.provider.requests)
        worker = await spawn(mount)

        async def waits() -> bool:
            return len(self.provider.requests) > before

        await eventually(waits, "the first batch is at the gate")
        return worker

    async def follow(self, mount: Mount) -> asyncio.subprocess.Process:
        """Start a worker, and wait until it has met the other's claim."""
        worker = await spawn(mount)
        assert worker.stdout is not None
        async with asyncio.timeout(120):
            async for line in worker.stdout:
                if b"document_waited_for" in line:
                    return worker
        raise AssertionError("the later worker took what the earlier one holds")

    def open(self) -> None:
        for _ in range(1_000):
            self.gate.release()

    async def forget(self, mount: Mount) -> None:
        """As if nothing had been heard of the run for long."""
        await self.rig.pool.execute(
            "UPDATE run_workers SET updated_at = now() - interval '1 hour' WHERE uid = $1", mount.job.uid
        )


@pytest_asyncio.fixture
async def pair(rig: Rig) -> AsyncIterator[Pair]:
    async with run_provider() as provider:
        gate = asyncio.Semaphore(0)
        provider.gate = gate
        yield Pair(rig, provider, gate)
        provider.gate = None


async def finished(pair: Pair, mount: Mount, worker: asyncio.subprocess.Process) -> tuple[str, int, int]:
    async with asyncio.timeout(120):
        assert await worker.wait() == 0
    progress = await pair.rig.progress(mount)
    return progress.state, progress.documents.done, progress.documents.skipped


async def test_the_later_waits_and_finds_the_work_done(pair: Pair) -> None:
    item = await pair.rig.upload("river.txt", TEXT)
    first, second = pair.mount(item), pair.mount(item)
    earlier = await pair.begin(first)
    later = await pair.follow(second)

    pair.open()

    assert await finished(pair, first, earlier) == ("Succeeded", 1, 0)
    assert await finished(pair, second, later) == ("Succeeded", 1, 1)
    assert len(pair.provider.requests) == 2, "each batch was embedded once"
    attempts = await pair.rig.pool.fetch("SELECT attempt FROM run_workers")
    assert [row["attempt"] for row in attempts] == [1, 1], "neither had to begin anew"


async def test_two_that_force_work_one_after_the_other(pair: Pair) -> None:
    item = await pair.rig.upload("river.txt", TEXT)
    first, second = pair.mount(item, force=True), pair.mount(item, force=True)
    earlier = await pair.begin(first)
    later = await pair.follow(second)

    pair.open()

    assert await finished(pair, first, earlier) == ("Succeeded", 1, 0)
    assert await finished(pair, second, later) == ("Succeeded", 1, 0)
    assert len(pair.provider.requests) == 4


async def test_the_later_goes_on_where_a_dead_one_was(pair: Pair) -> None:
    item = await pair.rig.upload("river.txt", TEXT)
    first, second = pair.mount(item), pair.mount(item)
    earlier = await pair.begin(first)
    pair.gate.release()

    async def stored() -> bool:
        return await pair.rig.count("SELECT count(*) FROM chunks") == BATCH_CHUNKS

    await eventually(stored, "a batch is stored")
    later = await pair.follow(second)
    earlier.send_signal(signal.SIGKILL)
    await earlier.wait()
    await pair.forget(first)
    pair.open()

    assert await finished(pair, second, later) == ("Succeeded", 1, 0)
    fences = await pair.rig.pool.fetch("SELECT fence FROM document_versions")
    assert [row["fence"] for row in fences] == [2], "taken over once"


async def test_a_next_attempt_of_the_same_run_waits_for_nothing(pair: Pair) -> None:
    item = await pair.rig.upload("river.txt", TEXT)
    first = pair.mount(item)
    earlier = await pair.begin(first)
    earlier.send_signal(signal.SIGKILL)
    await earlier.wait()
    again = await pair.begin(first)
    pair.open()
    assert await finished(pair, first, again) == ("Succeeded", 1, 0)


async def test_an_overtaken_attempt_claims_nothing_more(pair: Pair) -> None:
    """The older of two pods of one run comes to its next document only after the newer has begun."""
    items = [await pair.rig.upload(f"{name}.txt", f"{name} words".encode()) for name in ("one", "two")]
    mount = pair.mount(*items)
    older = await pair.begin(mount)
    await pair.rig.pool.execute("UPDATE run_workers SET attempt = attempt + 1")
    pair.open()
    async with asyncio.timeout(120):
        assert await older.wait() == 75
    fences = await pair.rig.pool.fetch("SELECT fence FROM document_versions ORDER BY fence")
    assert [row["fence"] for row in fences] == [0, 1]


async def test_a_worker_that_is_asked_to_stop_does_not_wait_on(pair: Pair) -> None:
    item = await pair.rig.upload("river.txt", TEXT)
    first, second = pair.mount(item), pair.mount(item)
    earlier = await pair.begin(first)
    later = await pair.follow(second)
    later.terminate()
    async with asyncio.timeout(120):
        assert await later.wait() == 75
    pair.open()
    assert await finished(pair, first, earlier) == ("Succeeded", 1, 0)

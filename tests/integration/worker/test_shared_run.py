"""Several workers on one run: what is killed, stalled, lost by Redis or delivered twice costs time and nothing else."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from redis.asyncio import Redis

from dreamhub import names
from dreamhub.llm.models import ModelList, ModelSettings
from dreamhub_worker.failures import MAX_DELIVERIES
from tests.integration.conftest import Database
from tests.integration.llm.provider_server import DIMENSIONS, Provider, run_provider
from tests.integration.sql.support import connected
from tests.integration.worker.support import Mount, Rig, eventually, spawn

DOCUMENTS = 12
WORKERS = 3
MODEL = "gated"
PATIENT = {"DREAMHUB_PATIENCE_SECONDS": "60"}


@dataclass
class Crew:
    """A run of several workers whose model lets one call pass at a time."""

    rig: Rig
    provider: Provider
    gate: asyncio.Semaphore
    redis: Redis
    mount: Mount
    tasks: list[asyncio.Task[int]] = field(default_factory=list)
    processes: list[asyncio.subprocess.Process] = field(default_factory=list)

    def start(self, index: int) -> asyncio.Task[int]:
        """A worker; one that is cancelled leaves everything as it was, as a killed one does."""
        worker = asyncio.create_task(self.rig.run(self.mount, JOB_COMPLETION_INDEX=str(index), **PATIENT))
        self.tasks.append(worker)
        return worker

    async def spawn(self, index: int) -> asyncio.subprocess.Process:
        """The same as a process of its own."""
        process = await spawn(self.mount, JOB_COMPLETION_INDEX=str(index), **PATIENT)
        self.processes.append(process)
        return process

    async def stall(self, process: asyncio.subprocess.Process, worker: int) -> None:
        """Stop a worker in the middle of a document, but not of a report: that would hold the run's row with it."""
        while True:
            os.kill(process.pid, signal.SIGSTOP)
            try:
                async with self.rig.pool.acquire() as conn, conn.transaction():
                    await conn.execute("SET LOCAL lock_timeout = '2s'")
                    await conn.execute("SELECT FROM ingest_runs FOR NO KEY UPDATE")
                    await conn.execute(
                        "UPDATE run_workers SET updated_at = now() - interval '1 hour' WHERE worker = $1", worker
                    )
            except asyncpg.LockNotAvailableError:
                os.kill(process.pid, signal.SIGCONT)
            else:
                return

    async def stop(self) -> None:
        """Whatever a test has left."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        for process in self.processes:
            if process.returncode is None:
                process.kill()
                await process.wait()

    async def waiting(self, calls: int) -> None:
        async def reached() -> bool:
            return len(self.provider.requests) >= calls

        await eventually(reached, f"{calls} calls stand at the gate")

    async def pass_on(self, documents: int) -> None:
        """So many to their end. A call of a worker that somebody else was quicker than takes a turn as well."""
        async with asyncio.timeout(120):
            while (done := await self.count_done()) < documents:
                self.gate.release()
                until = time.monotonic() + 5
                while await self.count_done() == done and time.monotonic() < until:
                    await asyncio.sleep(0.01)

    async def count_done(self) -> int:
        return await self.rig.count("SELECT count(*) FROM work_items WHERE state = 'Done'")

    async def count_deliveries(self) -> int:
        return await self.rig.count("SELECT max(deliveries) FROM work_items")

    def open(self) -> None:
        for _ in range(1_000):
            self.gate.release()

    async def ended(self, *workers: asyncio.Task[int]) -> None:
        async with asyncio.timeout(90):
            assert [await worker for worker in workers] == [0] * len(workers)

    async def check(self) -> None:
        """Every document once, and counted once."""
        progress = await self.rig.progress(self.mount)
        counts = progress.documents
        assert (progress.state, counts.total, counts.done, counts.failed) == ("Succeeded", DOCUMENTS, DOCUMENTS, 0)
        chunks = await self.rig.count("SELECT count(*) FROM chunks")
        assert chunks == DOCUMENTS == progress.chunks
        assert await self.rig.count("SELECT sum(chunks)::int FROM index_generations") == chunks
        assert await self.count_done() == DOCUMENTS


@pytest_asyncio.fixture
async def crew(rig: Rig, redis_admin: Redis) -> AsyncIterator[Crew]:
    items = [await rig.upload(f"{n}.txt", f"words {n}".encode()) for n in range(DOCUMENTS)]
    async with run_provider() as provider:
        gate = asyncio.Semaphore(0)
        provider.gate = gate
        entry = ModelSettings(
            name=MODEL, kind="embedding", endpoint=provider.endpoint, dimensions=DIMENSIONS, timeout_seconds=900
        )
        mount = rig.mount(*items, models=ModelList(models=(entry,)), model=MODEL, parallelism=WORKERS)
        crew = Crew(rig, provider, gate, redis_admin, mount)
        yield crew
        await crew.stop()
        provider.gate = None


def work_key(crew: Crew) -> str:
    return names.work_key(crew.rig.tenant.tenant, crew.mount.job.uid)


async def test_they_share_the_documents(crew: Crew) -> None:
    workers = [crew.start(index) for index in range(WORKERS)]
    await crew.waiting(WORKERS)
    crew.open()
    await crew.ended(*workers)
    await crew.check()
    shares = await crew.rig.pool.fetch("SELECT done FROM run_workers ORDER BY worker")
    assert len(shares) == WORKERS
    assert all(row["done"] for row in shares), "nobody was idle"
    assert await crew.redis.xlen(work_key(crew)) == 0, "what is settled is taken out"


async def test_what_a_killed_worker_had_is_done_by_its_successor(crew: Crew) -> None:
    killed, other = await crew.spawn(0), crew.start(1)
    await crew.waiting(2)
    killed.send_signal(signal.SIGKILL)
    await killed.wait()
    successor = crew.start(0)
    await crew.waiting(3)
    crew.open()
    await crew.ended(other, successor)
    await crew.check()
    attempts = await crew.rig.pool.fetch("SELECT attempt FROM run_workers ORDER BY worker")
    assert [row["attempt"] for row in attempts] == [2, 1]


async def test_a_wiped_redis_costs_time_only(crew: Crew) -> None:
    workers = [crew.start(index) for index in range(WORKERS)]
    await crew.waiting(WORKERS)
    await crew.redis.delete(work_key(crew), f"{work_key(crew)}:entries")  # all that FLUSHALL would take from this run
    crew.open()
    await crew.ended(*workers)
    await crew.check()


async def test_a_stream_that_lost_entries_is_filled_up_and_that_is_counted(crew: Crew) -> None:
    worker = crew.start(0)
    await crew.waiting(1)
    stream: Any = crew.redis  # redis-py's types of entries do not fit its own commands
    entries = await stream.xrange(work_key(crew))
    await stream.xdel(work_key(crew), *(entry for entry, _ in entries))
    crew.open()
    await crew.ended(worker)
    await crew.check()
    assert await crew.rig.count("SELECT refills FROM ingest_runs") >= 1


async def test_without_redis_they_ask_the_database(crew: Crew) -> None:
    folder = crew.rig.folder / crew.mount.job.uid
    (folder / "redis-url").write_text("redis://127.0.0.1:1/0")
    workers = [crew.start(index) for index in range(2)]
    await crew.waiting(2)
    crew.open()
    await crew.ended(*workers)
    await crew.check()


async def test_what_is_delivered_twice_is_done_once(crew: Crew) -> None:
    """The stream holds every document three times, and gives each to whoever asks."""
    items = [document.version_id for document in crew.mount.job.documents]
    workers = [crew.start(index) for index in range(WORKERS)]
    await crew.waiting(WORKERS)
    for item in items * 2:
        await crew.redis.xadd(work_key(crew), {"item": item})
    crew.open()
    await crew.ended(*workers)
    await crew.check()


async def test_a_stalled_worker_comes_back_to_find_its_document_taken(crew: Crew) -> None:
    stalled = await crew.spawn(0)
    await crew.waiting(1)
    await crew.stall(stalled, worker=0)
    await crew.redis.delete(work_key(crew), f"{work_key(crew)}:entries")
    crew.gate.release()  # the answer to the stalled one
    other, calls = crew.start(1), 2
    await crew.waiting(calls)
    while await crew.count_deliveries() < 2:
        calls += 1
        crew.gate.release()
        await crew.waiting(calls)
    os.kill(stalled.pid, signal.SIGCONT)

    async def given_back() -> bool:
        return await crew.count_deliveries() < 2

    await eventually(given_back, "the stalled worker is told that its document is taken: it was not lost over it")
    crew.open()
    await crew.ended(other)
    async with asyncio.timeout(90):
        assert await stalled.wait() == 0
    await crew.check()


async def test_the_older_of_two_pods_of_one_worker_ends(crew: Crew) -> None:
    older = crew.start(1)
    await crew.waiting(1)
    newer = crew.start(1)
    await crew.waiting(2)
    crew.gate.release()  # the older one asked first; before the newer one could end the run
    async with asyncio.timeout(90):
        assert await older == 75
    crew.open()
    await crew.ended(newer)
    await crew.check()


async def test_a_document_that_kills_its_workers_becomes_a_dead_letter(crew: Crew) -> None:
    for killed in range(MAX_DELIVERIES):
        worker = crew.start(0)
        await crew.waiting(killed + 1)
        worker.cancel()
        await asyncio.wait({worker})
    crew.open()
    await crew.ended(crew.start(0))
    progress = await crew.rig.progress(crew.mount)
    assert (progress.state, progress.documents.done, progress.documents.failed) == ("Failed", DOCUMENTS - 1, 1)
    [error] = progress.errors
    assert (error.error_class, error.reason) == ("Permanent", "WorkerLost")


async def test_a_run_that_is_over_is_not_begun_again(crew: Crew) -> None:
    crew.open()
    await crew.ended(crew.start(0))
    calls = len(crew.provider.requests)
    await crew.ended(crew.start(1), crew.start(0))
    assert len(crew.provider.requests) == calls
    await crew.check()


async def test_an_outage_of_the_database_is_waited_for(crew: Crew, database: Database) -> None:
    """As a restart does: every connection of the worker is cut while it has a document in hand."""
    worker = crew.start(0)
    await crew.waiting(1)
    async with connected(database.server.superuser_url) as admin:
        cut = await admin.fetch(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'dreamhub-worker'"
        )
    assert cut
    crew.open()
    await crew.ended(worker)
    await crew.check()


@pytest.mark.parametrize("workers", [1, 2])
async def test_percent_and_counts_are_of_the_whole_run(crew: Crew, workers: int) -> None:
    running = [crew.start(index) for index in range(workers)]
    await crew.waiting(workers)
    last = 0

    async def half() -> bool:
        nonlocal last
        percent = (await crew.rig.progress(crew.mount)).percent
        assert last <= percent < 100
        last = percent
        return percent >= 50

    await crew.pass_on(DOCUMENTS // 2 + 1)
    await eventually(half, "half of the run is told")
    crew.open()
    await crew.ended(*running)
    await crew.check()

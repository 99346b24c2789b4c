"""Two pods of one index read the same source: what the older still holds in its hands comes to nothing.

The older one is not told that it was overtaken: here no heartbeat asks, so that it is each write which refuses.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
import pytest_asyncio

from dreamhub.errors import FencedError
from dreamhub.sql.ingest import NewRun, start_run, take_reading
from dreamhub_worker.collect import collect
from dreamhub_worker.context import Stop, Toolbox
from dreamhub_worker.intake import RunIntake
from dreamhub_worker.key_file import KeyFile
from dreamhub_worker.work_queue import Ledger
from tests.integration.worker.support import Mount, eventually
from tests.integration.worker.test_sources import CHECKPOINT, COMPLETE, Bench, bench, found

__all__ = ["bench"]

WAIT = {"is": "wait"}
ONE, TWO, THREE, FOUR = (found(str(number), f"Text of {number}.") for number in (1, 2, 3, 4))
TABLES = ("documents", "document_versions", "source_items", "source_checkpoints", "work_items", "ingest_runs")


@pytest_asyncio.fixture
async def tools(bench: Bench) -> AsyncIterator[Toolbox]:
    """All that a collector uses of it."""
    keys = bench.rig.folder / "keys.json"
    keys.write_text(bench.rig.tenant.keys.dump())
    unused = cast("Any", None)
    yield Toolbox(
        bench.rig.pool, KeyFile(keys), unused, unused, unused, Stop(), bench.rig.folder, size_limit=2**20, scanner=None
    )


async def begin(bench: Bench, tools: Toolbox, mount: Mount, worker: int = 0) -> RunIntake:
    """As a pod of this index does."""
    async with bench.rig.pool.acquire() as conn:
        run = (await start_run(conn, NewRun(mount.job.uid, mount.job.job, "test", "pod", worker=worker))).run
    return RunIntake(run, Ledger(tools.connection, run), asyncio.Event())


async def waited(bench: Bench, readings: int) -> None:
    async def reached() -> bool:
        return bench.script.waiting() >= readings

    await eventually(reached, f"{readings} readings wait")


async def content(bench: Bench) -> dict[str, list[Any]]:
    return {table: sorted(await bench.rig.pool.fetch(f"SELECT * FROM {table}"), key=str) for table in TABLES}


@pytest.mark.parametrize(
    "later",
    [
        [CHECKPOINT],
        [COMPLETE],
        [{"is": "begin"}],
        [found("1", "A newer text of 1.")],
        [{"is": "gone", "key": "1"}],
    ],
    ids=["checkpoint", "complete", "begin", "changed", "gone"],
)
async def test_an_overtaken_collector_writes_nothing(bench: Bench, tools: Toolbox, later: list[dict[str, Any]]) -> None:
    bench.script.tell(ONE, TWO, CHECKPOINT, WAIT, *later)
    mount = bench.scripted()
    older = asyncio.create_task(collect(tools, mount.job, await begin(bench, tools, mount)))
    await waited(bench, 1)
    await begin(bench, tools, mount)
    before = await content(bench)
    bench.script.go_on()
    with pytest.raises(FencedError) as caught:
        await older
    assert caught.value.code == "Overtaken"
    assert await content(bench) == before


async def test_a_reader_that_stalled_writes_nothing_once_another_worker_reads(bench: Bench, tools: Toolbox) -> None:
    bench.script.tell(ONE, TWO, CHECKPOINT, WAIT, CHECKPOINT)
    mount = bench.scripted()
    stalled, other = await begin(bench, tools, mount), await begin(bench, tools, mount, worker=1)
    async with bench.rig.pool.acquire() as conn:
        assert await take_reading(conn, stalled.run)
        assert not await take_reading(conn, other.run), "the first one lives"
        reading = asyncio.create_task(collect(tools, mount.job, stalled))
        await waited(bench, 1)
        await conn.execute("UPDATE run_workers SET updated_at = now() - interval '1 hour' WHERE worker = 0")
        assert await take_reading(conn, other.run)
    before = await content(bench)
    bench.script.go_on()
    with pytest.raises(FencedError) as caught:
        await reading
    assert caught.value.code == "Overtaken"
    assert await content(bench) == before


async def test_a_collector_that_is_overtaken_in_the_middle_loses_nothing_and_repeats_nothing(bench: Bench) -> None:
    """Both are pods, and both go on at the same moment."""
    bench.script.tell(ONE, TWO, CHECKPOINT, THREE, WAIT, FOUR, CHECKPOINT, COMPLETE)
    mount = bench.scripted()
    older = asyncio.create_task(bench.rig.run(mount))
    await waited(bench, 1)
    async with asyncio.timeout(120):
        while "3.txt" not in await bench.searchable():  # done by a run that reads of it again
            await asyncio.sleep(0.02)
    newer = asyncio.create_task(bench.rig.run(mount))
    await waited(bench, 2)
    bench.script.go_on()
    assert await older in {75, 0}, "overtaken, or too late to a run that the newer one has ended"
    assert await newer == 0
    assert bench.script.began_with() == [None, {"events": 3}]
    progress = await bench.rig.progress(mount)
    assert (progress.state, progress.documents.total, progress.documents.done) == ("Succeeded", 4, 4)
    assert await bench.searchable() == {"1.txt", "2.txt", "3.txt", "4.txt"}
    for table in ("document_versions", "chunks", "work_items", "source_items"):
        assert await bench.rig.count(f"SELECT count(*) FROM {table}") == 4, table
    assert [row["attempt"] for row in await bench.rig.pool.fetch("SELECT attempt FROM run_workers")] == [2]

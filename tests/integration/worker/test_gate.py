"""What a source brings is estimated before it is embedded, and waits for a person where it is too much."""

import asyncio
import json
import signal
from asyncio.subprocess import Process
from pathlib import Path

from dreamhub.domain.cost import weigh
from dreamhub_worker.failures import EXIT_TRANSIENT
from tests.integration.worker.support import Mount, eventually, spawn
from tests.integration.worker.test_sources import Bench, bench, found

__all__ = ["bench"]

GRACE_SECONDS = 30
"""Of a worker's pod."""

TEXTS = [found(str(number), f"Text number {number} of a source. " * 20) for number in range(3)]


def approve(mount: Mount) -> None:
    """As the operator writes the order anew."""
    path = Path(mount.environment["DREAMHUB_JOB_DIR"], "job.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), "hold": None}))


def held(bench: Bench, tokens: int) -> Mount:
    bench.script.tell(*TEXTS, {"is": "checkpoint"})
    mount = bench.scripted()
    path = Path(mount.environment["DREAMHUB_JOB_DIR"], "job.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), "hold": {"tokensAbove": tokens, "seen": {}}}))
    return mount


async def until_asked(bench: Bench, mount: Mount) -> None:
    async def asked() -> bool:
        found = await bench.rig.pool.fetchval("SELECT progress ->> 'awaitingApproval' FROM ingest_runs")
        return bool(found == "true")

    await eventually(asked, "the worker asks for approval")
    progress = await bench.rig.progress(mount)
    assert progress.estimated_tokens == weigh(sum(len(each["text"]) for each in TEXTS), "text/plain")
    assert (progress.documents.total, progress.documents.done, progress.tokens) == (3, 0, 0)
    assert await bench.rig.count("SELECT count(*) FROM chunks") == 0


async def end(process: Process) -> None:
    """As the kubelet does: asked to, and within the time that a pod has."""
    process.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(GRACE_SECONDS):
            assert await process.wait() == EXIT_TRANSIENT
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_more_than_may_be_spent_waits_and_goes_on_once_it_is_approved(bench: Bench) -> None:
    mount = held(bench, 10)
    worker = asyncio.create_task(bench.rig.run(mount))
    await until_asked(bench, mount)
    approve(mount)
    assert await worker == 0
    progress = await bench.rig.progress(mount)
    assert (progress.state, progress.documents.done, progress.awaiting_approval) == ("Succeeded", 3, False)
    assert sorted(bench.script.fetched()) == ["0", "1", "2"]


async def test_a_worker_that_waits_can_be_stopped_and_nothing_is_collected_twice(bench: Bench) -> None:
    mount = held(bench, 10)
    process = await spawn(mount, PYTHONPATH=str(bench.script.folder))
    await until_asked(bench, mount)
    await end(process)
    approve(mount)
    assert await bench.rig.run(mount) == 0
    progress = await bench.rig.progress(mount)
    assert (progress.state, progress.documents.done) == ("Succeeded", 3)
    assert sorted(bench.script.fetched()) == ["0", "1", "2"]


async def test_what_may_be_spent_is_not_asked_about(bench: Bench) -> None:
    mount = held(bench, 100_000)
    assert await bench.rig.run(mount) == 0
    progress = await bench.rig.progress(mount)
    assert (progress.state, progress.documents.done) == ("Succeeded", 3)
    assert progress.estimated_tokens is not None


async def test_a_source_without_a_threshold_tells_its_estimate(bench: Bench) -> None:
    told = await bench.read(*TEXTS)
    assert told.estimated_tokens is not None

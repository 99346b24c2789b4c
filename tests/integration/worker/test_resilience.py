"""Killed, moved, started twice: nothing is lost, nothing is doubled, readers see all of a document or none."""

import asyncio
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytest_asyncio

from dreamhub.domain.job_input import InputDocument, InputText
from dreamhub.domain.terms import TermIndex
from dreamhub.llm.models import ModelList, ModelSettings
from dreamhub.sql.search import SearchQuery, fetch_index_state, search
from dreamhub_worker.document import BATCH_CHUNKS
from tests.integration.llm.provider_server import DIMENSIONS, Provider, run_provider
from tests.integration.worker.support import Mount, Rig, eventually, read_logs, spawn

BATCHES = 4
MODEL = "gated"


def long_text(batches: int = BATCHES) -> bytes:
    """A text of a few batches: every paragraph is a chunk."""
    paragraphs = (f"Paragraph {number}: " + "the river rises. " * 50 for number in range(batches * BATCH_CHUNKS - 100))
    return "\n\n".join(paragraphs).encode()


@dataclass
class Gated:
    """A rig whose model is behind a server that lets one batch pass at a time."""

    rig: Rig
    provider: Provider
    gate: asyncio.Semaphore

    def mount(self, *items: InputDocument | InputText, **fields: Any) -> Mount:
        entry = ModelSettings(
            name=MODEL, kind="embedding", endpoint=self.provider.endpoint, dimensions=DIMENSIONS, timeout_seconds=900
        )
        return self.rig.mount(*items, models=ModelList(models=(entry,)), model=MODEL, **fields)

    async def stored(self) -> int:
        return await self.rig.count("SELECT count(*) FROM chunks")

    async def reach(self, batches: int) -> None:
        """Let batches pass and wait until they are stored and the next one waits at the gate."""

        async def reached() -> bool:
            waiting = len(self.provider.requests) > batches or batches == BATCHES
            return await self.stored() >= batches * BATCH_CHUNKS and waiting

        for _ in range(batches):
            self.gate.release()
        await eventually(reached, f"{batches} batches are stored")

    def open(self) -> None:
        for _ in range(1_000):
            self.gate.release()


@pytest_asyncio.fixture
async def gated(rig: Rig) -> AsyncIterator[Gated]:
    async with run_provider() as provider:
        gate = asyncio.Semaphore(0)
        provider.gate = gate
        yield Gated(rig, provider, gate)
        provider.gate = None


async def test_a_killed_worker_is_followed_by_one_that_redoes_at_most_one_batch(gated: Gated) -> None:
    item = await gated.rig.upload("river.txt", long_text())
    mount = gated.mount(item)
    first = await spawn(mount)
    await gated.reach(2)

    first.send_signal(signal.SIGKILL)
    assert await first.wait() == -signal.SIGKILL
    before = await gated.rig.pool.fetch("SELECT landing, ordinal, body_ct FROM chunks ORDER BY ordinal")
    embedded_before = sum(len(request["input"]) for request in gated.provider.requests)
    gated.open()
    second = await spawn(mount)
    assert await second.wait() == 0

    progress = await gated.rig.progress(mount)
    assert (progress.state, progress.documents.done) == ("Succeeded", 1)
    after = await gated.rig.pool.fetch("SELECT landing, ordinal, body_ct FROM chunks ORDER BY ordinal")
    assert [row["ordinal"] for row in after] == list(range(progress.chunks))
    assert after[: len(before)] == before
    embedded = sum(len(request["input"]) for request in gated.provider.requests)
    assert embedded_before >= len(before) + BATCH_CHUNKS
    assert embedded <= progress.chunks + BATCH_CHUNKS


async def test_progress_goes_on_where_the_killed_worker_was(gated: Gated) -> None:
    item = await gated.rig.upload("river.txt", long_text())
    mount = gated.mount(item)
    first = await spawn(mount)
    await gated.reach(2)

    async def reported() -> bool:
        return (await gated.rig.progress(mount)).percent > 40

    await eventually(reported, "the progress of two batches is in the database")
    first.kill()
    await first.wait()
    percent = (await gated.rig.progress(mount)).percent
    second = await spawn(mount)

    async def resumed() -> bool:
        return len(gated.provider.requests) >= 4

    await eventually(resumed, "the second worker waits at the gate")
    assert (await gated.rig.progress(mount)).percent >= percent
    gated.open()
    assert await second.wait() == 0


async def test_a_worker_that_is_asked_to_stop_ends_after_its_batch(gated: Gated) -> None:
    item = await gated.rig.upload("river.txt", long_text())
    mount = gated.mount(item)
    worker = await spawn(mount)
    await gated.reach(1)

    worker.terminate()
    gated.gate.release()
    logs = await read_logs(worker)

    assert await worker.wait() == 75
    assert [line["code"] for line in logs if line["event"] == "run_ended"] == ["Stopping"]
    assert await gated.stored() == 2 * BATCH_CHUNKS
    gated.open()
    assert await gated.rig.run(mount) == 0
    assert len(gated.provider.requests) == BATCHES


async def test_the_older_of_two_workers_writes_nothing_more(gated: Gated) -> None:
    item = await gated.rig.upload("river.txt", long_text())
    mount = gated.mount(item)
    older = await spawn(mount)
    await gated.reach(1)
    newer = await spawn(mount)

    async def both_wait() -> bool:
        return len(gated.provider.requests) >= 3

    await eventually(both_wait, "both workers wait at the gate")
    gated.gate.release()  # the older one asked first
    assert await older.wait() == 75
    assert await gated.stored() == BATCH_CHUNKS
    gated.open()
    assert await newer.wait() == 0
    progress = await gated.rig.progress(mount)
    assert progress.state == "Succeeded"
    rows = await gated.rig.pool.fetch("SELECT ordinal FROM chunks ORDER BY ordinal")
    assert [row["ordinal"] for row in rows] == list(range(progress.chunks))


async def test_readers_see_all_of_a_document_or_nothing(gated: Gated) -> None:
    seen: set[frozenset[tuple[str, int]]] = set()
    done = asyncio.Event()

    async def read() -> None:
        terms = TermIndex(gated.rig.tenant.keys).query("river")
        query = SearchQuery(np.ones(DIMENSIONS, dtype=np.float32), terms, lexical_weight=0.5, limit=5_000)
        while not done.is_set():
            async with gated.rig.pool.acquire() as conn, conn.transaction(isolation="repeatable_read", readonly=True):
                state = await fetch_index_state(conn)
                hits = await search(conn, gated.rig.tenant.keys, query)
            assert len(hits) == (state.chunks if state else 0)
            seen.add(frozenset((hit.version_id, hit.ordinal) for hit in hits))

    reader = asyncio.create_task(read())
    item = await gated.rig.upload("river.txt", long_text(2))
    mount = gated.mount(item)
    running = asyncio.create_task(gated.rig.run(mount))
    await gated.reach(1)
    assert seen <= {frozenset()}
    gated.open()
    assert await running == 0
    again = gated.mount(item, force=True)
    assert await gated.rig.run(again) == 0
    done.set()
    await reader
    chunks = (await gated.rig.progress(mount)).chunks
    assert seen <= {frozenset(), frozenset((item.version_id, ordinal) for ordinal in range(chunks))}


async def test_a_failed_document_is_not_tried_again_by_the_next_attempt(gated: Gated) -> None:
    bad = await gated.rig.upload("bad.pdf", b"%PDF-1.7 and nothing more")
    good = await gated.rig.upload("river.txt", long_text(2))
    mount = gated.mount(bad, good)
    first = await spawn(mount)
    await gated.reach(1)
    first.kill()
    await first.wait()
    gated.open()

    assert await gated.rig.run(mount) == 0

    progress = await gated.rig.progress(mount)
    assert (progress.documents.done, progress.documents.failed) == (1, 1)
    fetched = [key for _, key in gated.rig.objects.requests]
    assert fetched.count(bad.version_id) == 1


async def test_a_store_that_is_away_puts_its_document_off_behind_the_others(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dreamhub_worker.run.BACKOFF_SECONDS", 1.0)  # longer than a busy machine takes to the next one
    away = await rig.upload("away.txt", b"words that cannot be had")
    there = await rig.upload("there.txt", b"words that can")
    rig.objects.refusals = [503] * 4
    mount = rig.mount(away, there)

    assert await rig.run(mount) == 0

    progress = await rig.progress(mount)
    assert (progress.state, progress.documents.done, progress.errors) == ("Succeeded", 2, ())
    assert await rig.count("SELECT attempts FROM work_items WHERE version_id = $1", away.version_id) == 1
    assert [key for _, key in rig.objects.requests][4] == there.version_id


async def test_an_inline_text_whose_original_cannot_be_stored_is_no_document(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dreamhub_worker.run.BACKOFF_SECONDS", 0.01)
    monkeypatch.setattr("dreamhub_worker.job.MAX_ATTEMPTS", 1)
    text = rig.text("note.md", "The gate code is 4711.")
    rig.objects.refusals = [503] * 4

    assert await rig.run(rig.mount(text)) == 0

    assert await rig.count("SELECT count(*) FROM document_versions") == 0
    assert await rig.count("SELECT count(*) FROM object_outbox WHERE NOT doomed") == 1
    second = rig.text("note.md", "The gate code is 4711.")
    assert (await rig.ingest(second)).documents.done == 1
    [version] = await rig.pool.fetch("SELECT id FROM document_versions")
    assert rig.objects.objects[version["id"]] == b"The gate code is 4711."


async def test_a_worker_killed_behind_an_upload_leaves_it_announced(gated: Gated) -> None:
    text = gated.rig.text("river.txt", long_text().decode()[:2000])
    worker = await spawn(gated.mount(text))

    async def registered() -> bool:
        return await gated.rig.count("SELECT count(*) FROM document_versions") == 1

    await eventually(registered, "the text is a document")
    assert await gated.rig.count("SELECT count(*) FROM object_outbox") == 0
    assert text.version_id in gated.rig.objects.objects, "its original was there before its row"
    worker.kill()
    await worker.wait()


async def test_a_database_that_is_away_is_another_attempt(rig: Rig) -> None:
    mount = rig.mount(await rig.upload("a.txt", b"words"))
    assert await rig.run(_elsewhere(mount, "database-url", "postgresql://t_x:pw@127.0.0.1:1/dreamhub")) == 75


async def test_a_redis_that_is_away_stops_nobody(rig: Rig) -> None:
    mount = _elsewhere(rig.mount(await rig.upload("a.txt", b"words")), "redis-url", "redis://127.0.0.1:1/0")
    assert await rig.run(mount) == 0
    assert (await rig.progress(mount)).state == "Succeeded"


async def test_a_missing_mount_fails_the_job_at_once(rig: Rig) -> None:
    mount = rig.mount(rig.text("a.txt", "words"))
    (rig.folder / mount.job.uid / "keys.json").unlink()
    worker = await spawn(mount)
    [line] = await read_logs(worker)
    assert await worker.wait() == 42
    assert "keys.json" in line["message"]


async def test_logs_name_no_document_and_quote_no_text(rig: Rig) -> None:
    good = await rig.upload("merger-plans.txt", b"The merger is planned for October.")
    bad = await rig.upload("salaries.txt", "Gehälter".encode("latin-1"))
    worker = await spawn(rig.mount(good, bad, rig.text("gossip.md", "# Gossip\n\nNobody knows.")))
    assert worker.stdout is not None
    output = (await worker.stdout.read()).decode()
    assert await worker.wait() == 0
    assert good.version_id in output
    for secret in ("merger", "October", "salaries", "Geh", "gossip", "Nobody", rig.tenant.url, "redis://"):
        assert secret not in output


def _elsewhere(mount: Mount, name: str, url: str) -> Mount:
    Path(mount.environment["DREAMHUB_CREDENTIALS_DIR"], name).write_text(url)
    return mount

"""Items of a run: delivered at least once, settled exactly once, counted exactly, whoever dies."""

import asyncio
from dataclasses import replace

import pytest

from dreamhub.domain.cost import weigh
from dreamhub.domain.progress import DocumentError, Progress
from dreamhub.domain.run_totals import ITEM_WEIGHT, WorkerReport
from dreamhub.errors import DreamHubError, FencedError
from dreamhub.sql.connections import Connection
from dreamhub.sql.documents import register_upload
from dreamhub.sql.ingest import (
    NewRun,
    RunAttempt,
    RunDocument,
    count_open,
    fetch_finished_documents,
    finish_run,
    mark_collected,
    save_report,
    start_run,
    sum_up_run,
)
from dreamhub.sql.work_items import (
    NewItem,
    begin_item,
    count_attempt,
    count_unchanged,
    enqueue,
    fetch_open_items,
    give_up_items,
    list_open_items,
    return_item,
    settle_item,
    skip_unchanged,
)
from tests.integration.conftest import TenantLogin
from tests.integration.sql.support import File, connected, ingest

RUN = NewRun("run-1", "handbook", "1.0", "pod")
ERROR = DocumentError(document="doc_a", error_class="Transient", reason="ObjectStoreUnavailable", message="away")


async def begun(conn: Connection, *versions: str) -> RunAttempt:
    run = (await start_run(conn, RUN)).run
    await enqueue(conn, run, [NewItem(version, f"doc_{version}") for version in versions])
    return run


def done(version: str, chunks: int = 1) -> RunDocument:
    return RunDocument(f"doc_{version}", version, "Done", chunks=chunks)


def failed(version: str) -> RunDocument:
    return RunDocument(f"doc_{version}", version, "Failed", error=replace_document(version))


def replace_document(version: str) -> DocumentError:
    return ERROR.model_copy(update={"document": f"doc_{version}"})


async def open_versions(conn: Connection) -> list[str]:
    return [item.version_id for item in await list_open_items(conn, RUN.uid)]


async def test_enqueueing_again_changes_nothing(tenant_connection: Connection) -> None:
    conn = tenant_connection
    run = await begun(conn, "b", "a")
    assert await enqueue(conn, run, [NewItem("a", "doc_a"), NewItem("c", "doc_c"), NewItem("c", "doc_c")]) == 1
    assert await enqueue(conn, run, []) == 0
    assert await open_versions(conn) == ["b", "a", "c"], "in the order of their coming"
    assert (await count_open(conn, RUN.uid)).items == 3
    assert [item.version_id for item in await fetch_open_items(conn, RUN.uid, ["c", "b", "x"])] == ["b", "c"]


async def test_what_is_registered_weighs_by_its_size(tenant: TenantLogin, tenant_connection: Connection) -> None:
    conn = tenant_connection
    stored = await register_upload(conn, tenant.keys, File("a.md", ("word " * 400,)).upload())
    run = await begun(conn)
    await enqueue(conn, run, [NewItem(stored.version_id, stored.document_id), NewItem("x", "d", 8_000)])
    await enqueue(conn, run, [NewItem("estimated", "d", 8_000, tokens=5)])
    rows = await conn.fetch("SELECT size, weight FROM work_items ORDER BY position")
    size = await conn.fetchval("SELECT size_bytes FROM document_versions")
    assert size > 0
    assert [tuple(row) for row in rows] == [
        (size, ITEM_WEIGHT + weigh(size, "text/plain")),
        (8_000, ITEM_WEIGHT + weigh(8_000, "application/of-nobody-knows-what")),
        (8_000, ITEM_WEIGHT + 5),
    ]
    assert await conn.fetchval("SELECT weight FROM ingest_runs") == sum(row["weight"] for row in rows)


async def test_an_item_is_settled_once(tenant: TenantLogin, tenant_connection: Connection) -> None:
    """Two workers come to the end of one item at the same moment."""
    first = await begun(tenant_connection, "a")
    second = (await start_run(tenant_connection, replace(RUN, worker=1))).run

    async def settle(run: RunAttempt) -> None:
        async with connected(tenant.url) as conn:
            await settle_item(conn, run, "a", done("a", chunks=5))

    ends = await asyncio.gather(*(settle(run) for run in (first, second) * 4), return_exceptions=True)
    assert sorted(getattr(end, "code", "settled") for end in ends) == ["ItemSettled"] * 7 + ["settled"]
    rows = await tenant_connection.fetch("SELECT sum(done)::int, sum(chunks)::int FROM run_workers")
    assert tuple(rows[0]) == (1, 5)
    assert len(await fetch_finished_documents(tenant_connection, RUN.uid)) == 1


async def test_what_is_settled_begins_no_more(tenant_connection: Connection) -> None:
    run = await begun(tenant_connection, "a")
    await settle_item(tenant_connection, run, "a", done("a"))
    for write in (
        begin_item(tenant_connection, run, "a", stored=0, again=False),
        count_attempt(tenant_connection, run, "a", ERROR),
        settle_item(tenant_connection, run, "a", failed("a")),
        settle_item(tenant_connection, run, "unknown", done("unknown")),
    ):
        with pytest.raises(FencedError) as caught:
            await write
        assert caught.value.code == "ItemSettled"
    [outcome] = await fetch_finished_documents(tenant_connection, RUN.uid)
    assert outcome.outcome == "Done"


async def test_what_stands_as_it_was_is_skipped_together(tenant: TenantLogin, tenant_connection: Connection) -> None:
    conn = tenant_connection
    known = [await ingest(conn, tenant.keys, File(f"{name}.md", (name,))) for name in "abc"]
    new = await register_upload(conn, tenant.keys, File("d.md", ("d",)).upload())
    active, held, other = (document.version_id for document in known)
    generation = await conn.fetchval("SELECT generation FROM document_versions WHERE id = $1", active)
    run = await begun(conn, active, held, other, new.version_id)

    async with connected(tenant.url) as rival, rival.transaction():
        await rival.execute("SELECT FROM work_items WHERE version_id = $1 FOR UPDATE", held)
        wanted = [active, held, new.version_id, "unknown"]
        assert await skip_unchanged(conn, run, wanted, generation + 1) == set()
        assert await skip_unchanged(conn, run, wanted, generation) == {active}
    assert await skip_unchanged(conn, run, wanted, generation) == {held}, "nobody is about to settle it any more"
    assert await skip_unchanged(conn, run, wanted, generation) == set()
    assert await open_versions(conn) == [other, new.version_id], "what was not delivered to it is not its"
    counters = await conn.fetchrow("SELECT done, skipped, failed, weight FROM run_workers")
    weight = await conn.fetchval("SELECT sum(weight)::bigint FROM work_items WHERE state = 'Skipped'")
    assert counters is not None
    assert tuple(counters) == (2, 2, 0, weight)
    assert [item.outcome for item in await fetch_finished_documents(conn, RUN.uid)] == ["Skipped"] * 2

    await begun(conn)
    assert await skip_unchanged(conn, run, [other], generation) == set(), "a later attempt has begun"


async def test_workers_lost_over_an_item_are_counted_while_it_gets_no_further(tenant_connection: Connection) -> None:
    run = await begun(tenant_connection, "a")

    async def begin(stored: int, *, again: bool = False) -> int:
        return (await begin_item(tenant_connection, run, "a", stored=stored, again=again)).deliveries

    assert [await begin(0), await begin(0), await begin(0, again=True)] == [1, 2, 2]
    assert await begin(256) == 1, "it got further"
    assert await begin(256) == 2
    await return_item(tenant_connection, run, "a")
    assert await begin(256) == 2, "who was asked to stop is not lost"


async def test_passing_errors_are_counted_and_forgotten_with_success(tenant_connection: Connection) -> None:
    run = await begun(tenant_connection, "a")
    assert [await count_attempt(tenant_connection, run, "a", ERROR) for _ in range(2)] == [1, 2]
    progress = await sum_up_run(tenant_connection, RUN.uid)
    assert progress is not None
    assert [error.reason for error in progress.errors] == ["ObjectStoreUnavailable"]
    assert progress.documents.failed == 0
    await settle_item(tenant_connection, run, "a", done("a"))
    await mark_collected(tenant_connection, run)
    ended = await finish_run(tenant_connection, RUN.uid)
    assert ended is not None
    assert (ended.state, ended.errors) == ("Succeeded", ())


async def test_a_run_ends_when_its_source_is_read_and_nothing_is_open(tenant_connection: Connection) -> None:
    conn = tenant_connection
    run = await begun(conn, "a", "b")
    await settle_item(conn, run, "a", done("a", 3))
    assert await finish_run(conn, RUN.uid) is None
    await settle_item(conn, run, "b", failed("b"))
    assert await finish_run(conn, RUN.uid) is None, "more may come"
    await count_unchanged(conn, run, 2)
    await mark_collected(conn, run)
    ended = await finish_run(conn, RUN.uid)
    assert ended is not None
    counts = ended.documents
    assert (ended.state, ended.percent, ended.chunks) == ("Failed", 100, 3)
    assert (counts.total, counts.done, counts.skipped, counts.failed) == (4, 3, 2, 1)
    assert await finish_run(conn, RUN.uid) == ended, "whoever comes later finds it so"
    again = await start_run(conn, replace(RUN, worker=3))
    assert again.finished
    with pytest.raises(FencedError) as late:
        await enqueue(conn, again.run, [NewItem("late", "doc_late")])
    assert late.value.code == "Overtaken"
    assert await finish_run(conn, "unknown") is None


async def test_one_worker_a_second_sums_up_for_all(tenant_connection: Connection) -> None:
    conn = tenant_connection
    run = await begun(conn, "a", "b")
    other = (await start_run(conn, replace(RUN, worker=1))).run
    await save_report(conn, run, WorkerReport(stage="Storing", current_chunks=4, chunks_per_second=2))
    await save_report(conn, other, WorkerReport(current_chunks=1, chunks_per_second=1))
    progress = await sum_up_run(conn, RUN.uid)
    assert progress is not None
    assert (progress.stage, progress.chunks, progress.chunks_per_second) == ("Storing", 5, 3)
    assert await sum_up_run(conn, RUN.uid, at_least_seconds=3_600) is None
    await conn.execute("UPDATE ingest_runs SET reported_at = now() - interval '1 second'")
    await conn.execute("UPDATE run_workers SET updated_at = now() - interval '1 hour' WHERE worker = 1")
    progress = await sum_up_run(conn, RUN.uid)
    assert progress is not None
    assert (progress.chunks, progress.chunks_per_second) == (4, 2), "what a dead one had in hand another will count"


async def test_percent_survives_a_takeover(tenant_connection: Connection) -> None:
    run = await begun(tenant_connection, "a")
    await mark_collected(tenant_connection, run)
    await save_report(tenant_connection, run, WorkerReport(current_weight=ITEM_WEIGHT * 0.8))
    first = await sum_up_run(tenant_connection, RUN.uid)
    run = (await start_run(tenant_connection, RUN)).run
    await save_report(tenant_connection, run, WorkerReport())
    await tenant_connection.execute("UPDATE ingest_runs SET reported_at = NULL")
    second = await sum_up_run(tenant_connection, RUN.uid)
    assert isinstance(first, Progress)
    assert isinstance(second, Progress)
    assert (first.percent, second.percent) == (80, 80)


async def test_giving_up_fails_what_is_left_and_nothing_else(tenant_connection: Connection) -> None:
    conn = tenant_connection
    run = await begun(conn, "a", "b", "c")
    await settle_item(conn, run, "b", done("b"))
    assert await give_up_items(conn, run, ERROR) == 2
    assert await give_up_items(conn, run, ERROR) == 0
    outcomes = {item.version_id: item.outcome for item in await fetch_finished_documents(conn, RUN.uid)}
    assert outcomes == {"a": "Failed", "b": "Done", "c": "Failed"}
    assert (await count_open(conn, RUN.uid)).items == 0
    with pytest.raises(DreamHubError):
        await settle_item(conn, run, "a", done("a"))

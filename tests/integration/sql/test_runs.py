import pytest

from dreamhub import ids
from dreamhub.domain.progress import DocumentError
from dreamhub.domain.run_totals import ITEM_WEIGHT, WorkerReport
from dreamhub.errors import FencedError, InvalidInputError, NotFoundError
from dreamhub.sql.connections import Connection
from dreamhub.sql.documents import register_upload
from dreamhub.sql.ingest import (
    NewRun,
    RunAttempt,
    RunDocument,
    count_open,
    fetch_finished_documents,
    mark_collected,
    save_report,
    start_run,
    sum_up_run,
    touch_run,
)
from dreamhub.sql.runs import fetch_progress, fetch_run, list_run_documents, resolve_documents
from dreamhub.sql.work_items import (
    NewItem,
    count_attempt,
    count_unchanged,
    enqueue,
    give_up_items,
    list_open_items,
    settle_item,
)
from tests.integration.conftest import NewTenant, TenantLogin
from tests.integration.sql.support import File, ingest

RUN = NewRun(uid="11111111-2222", job="handbook", build="1.0", holder="pod", documents_total=3)
ERROR = DocumentError(document="doc_x", error_class="Quota", reason="Throttled", message="later")


async def test_progress_travels_from_worker_to_operator_and_api(
    tenant: TenantLogin, tenant_connection: Connection, operator_connection: Connection
) -> None:
    conn = tenant_connection
    assert await fetch_run(conn, RUN.uid) is None
    run = (await start_run(conn, RUN)).run
    assert run == RunAttempt(RUN.uid, 1, 0)
    started = await fetch_run(conn, RUN.uid)
    assert started is not None
    assert (started.progress.state, started.progress.documents.total) == ("Running", 3)
    await enqueue(conn, run, [NewItem("ver_a", "doc_a")])
    await mark_collected(conn, run)
    await save_report(conn, run, WorkerReport(stage="Embedding", current_weight=ITEM_WEIGHT / 2, tokens=7))
    progress = await sum_up_run(conn, RUN.uid)
    assert progress is not None
    assert (progress.stage, progress.percent, progress.tokens) == ("Embedding", 50, 7)
    found = await fetch_progress(operator_connection, tenant.tenant, [RUN.uid, "absent"])
    assert list(found) == [RUN.uid]
    assert (found[RUN.uid].progress, found[RUN.uid].attempt, found[RUN.uid].build) == (progress, 1, "1.0")
    assert (started.collected, found[RUN.uid].collected) == (False, True)


async def test_overtaken_attempt_writes_nothing(tenant_connection: Connection) -> None:
    conn = tenant_connection
    first = (await start_run(conn, RUN)).run
    await enqueue(conn, first, [NewItem("ver_a", "doc_a")])
    second = (await start_run(conn, RUN)).run
    assert second.attempt == first.attempt + 1
    document = RunDocument("doc_a", "ver_a", "Done")
    for write in (
        save_report(conn, first, WorkerReport()),
        touch_run(conn, first),
        settle_item(conn, first, "ver_a", document),
        give_up_items(conn, first, ERROR),
        count_unchanged(conn, first, 1),
        enqueue(conn, first, [NewItem("ver_b", "doc_b")]),
        count_attempt(conn, first, "ver_a", ERROR),
        mark_collected(conn, first),
    ):
        with pytest.raises(FencedError, match="overtaken") as caught:
            await write
        assert caught.value.code == "Overtaken"
    assert await fetch_finished_documents(conn, RUN.uid) == ()
    assert [item.version_id for item in await list_open_items(conn, RUN.uid)] == ["ver_a"]
    assert not (await count_open(conn, RUN.uid)).collected
    await settle_item(conn, second, "ver_a", document)


async def test_run_documents_are_listed_page_by_page(tenant_connection: Connection) -> None:
    run = (await start_run(tenant_connection, RUN)).run
    documents = [RunDocument(ids.new_id("doc"), ids.new_id("ver"), "Done", chunks=at, tokens=9) for at in range(3)]
    error = DocumentError(document=documents[1].document_id, error_class="Permanent", reason="Empty", message="empty")
    documents[1] = RunDocument(documents[1].document_id, documents[1].version_id, "Failed", error=error)
    await enqueue(tenant_connection, run, [NewItem(item.version_id, item.document_id) for item in documents])
    for document in documents:
        await settle_item(tenant_connection, run, document.version_id, document)
    wanted = tuple(sorted(documents, key=lambda document: document.document_id))
    assert await fetch_finished_documents(tenant_connection, RUN.uid) == wanted
    page = await list_run_documents(tenant_connection, RUN.uid, limit=2)
    rest = await list_run_documents(tenant_connection, RUN.uid, cursor=page.next_cursor, limit=2)
    listed = [(item.document_id, item.outcome) for item in (*page.items, *rest.items)]
    assert listed == [(item.document_id, item.outcome) for item in wanted]
    assert rest.next_cursor is None
    with pytest.raises(InvalidInputError):
        await list_run_documents(tenant_connection, RUN.uid, cursor="nonsense")


async def test_operator_resolves_documents(
    tenant: TenantLogin, tenant_connection: Connection, operator_connection: Connection
) -> None:
    active = await ingest(tenant_connection, tenant.keys, File("a.md", ("x",)))
    changed = await ingest(tenant_connection, tenant.keys, File("b.md", ("x",)))
    newer = await register_upload(tenant_connection, tenant.keys, File("b.md", ("y",)).upload())
    wanted = [active.document_id, changed.document_id, ids.new_id("doc")]
    found = await resolve_documents(operator_connection, tenant.tenant, wanted)
    assert {key: (value.version_id, value.active) for key, value in found.items()} == {
        active.document_id: (active.version_id, True),
        changed.document_id: (newer.version_id, False),
    }
    assert await resolve_documents(operator_connection, tenant.tenant, []) == {}


async def test_operator_resolves_documents_as_they_were(
    tenant: TenantLogin, tenant_connection: Connection, operator_connection: Connection
) -> None:
    """To the microsecond: what is uploaded right after a look was not seen by it."""
    first = await register_upload(tenant_connection, tenant.keys, File("a.md", ("x",)).upload())
    wanted = [first.document_id]
    seen = (await resolve_documents(operator_connection, tenant.tenant, wanted))[first.document_id]
    newer = await register_upload(tenant_connection, tenant.keys, File("a.md", ("x", "y")).upload())
    then = await resolve_documents(operator_connection, tenant.tenant, wanted, seen.read_at)
    assert then[first.document_id].version_id == first.version_id
    now = await resolve_documents(operator_connection, tenant.tenant, wanted)
    assert now[first.document_id].version_id == newer.version_id


async def test_a_version_without_a_proper_id_is_absent(
    tenant: TenantLogin, tenant_connection: Connection, operator_connection: Connection
) -> None:
    """A stolen login may write any id, and the operator signs URLs for what it finds."""
    document = (await ingest(tenant_connection, tenant.keys, File("a.md", ("x",)))).document_id
    await tenant_connection.execute(
        "INSERT INTO document_versions (id, document_id, number, media_type, content_key, size_bytes) "
        "VALUES ('../../other/versions/ver_1', $1, 2, 'text/plain', '', 1)",
        document,
    )
    assert await resolve_documents(operator_connection, tenant.tenant, [document]) == {}


async def test_operator_sees_one_tenant_at_a_time(new_tenant: NewTenant, operator_connection: Connection) -> None:
    other = await new_tenant()
    assert await fetch_progress(operator_connection, other.tenant, [RUN.uid]) == {}
    for name in ("absent", 'x".y', ""):
        with pytest.raises(NotFoundError):
            await fetch_progress(operator_connection, name, [RUN.uid])

import pytest

from dreamhub import ids
from dreamhub.domain.progress import DocumentCounts, DocumentError, Progress
from dreamhub.errors import FencedError, InvalidInputError, NotFoundError
from dreamhub.sql.connections import Connection
from dreamhub.sql.documents import register_upload
from dreamhub.sql.ingest import (
    NewRun,
    RunDocument,
    fetch_finished_documents,
    finish_run,
    record_run_document,
    save_progress,
    start_run,
)
from dreamhub.sql.runs import fetch_progress, fetch_run, list_run_documents, resolve_documents
from tests.integration.conftest import NewTenant, TenantLogin
from tests.integration.sql.support import File, ingest

RUN = NewRun(uid="11111111-2222", job="handbook", build="1.0", holder="pod", documents_total=3)


async def test_progress_travels_from_worker_to_operator_and_api(
    tenant: TenantLogin, tenant_connection: Connection, operator_connection: Connection
) -> None:
    assert await fetch_run(tenant_connection, RUN.uid) is None
    attempt = await start_run(tenant_connection, RUN)
    assert attempt == 1
    started = await fetch_run(tenant_connection, RUN.uid)
    assert started is not None
    assert (started.progress.state, started.progress.documents.total) == ("Running", 3)
    error = DocumentError(document="doc_x", error_class="Quota", reason="Throttled", message="later")
    progress = Progress(stage="Embedding", documents=DocumentCounts(total=3, done=1), percent=40, errors=(error,))
    await save_progress(tenant_connection, RUN.uid, attempt, progress)
    found = await fetch_progress(operator_connection, tenant.tenant, [RUN.uid, "absent"])
    assert list(found) == [RUN.uid]
    assert (found[RUN.uid].progress, found[RUN.uid].attempt, found[RUN.uid].build) == (progress, 1, "1.0")
    await finish_run(tenant_connection, RUN.uid, attempt, progress.model_copy(update={"state": "Failed"}))
    finished = await fetch_run(tenant_connection, RUN.uid)
    assert finished is not None
    assert finished.progress.state == "Failed"


async def test_overtaken_attempt_writes_nothing(tenant_connection: Connection) -> None:
    first = await start_run(tenant_connection, RUN)
    second = await start_run(tenant_connection, RUN)
    assert second == first + 1
    document = RunDocument(ids.new_id("doc"), ids.new_id("ver"), "Done")
    for write in (
        save_progress(tenant_connection, RUN.uid, first, Progress()),
        finish_run(tenant_connection, RUN.uid, first, Progress(state="Succeeded")),
        record_run_document(tenant_connection, RUN.uid, first, document),
    ):
        with pytest.raises(FencedError, match="overtaken"):
            await write
    assert await fetch_finished_documents(tenant_connection, RUN.uid) == ()
    await save_progress(tenant_connection, RUN.uid, second, Progress(percent=9))


async def test_run_documents_are_listed_page_by_page(tenant_connection: Connection) -> None:
    attempt = await start_run(tenant_connection, RUN)
    documents = [RunDocument(ids.new_id("doc"), ids.new_id("ver"), "Done", chunks=at, tokens=9) for at in range(3)]
    error = DocumentError(document=documents[1].document_id, error_class="Permanent", reason="Empty", message="empty")
    documents[1] = RunDocument(documents[1].document_id, documents[1].version_id, "Failed", error=error)
    for document in documents:
        await record_run_document(tenant_connection, RUN.uid, attempt, document)
        await record_run_document(tenant_connection, RUN.uid, attempt, document)
    wanted = tuple(sorted(documents, key=lambda document: document.document_id))
    assert await fetch_finished_documents(tenant_connection, RUN.uid) == wanted
    page = await list_run_documents(tenant_connection, RUN.uid, limit=2)
    rest = await list_run_documents(tenant_connection, RUN.uid, cursor=page.next_cursor, limit=2)
    assert (*page.items, *rest.items) == wanted
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

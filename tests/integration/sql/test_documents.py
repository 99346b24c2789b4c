import asyncio

import pytest

from dreamhub import ids
from dreamhub.errors import InvalidInputError, NotFoundError
from dreamhub.sql.connections import Connection, Pool
from dreamhub.sql.documents import (
    delete_document,
    fetch_document,
    list_chunks,
    list_documents,
    list_versions,
    register_upload,
)
from tests.integration.conftest import NewTenant, TenantLogin
from tests.integration.sql.support import File, connected, ingest

NOTE = File("Notes über Äpfel.md", ("one", "two", "three"), tags=("fruit",), media_type="text/markdown")


async def test_upload_is_read_back(tenant: TenantLogin, tenant_connection: Connection) -> None:
    upload = NOTE.upload()
    outcome = await register_upload(tenant_connection, tenant.keys, upload)
    assert (outcome.document_id, outcome.version_id, outcome.duplicate) == (
        upload.document_id,
        upload.version_id,
        False,
    )
    document = await fetch_document(tenant_connection, tenant.keys, upload.document_id)
    assert (document.name, document.tags, document.media_type) == (NOTE.name, ("fruit",), "text/markdown")
    assert (document.latest.state, document.latest.size, document.active_version_id) == ("uploaded", upload.size, None)


async def test_same_name_and_bytes_give_the_same_ids(tenant: TenantLogin, tenant_connection: Connection) -> None:
    first = await register_upload(tenant_connection, tenant.keys, NOTE.upload())
    second = await register_upload(tenant_connection, tenant.keys, NOTE.upload())
    assert second.duplicate
    assert (second.document_id, second.version_id) == (first.document_id, first.version_id)
    assert len(await list_versions(tenant_connection, first.document_id)) == 1


async def test_composed_and_decomposed_names_are_one(tenant: TenantLogin, tenant_connection: Connection) -> None:
    first = await register_upload(tenant_connection, tenant.keys, File("caf\u00e9.md", ("x",)).upload())
    second = await register_upload(tenant_connection, tenant.keys, File("cafe\u0301.md", ("x",)).upload())
    assert second.document_id == first.document_id


async def test_other_bytes_are_a_further_version(tenant: TenantLogin, tenant_connection: Connection) -> None:
    first = await register_upload(tenant_connection, tenant.keys, NOTE.upload())
    changed = File(NOTE.name, ("four",), tags=("pear",)).upload()
    second = await register_upload(tenant_connection, tenant.keys, changed)
    assert (second.document_id, second.version_id, second.duplicate) == (
        first.document_id,
        changed.version_id,
        False,
    )
    versions = await list_versions(tenant_connection, first.document_id)
    assert [version.number for version in versions] == [2, 1]
    assert (await fetch_document(tenant_connection, tenant.keys, first.document_id)).tags == ("pear",)


async def test_registering_again_after_a_lost_answer_adds_nothing(
    tenant: TenantLogin, tenant_connection: Connection
) -> None:
    upload = NOTE.upload()
    first = await register_upload(tenant_connection, tenant.keys, upload)
    assert await register_upload(tenant_connection, tenant.keys, upload) == first


async def test_concurrent_uploads_of_one_name_make_one_document(tenant: TenantLogin, tenant_pool: Pool) -> None:
    async def upload(text: str) -> str:
        async with tenant_pool.acquire() as conn:
            return (await register_upload(conn, tenant.keys, File("same.md", (text,)).upload())).document_id

    documents = await asyncio.gather(*(upload(str(number % 2)) for number in range(8)))
    assert len(set(documents)) == 1
    async with tenant_pool.acquire() as conn:
        numbers = [version.number for version in await list_versions(conn, documents[0])]
    assert numbers == list(range(len(numbers), 0, -1))


@pytest.mark.parametrize(("texts", "numbers"), [(("two", "three"), [3, 2, 1]), (("two", "two"), [2, 1])])
async def test_uploads_that_meet_at_a_known_name_take_turns(
    tenant: TenantLogin, tenant_pool: Pool, texts: tuple[str, str], numbers: list[int]
) -> None:
    """Both have found the name known, and go on together: each must see what the other has made of the document."""
    async with tenant_pool.acquire() as holder:
        document = (await register_upload(holder, tenant.keys, File("same.md", ("one",)).upload())).document_id

        async def upload(text: str) -> None:
            async with tenant_pool.acquire() as conn:
                await register_upload(conn, tenant.keys, File("same.md", (text,)).upload())

        async with holder.transaction():
            await holder.execute("SELECT FROM documents WHERE id = $1 FOR UPDATE", document)
            meeting = [asyncio.create_task(upload(text)) for text in texts]
            waiting = "SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted"
            async with asyncio.timeout(120):
                while await holder.fetchval(waiting) < len(texts):
                    await asyncio.sleep(0.01)
        await asyncio.gather(*meeting)
        assert [version.number for version in await list_versions(holder, document)] == numbers


async def test_listing_pages_newest_first(tenant: TenantLogin, tenant_connection: Connection) -> None:
    uploads = [File(f"{number}.md", (str(number),)).upload() for number in range(5)]
    for upload in uploads:
        await register_upload(tenant_connection, tenant.keys, upload)
    wanted = sorted((upload.document_id for upload in uploads), reverse=True)
    seen: list[str] = []
    cursor = None
    while True:
        page = await list_documents(tenant_connection, tenant.keys, cursor=cursor, limit=2)
        seen += [document.id for document in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == wanted


async def test_bad_cursors_are_refused(tenant: TenantLogin, tenant_connection: Connection) -> None:
    with pytest.raises(InvalidInputError):
        await list_documents(tenant_connection, tenant.keys, cursor="'; --")
    for cursor in ("x", "-1", "٣", "9" * 30):
        with pytest.raises(InvalidInputError):
            await list_chunks(tenant_connection, tenant.keys, ids.new_id("doc"), cursor=cursor)


async def test_chunks_come_in_order_and_decrypted(tenant: TenantLogin, tenant_connection: Connection) -> None:
    outcome = await ingest(tenant_connection, tenant.keys, NOTE)
    page = await list_chunks(tenant_connection, tenant.keys, outcome.document_id, limit=2)
    rest = await list_chunks(tenant_connection, tenant.keys, outcome.document_id, cursor=page.next_cursor, limit=2)
    assert [chunk.text for chunk in (*page.items, *rest.items)] == list(NOTE.texts)
    assert rest.next_cursor is None
    assert (page.items[0].title, page.items[0].heading_path, page.items[0].page) == ("Title", ("Part",), 1)


async def test_absent_and_foreign_ids_read_alike(new_tenant: NewTenant) -> None:
    first, second = await new_tenant(), await new_tenant()
    async with connected(first.url) as mine, connected(second.url) as theirs:
        foreign = (await ingest(theirs, second.keys, NOTE)).document_id
        messages = set()
        for document_id in (foreign, ids.new_id("doc")):
            for call in (
                fetch_document(mine, first.keys, document_id),
                list_versions(mine, document_id),
                list_chunks(mine, first.keys, document_id),
                delete_document(mine, document_id),
            ):
                with pytest.raises(NotFoundError) as caught:
                    await call
                messages.add(caught.value.message.replace(document_id, "X"))
        assert messages == {"there is no document X"}
        assert (await fetch_document(theirs, second.keys, foreign)).name == NOTE.name


async def test_deletion_leaves_nothing(tenant: TenantLogin, tenant_connection: Connection) -> None:
    kept = await ingest(tenant_connection, tenant.keys, File("kept.md", ("kept words",)))
    before = await _state(tenant_connection)
    gone = await ingest(tenant_connection, tenant.keys, NOTE)
    newer = await register_upload(tenant_connection, tenant.keys, File(NOTE.name, ("later",)).upload())
    assert newer.document_id == gone.document_id
    assert set(await delete_document(tenant_connection, gone.document_id)) == {gone.version_id, newer.version_id}
    assert await _state(tenant_connection) == before
    assert (await list_documents(tenant_connection, tenant.keys)).items[0].id == kept.document_id
    with pytest.raises(NotFoundError):
        await delete_document(tenant_connection, gone.document_id)


async def _state(conn: Connection) -> list[object]:
    """Everything that a deletion must put back."""
    counts = await conn.fetch("SELECT term, chunks FROM term_counts WHERE chunks <> 0 ORDER BY term")
    return [
        await conn.fetchval("SELECT count(*) FROM documents"),
        await conn.fetchval("SELECT count(*) FROM document_versions"),
        await conn.fetchval("SELECT count(*) FROM chunks"),
        await conn.fetchval("SELECT chunks FROM index_generations"),
        [tuple(row) for row in counts],
    ]

"""No object is lost under a standing version, and none outlives its version: whoever dies or comes late."""

import asyncio

import asyncpg
import pytest

from dreamhub import ids
from dreamhub.errors import UnavailableError
from dreamhub.sql.connections import Connection, Pool
from dreamhub.sql.documents import NewUpload, delete_document, list_versions, register_upload
from dreamhub.sql.outbox import (
    DueObject,
    announce_object,
    settle_objects,
    take_due_objects,
    withdraw_object,
)
from tests.integration.conftest import TenantLogin
from tests.integration.sql.support import File, connected


def announced(name: str = "note.md", text: str = "words") -> NewUpload:
    upload = File(name, (text,)).upload()
    return NewUpload(
        **{field: getattr(upload, field) for field in upload.__dataclass_fields__ if field != "announced"},
        announced=True,
    )


async def left(conn: Connection) -> int:
    count: int = await conn.fetchval("SELECT count(*) FROM object_outbox")
    return count


async def test_a_registered_upload_leaves_no_row(tenant: TenantLogin, tenant_connection: Connection) -> None:
    upload = announced()
    await announce_object(tenant_connection, upload.version_id)
    await register_upload(tenant_connection, tenant.keys, upload)
    assert await left(tenant_connection) == 0
    again = await register_upload(tenant_connection, tenant.keys, upload)
    assert (again.version_id, again.duplicate) == (upload.version_id, False), "repeated after a lost answer"


async def test_what_was_announced_falls_due_in_its_time(tenant_connection: Connection) -> None:
    late, now = ids.new_id("ver"), ids.new_id("ver")
    await announce_object(tenant_connection, late)
    await announce_object(tenant_connection, now, seconds=0)
    assert await take_due_objects(tenant_connection, 10) == (DueObject(now, stands=False, duplicate_of=None),)
    assert await take_due_objects(tenant_connection, 10) == (), "another sweeper leaves it alone for a while"


async def test_an_upload_that_comes_too_late_is_refused(tenant: TenantLogin, tenant_connection: Connection) -> None:
    upload = announced()
    await announce_object(tenant_connection, upload.version_id, seconds=0)
    await take_due_objects(tenant_connection, 10)
    for _ in range(2):  # while its object is being deleted, and after that
        with pytest.raises(UnavailableError, match="took too long"):
            await register_upload(tenant_connection, tenant.keys, upload)
        await settle_objects(tenant_connection, [upload.version_id])
    assert await tenant_connection.fetchval("SELECT count(*) FROM documents") == 0


async def test_an_id_that_is_being_cleared_away_cannot_be_announced(tenant_connection: Connection) -> None:
    version = ids.new_id("ver")
    await announce_object(tenant_connection, version, seconds=0)
    await take_due_objects(tenant_connection, 10)
    with pytest.raises(UnavailableError):
        await announce_object(tenant_connection, version)


async def test_withdrawing_after_a_lost_answer_touches_nothing(
    tenant: TenantLogin, tenant_connection: Connection
) -> None:
    upload = announced()
    await announce_object(tenant_connection, upload.version_id)
    await register_upload(tenant_connection, tenant.keys, upload)
    await withdraw_object(tenant_connection, upload.version_id)
    assert await take_due_objects(tenant_connection, 10) == ()


async def test_a_registration_under_way_is_not_swept(tenant: TenantLogin, tenant_pool: Pool) -> None:
    """Its COMMIT may still come, so nobody may touch its object."""
    upload = announced()
    async with tenant_pool.acquire() as conn, tenant_pool.acquire() as sweeper:
        await announce_object(conn, upload.version_id, seconds=0)
        async with conn.transaction():
            await register_upload(conn, tenant.keys, upload)
            assert await take_due_objects(sweeper, 10) == ()
            withdrawing = asyncio.create_task(withdraw_object(sweeper, upload.version_id))
        await withdrawing
        assert await take_due_objects(sweeper, 10) == ()
        assert await left(sweeper) == 0


async def test_known_bytes_are_doomed_with_what_they_repeat(tenant: TenantLogin, tenant_connection: Connection) -> None:
    first, second = announced(), announced()
    for upload in (first, second):
        await announce_object(tenant_connection, upload.version_id)
        await register_upload(tenant_connection, tenant.keys, upload)
    due = await take_due_objects(tenant_connection, 10)
    assert due == (DueObject(second.version_id, stands=False, duplicate_of=first.version_id),)


async def test_what_they_repeat_may_be_gone_meanwhile(tenant: TenantLogin, tenant_connection: Connection) -> None:
    first, second = announced(), announced()
    for upload in (first, second):
        await announce_object(tenant_connection, upload.version_id)
        outcome = await register_upload(tenant_connection, tenant.keys, upload)
    await delete_document(tenant_connection, outcome.document_id)
    due = await take_due_objects(tenant_connection, 10)
    assert {(item.version_id, item.duplicate_of) for item in due} == {
        (first.version_id, None),
        (second.version_id, None),
    }


async def test_a_healed_original_whose_version_went_is_doomed(tenant_connection: Connection) -> None:
    spare, gone = ids.new_id("ver"), ids.new_id("ver")
    await announce_object(tenant_connection, spare, seconds=0)
    await take_due_objects(tenant_connection, 10)
    await settle_objects(tenant_connection, [spare], healed=[gone])
    assert [item.version_id for item in await take_due_objects(tenant_connection, 10)] == [gone]


async def test_deletion_dooms_every_version_or_none(tenant: TenantLogin, tenant_pool: Pool) -> None:
    async with tenant_pool.acquire() as conn:
        outcome = await register_upload(conn, tenant.keys, File("note.md", ("one",)).upload())
        await register_upload(conn, tenant.keys, File("note.md", ("two",)).upload())
        versions = {version.id for version in await list_versions(conn, outcome.document_id)}
        transaction = conn.transaction()
        await transaction.start()
        await delete_document(conn, outcome.document_id)
        await transaction.rollback()
        assert await left(conn) == 0
        await delete_document(conn, outcome.document_id)
        assert {item.version_id for item in await take_due_objects(conn, 10)} == versions


async def test_a_standing_version_is_safe_from_a_row_that_names_it(
    tenant: TenantLogin, tenant_connection: Connection
) -> None:
    outcome = await register_upload(tenant_connection, tenant.keys, File("note.md", ("one",)).upload())
    await announce_object(tenant_connection, outcome.version_id, seconds=0)
    assert await take_due_objects(tenant_connection, 10) == (DueObject(outcome.version_id, True, None),)


@pytest.mark.parametrize("name", ["", "../other/versions/ver_" + "0" * 32, "ver_" + "0" * 31 + "/"])
async def test_only_ids_name_objects(tenant: TenantLogin, name: str) -> None:
    async with connected(tenant.url) as conn:
        with pytest.raises(asyncpg.CheckViolationError):
            await conn.execute("INSERT INTO object_outbox VALUES (DEFAULT, $1, true, NULL, now())", name)

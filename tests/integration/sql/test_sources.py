"""What is known of sources upstream: found by hashes, kept under the tenant's key, and brought under the next one."""

from datetime import UTC, datetime

import pytest

from dreamhub.domain.key_ring import KeyRing
from dreamhub.domain.keys import DataKeys
from dreamhub.errors import InvalidInputError
from dreamhub.sql import sources as sql
from dreamhub.sql.connections import Connection
from dreamhub.sql.documents import delete_document
from dreamhub.sql.rekey import START, Place, begin_rekey, count_outdated, rekey_batch
from dreamhub.sql.tenants import count_sealed
from tests.integration.conftest import TenantLogin
from tests.integration.sql.support import File, ingest

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
RUN = "0a4bb8b4-3d0e-4c8a-9a7a-0c6a3a6f1b11"
STATE = {"folders": {"INBOX": 7, "Réunions": 3}}


async def plant(conn: Connection, keys: DataKeys) -> tuple[sql.SourceKey, bytes, str]:
    """A source with a checkpoint and an item that is a document."""
    outcome = await ingest(conn, keys, File("page", ("text",)))
    key = sql.source_key(keys, "web", "https://example.com/")
    opened = await sql.open_source(conn, keys, key)
    assert (opened.round, opened.state) == (1, None)
    await sql.store_checkpoint(conn, keys, key, STATE)
    item = key.item(keys, "https://example.com/page")
    await sql.store_item(conn, keys, key, sql.SeenItem(item, 'etag-"x"', outcome.document_id, 1))
    return key, item, outcome.document_id


async def test_an_item_is_what_its_document_is(tenant: TenantLogin, tenant_connection: Connection) -> None:
    conn, keys = tenant_connection, tenant.keys
    key, item, document = await plant(conn, keys)
    known = await sql.fetch_item(conn, keys, key, item, RUN)
    assert known is not None
    assert (known.revision, known.document_id, known.settled) == ('etag-"x"', document, True)
    assert (await sql.open_source(conn, keys, key)).state == STATE
    await delete_document(conn, document)
    assert await sql.fetch_item(conn, keys, key, item, RUN) is None
    assert await conn.fetchval("SELECT count(*) FROM source_items") == 0


async def test_equal_items_of_two_sources_are_two(tenant: TenantLogin) -> None:
    one, other = (sql.source_key(tenant.keys, "web", identity) for identity in ("a", "b"))
    assert one.item(tenant.keys, "x") != other.item(tenant.keys, "x")
    assert sql.source_key(tenant.keys, "mail", "a").key != one.key
    assert sql.source_key(DataKeys.generate(), "web", "a").key != one.key


async def test_nothing_of_upstream_can_be_read_in_the_tables(
    tenant: TenantLogin, tenant_connection: Connection
) -> None:
    await plant(tenant_connection, tenant.keys)
    for table in ("source_checkpoints", "source_items"):
        rows = await tenant_connection.fetch(f"SELECT * FROM {table}")
        for word in (b"example", b"etag", b"INBOX"):
            assert rows
            assert not any(word in value for row in rows for value in row.values() if isinstance(value, bytes))


async def test_a_round_ends_once(tenant: TenantLogin, tenant_connection: Connection) -> None:
    conn, keys = tenant_connection, tenant.keys
    key, item, document = await plant(conn, keys)
    await sql.end_round(conn, key, 1)
    await sql.end_round(conn, key, 1)
    assert (await sql.open_source(conn, keys, key)).round == 2
    assert await sql.find_untold(conn, key, 2) == ((item, document),)
    await sql.see_items(conn, key, [item], 2, RUN)
    assert await sql.find_untold(conn, key, 2) == ()


@pytest.mark.parametrize("state", [{"x": "y" * 2**20}, {"x": object()}])
async def test_a_checkpoint_is_json_of_bounded_size(
    tenant: TenantLogin, tenant_connection: Connection, state: dict[str, object]
) -> None:
    key, _, _ = await plant(tenant_connection, tenant.keys)
    with pytest.raises(InvalidInputError, match="checkpoint"):
        await sql.store_checkpoint(tenant_connection, tenant.keys, key, state)


async def test_a_new_data_key_takes_over_all_of_it(
    tenant: TenantLogin, tenant_connection: Connection, operator_connection: Connection
) -> None:
    conn = tenant_connection
    key, item, _ = await plant(conn, tenant.keys)
    new = KeyRing(tenant.keys, NOW).add(NOW, "").activate(NOW).keys
    assert await begin_rekey(conn, new.active) == 4
    place: Place | None = START
    while place is not None:
        place = (await rekey_batch(conn, new, place, limit=1)).place
    assert await count_outdated(conn, new.active) == 0
    assert await count_sealed(operator_connection, tenant.tenant, tenant.keys.active) == 0
    assert await count_sealed(operator_connection, tenant.tenant, new.active) == 4
    known = await sql.fetch_item(conn, new, key, item, RUN)
    assert known is not None
    assert known.revision == 'etag-"x"'
    assert (await sql.open_source(conn, new, key)).state == STATE

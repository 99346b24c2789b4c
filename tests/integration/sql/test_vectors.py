"""A tenant's vector index: built by the operator, used by searches, complete whatever is written meanwhile."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import pytest

from dreamhub import names
from dreamhub.errors import NotFoundError
from dreamhub.sql.connections import Connection, Pool
from dreamhub.sql.documents import delete_document
from dreamhub.sql.pool import tenant_transaction
from dreamhub.sql.search import SearchQuery, search
from dreamhub.sql.vectors import build_vector_index, drop_vector_indexes, fetch_vector_indexes, refresh_statistics
from tests.integration.conftest import Database, NewTenant, TenantLogin
from tests.integration.sql.support import File, connected, embed, ingest

TEXTS = tuple(f"Sentence number {number}." for number in range(3_000))
ASKED = tuple(range(0, len(TEXTS), 150))
USES = """
    SELECT coalesce(sum(idx_scan), 0) FROM pg_stat_user_indexes
    WHERE schemaname = $1 AND indexrelname LIKE 'chunks\\_vectors\\_%'
"""
LOOKED_AFTER = """
    SELECT autovacuum_count > 0 AND autoanalyze_count > 0 FROM pg_stat_user_tables
    WHERE schemaname = $1 AND relname = 'chunks'
"""
OPTIONS = "SELECT reloptions FROM pg_class WHERE oid = $1::regclass"


def near(number: int) -> SearchQuery:
    rng = np.random.default_rng(number)
    vector = embed(TEXTS[number]) + rng.normal(0, 0.05, 8).astype(np.float32)
    return SearchQuery(vector / np.linalg.norm(vector), (), 0.0)


async def find(pool: Pool, login: TenantLogin) -> list[list[int]]:
    """Without sorting where an index gives the order: that pays with longer vectors than those of this test."""
    async with tenant_transaction(pool, login.tenant, readonly=True) as conn:
        await conn.execute("SET LOCAL enable_sort = off")
        found = [[hit.ordinal for hit in await search(conn, login.keys, near(number))] for number in ASKED]
        await conn.execute("SELECT pg_stat_force_next_flush()")
    return found


async def test_an_index_is_built_used_and_dropped(
    new_tenant: NewTenant, api_pool: Pool, operator_connection: Connection, database: Database
) -> None:
    login = await new_tenant()
    async with connected(login.url) as conn:
        await ingest(conn, login.keys, File("many.txt", TEXTS))
    await refresh_statistics(operator_connection, login.tenant)
    exact = await find(api_pool, login)
    assert await build_vector_index(operator_connection, login.tenant)
    assert not await build_vector_index(operator_connection, login.tenant)
    index = (await fetch_vector_indexes(operator_connection, [login.tenant, "nobody"]))[login.tenant]
    assert (index.indexed, index.chunks, index.analyzed, index.dimensions) == (True, len(TEXTS), len(TEXTS), 8)
    indexed = await find(api_pool, login)
    same = sum(len(set(a) & set(b)) for a, b in zip(exact, indexed, strict=True))
    assert same >= 0.99 * sum(map(len, exact))
    role = names.database_role(login.tenant)
    async with connected(database.server.superuser_url) as admin:
        async with asyncio.timeout(120):
            while await admin.fetchval(USES, role) < len(ASKED):
                await asyncio.sleep(0.1)
        assert "autovacuum_analyze_scale_factor=0.05" in await admin.fetchval(OPTIONS, f'"{role}".chunks')
    await drop_vector_indexes(operator_connection, login.tenant)
    assert not (await fetch_vector_indexes(operator_connection, [login.tenant]))[login.tenant].indexed
    assert await find(api_pool, login) == exact


async def test_a_server_without_room_for_helpers_builds_without_them(
    tenant: TenantLogin, tenant_connection: Connection, operator_connection: Connection
) -> None:
    await ingest(tenant_connection, tenant.keys, File("first.txt", TEXTS[:1000]))
    told: list[str] = []
    operator_connection.add_log_listener(lambda _, message: told.append(message.message))
    async with operator_connection.transaction():
        await operator_connection.execute("SET LOCAL client_min_messages = debug1")
        await operator_connection.execute("SET LOCAL min_parallel_table_scan_size = 0")
        assert await operator_connection.fetchval("SELECT dreamhub.build_vector_index($1, '1500GB')", tenant.tenant)
    found = await fetch_vector_indexes(operator_connection, [tenant.tenant])
    assert found[tenant.tenant].indexed
    assert [re.search("with request for [1-9]", line) is not None for line in told if "building index" in line] == [
        True,
        False,
    ]


async def test_what_is_written_after_the_build_is_found(
    tenant: TenantLogin, tenant_connection: Connection, api_pool: Pool, operator_connection: Connection
) -> None:
    await ingest(tenant_connection, tenant.keys, File("first.txt", TEXTS[:100]))
    assert await build_vector_index(operator_connection, tenant.tenant)
    await ingest(tenant_connection, tenant.keys, File("second.txt", ("A late sentence.",)))
    async with tenant_transaction(api_pool, tenant.tenant, readonly=True) as conn:
        hits = await search(conn, tenant.keys, SearchQuery(embed("A late sentence."), (), 0.0))
    assert hits[0].document_name == "second.txt"


@asynccontextmanager
async def often_vacuumed(database: Database) -> AsyncIterator[Connection]:
    """A superuser's connection to a server that looks for work every second, not every minute."""
    async with connected(database.server.superuser_url) as admin:
        await admin.execute("ALTER SYSTEM SET autovacuum_naptime = '1s'")
        await admin.execute("SELECT pg_reload_conf()")
        try:
            yield admin
        finally:
            await admin.execute("ALTER SYSTEM RESET autovacuum_naptime")
            await admin.execute("SELECT pg_reload_conf()")


async def test_what_a_deletion_leaves_behind_is_cleared_away(
    tenant: TenantLogin, tenant_connection: Connection, operator_connection: Connection, database: Database
) -> None:
    """Far below the tenth and the fifth of a table at which the server would look after it by itself."""
    await ingest(tenant_connection, tenant.keys, File("stays.txt", TEXTS[:880]))
    goes = await ingest(tenant_connection, tenant.keys, File("goes.txt", TEXTS[880:1_000]))
    await refresh_statistics(operator_connection, tenant.tenant)
    await delete_document(tenant_connection, goes.document_id)
    await tenant_connection.execute("SELECT pg_stat_force_next_flush()")
    async with often_vacuumed(database) as admin, asyncio.timeout(240):
        while not await admin.fetchval(LOOKED_AFTER, names.database_role(tenant.tenant)):
            await asyncio.sleep(0.1)


async def test_a_tenant_without_tables_or_chunks(operator_connection: Connection, tenant: TenantLogin) -> None:
    assert not await build_vector_index(operator_connection, tenant.tenant)
    assert await fetch_vector_indexes(operator_connection, [tenant.tenant]) == {}
    for call in (build_vector_index, refresh_statistics):
        with pytest.raises(NotFoundError, match="no tables yet"):
            await call(operator_connection, "nobody")

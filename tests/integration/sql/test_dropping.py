"""A dropped tenant leaves nothing behind and takes nothing of others along."""

import asyncpg
import pytest

from dreamhub.errors import InvalidInputError, NotFoundError, UnavailableError
from dreamhub.sql.connections import Connection
from dreamhub.sql.tenants import count_documents, drop_tenant, fetch_tenants, provision_tenant
from tests.integration.conftest import Database, NewTenant, TenantLogin
from tests.integration.sql.support import connected


async def test_tenant_goes_with_its_rows_and_its_neighbour_stays(
    operator_connection: Connection, database: Database, new_tenant: NewTenant
) -> None:
    gone, stays = await new_tenant(), await new_tenant()
    for login in (gone, stays):
        async with connected(login.url) as conn:
            await conn.execute("INSERT INTO term_counts (term, chunks) VALUES (7, 1)")
    await drop_tenant(operator_connection, gone.tenant)
    assert gone.tenant not in await fetch_tenants(operator_connection)
    async with connected(database.server.superuser_url) as admin:
        assert await admin.fetchval("SELECT count(*) FROM pg_roles WHERE rolname = $1", f"t_{gone.tenant}") == 0
        rows = await admin.fetch("SELECT DISTINCT tenant_id FROM dreamhub.term_counts")
    assert gone.tenant not in {row["tenant_id"] for row in rows}
    async with connected(stays.url) as conn:
        assert await conn.fetchval("SELECT chunks FROM term_counts WHERE term = 7") == 1


async def test_open_sessions_of_the_tenant_end(operator_connection: Connection, tenant: TenantLogin) -> None:
    conn = await asyncpg.connect(tenant.url)
    transaction = conn.transaction()
    await transaction.start()
    await conn.execute("INSERT INTO term_counts (term, chunks) VALUES (7, 1)")
    await drop_tenant(operator_connection, tenant.tenant)
    with pytest.raises((asyncpg.PostgresError, OSError, asyncpg.InterfaceError)):
        await conn.execute("SELECT count(*) FROM term_counts")
    conn.terminate()


async def test_dropping_again_is_fine_and_the_name_is_free(
    operator_connection: Connection, tenant: TenantLogin
) -> None:
    await drop_tenant(operator_connection, tenant.tenant)
    await drop_tenant(operator_connection, tenant.tenant)
    await provision_tenant(operator_connection, tenant.tenant)
    assert await count_documents(operator_connection, tenant.tenant) == 0


async def test_long_transaction_is_not_waited_for(
    operator_connection: Connection, database: Database, tenant: TenantLogin
) -> None:
    """The API's session is not the tenant's login, so it is not ended: the caller hears it and tries again."""
    async with connected(database.server.superuser_url) as reader, reader.transaction():
        await reader.fetchval(f'SELECT count(*) FROM "t_{tenant.tenant}".chunks')
        with pytest.raises(UnavailableError, match="in use"):
            await drop_tenant(operator_connection, tenant.tenant)
    assert tenant.tenant in await fetch_tenants(operator_connection)


@pytest.mark.parametrize("name", ["", "public", 'a"; drop', "A"])
async def test_only_tenants_schemas_are_dropped(operator_connection: Connection, name: str) -> None:
    if name == "public":
        await drop_tenant(operator_connection, name)  # an absent tenant: schema t_public, never public
        assert await operator_connection.fetchval("SELECT 1 FROM pg_namespace WHERE nspname = 'public'") == 1
        return
    with pytest.raises(InvalidInputError, match="not a tenant name"):
        await drop_tenant(operator_connection, name)


async def test_only_the_operator_drops(database: Database, tenant: TenantLogin) -> None:
    for url in (database.url("dreamhub_api"), tenant.url):
        async with connected(url) as conn:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await conn.execute("SELECT dreamhub.drop_tenant($1)", tenant.tenant)


async def test_counting_needs_a_schema(operator_connection: Connection) -> None:
    for name in ("never-made", "NOT-A-NAME"):
        with pytest.raises(NotFoundError):
            await count_documents(operator_connection, name)

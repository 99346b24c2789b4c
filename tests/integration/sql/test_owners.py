"""What bears a tenant's name is destroyed for its owner only, whoever has the name today."""

import asyncio

import asyncpg
import pytest

from dreamhub.errors import ConflictError, InvalidInputError, UnavailableError
from dreamhub.sql.connections import Connection
from dreamhub.sql.owners import claim_tenant, erase_tenant, fetch_owner, release_tenant
from dreamhub.sql.tenants import count_documents, fetch_tenants
from tests.integration.conftest import Database, NewTenant, TenantLogin
from tests.integration.sql.support import connected, patient

FIRST, SECOND = "6f1c8f0e-0000-4000-8000-000000000001", "6f1c8f0e-0000-4000-8000-000000000002"


async def test_the_first_that_claims_owns_it(operator_connection: Connection, tenant: TenantLogin) -> None:
    assert await fetch_owner(operator_connection, tenant.tenant) is None
    await claim_tenant(operator_connection, tenant.tenant, FIRST, None)
    await claim_tenant(operator_connection, tenant.tenant, FIRST, None)
    with pytest.raises(ConflictError, match=FIRST):
        await claim_tenant(operator_connection, tenant.tenant, SECOND, None)
    assert await fetch_owner(operator_connection, tenant.tenant) == FIRST


async def test_a_namesake_erases_nothing(operator_connection: Connection, tenant: TenantLogin) -> None:
    await claim_tenant(operator_connection, tenant.tenant, FIRST, None)
    with pytest.raises(ConflictError, match=f"do not belong to {SECOND}"):
        await erase_tenant(operator_connection, tenant.tenant, SECOND)
    await release_tenant(operator_connection, tenant.tenant, SECOND)
    assert await fetch_owner(operator_connection, tenant.tenant) == FIRST
    assert await count_documents(operator_connection, tenant.tenant) == 0


async def test_nobodys_stores_are_not_erased(operator_connection: Connection, tenant: TenantLogin) -> None:
    with pytest.raises(ConflictError):
        await erase_tenant(operator_connection, tenant.tenant, FIRST)
    assert tenant.tenant in await fetch_tenants(operator_connection)


async def test_only_who_names_the_former_owner_takes_over(operator_connection: Connection, tenant: TenantLogin) -> None:
    await claim_tenant(operator_connection, tenant.tenant, FIRST, None)
    with pytest.raises(ConflictError):
        await claim_tenant(operator_connection, tenant.tenant, SECOND, "somebody")
    await claim_tenant(operator_connection, tenant.tenant, SECOND, FIRST)
    with pytest.raises(ConflictError):
        await erase_tenant(operator_connection, tenant.tenant, FIRST)


async def test_an_erasure_can_be_repeated_until_the_name_is_released(
    operator_connection: Connection, tenant: TenantLogin
) -> None:
    await claim_tenant(operator_connection, tenant.tenant, FIRST, None)
    for _ in range(2):
        await erase_tenant(operator_connection, tenant.tenant, FIRST)
        assert tenant.tenant not in await fetch_tenants(operator_connection)
        assert await fetch_owner(operator_connection, tenant.tenant) == FIRST
    await release_tenant(operator_connection, tenant.tenant, FIRST)
    assert await fetch_owner(operator_connection, tenant.tenant) is None


async def test_a_long_transaction_is_not_waited_for(
    operator_connection: Connection, database: Database, tenant: TenantLogin
) -> None:
    await claim_tenant(operator_connection, tenant.tenant, FIRST, None)
    async with connected(database.server.superuser_url) as reader, reader.transaction():
        await reader.fetchval(f'SELECT count(*) FROM "t_{tenant.tenant}".chunks')
        with pytest.raises(UnavailableError, match="in use"):
            await erase_tenant(operator_connection, tenant.tenant, FIRST)
    assert tenant.tenant in await fetch_tenants(operator_connection)


async def test_an_erasure_and_another_tenants_writer_never_lock_each_other_out(
    operator_connection: Connection, database: Database, new_tenant: NewTenant
) -> None:
    """A session's first write into each of its partitions locks the parent, which the eraser needs too."""
    gone, stays = await new_tenant(), await new_tenant()
    await claim_tenant(operator_connection, gone.tenant, FIRST, None)
    eraser = "SELECT 1 FROM pg_locks WHERE pid = $1 AND NOT granted"
    url = database.server.superuser_url
    async with patient(url, "erase_tenant(text,text)"), connected(stays.url) as writer, connected(url) as admin:
        async with writer.transaction():
            await writer.execute("INSERT INTO term_counts (term, chunks) VALUES (7, 1)")
            erasing = asyncio.create_task(erase_tenant(operator_connection, gone.tenant, FIRST))
            pid = operator_connection.get_server_pid()
            while not erasing.done() and not await admin.fetchval(eraser, pid):
                await asyncio.sleep(0.01)
            await writer.execute("INSERT INTO token_uses (model, purpose, tokens) VALUES ('m', 'search', 1)")
        await erasing
    assert gone.tenant not in await fetch_tenants(operator_connection)


@pytest.mark.parametrize(("name", "owner"), [("A", FIRST), ('a"; drop', FIRST), ("fine", "no uid!"), ("fine", "")])
async def test_odd_names_own_nothing(operator_connection: Connection, name: str, owner: str) -> None:
    with pytest.raises(InvalidInputError):
        await claim_tenant(operator_connection, name, owner, None)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM dreamhub.tenant_owners",
        "SELECT dreamhub.tenant_owner('a')",
        "SELECT dreamhub.claim_tenant('a', 'b', NULL)",
        "SELECT dreamhub.erase_tenant('a', 'b')",
        "SELECT dreamhub.release_tenant('a', 'b')",
    ],
)
async def test_nobody_else_may_ask(database: Database, tenant: TenantLogin, statement: str) -> None:
    for url in (database.url("dreamhub_api"), tenant.url):
        async with connected(url) as conn:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await conn.execute(statement)

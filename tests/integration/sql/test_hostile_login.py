"""What PostgreSQL lets every role do to itself holds up neither the platform nor other tenants."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import asyncpg
import pytest

from dreamhub.sql.audit import fetch_digests
from dreamhub.sql.connections import Connection
from dreamhub.sql.logins import end_login, expire_login, set_login
from dreamhub.sql.owners import claim_tenant, erase_tenant
from dreamhub.sql.quota import fetch_admissions
from dreamhub.sql.tenants import build_scram_verifier, drop_tenant, fetch_tenants, provision_tenant
from tests.integration.conftest import NewTenant, TenantLogin
from tests.integration.sql.support import connected

PATIENCE = 60


@asynccontextmanager
async def held(url: str, *statements: str) -> AsyncIterator[None]:
    """A transaction that stays open while the block runs; it may be ended meanwhile."""
    thief = await asyncpg.connect(url)
    try:
        await thief.execute("BEGIN")
        for statement in statements:
            await thief.execute(statement)
        yield
    finally:
        thief.terminate()


@pytest.mark.parametrize("named", ["", "FOR ROLE dreamhub_tenant"])
async def test_default_privileges_make_nobody_undeletable(
    operator_connection: Connection, new_tenant: NewTenant, named: str
) -> None:
    thief, other = await new_tenant(), await new_tenant()
    async with connected(thief.url) as conn:
        if named:
            await conn.execute("SET ROLE NONE")  # the login itself: a member of the group
        await conn.execute(f'ALTER DEFAULT PRIVILEGES {named} GRANT SELECT ON TABLES TO "t_{other.tenant}"')
    for gone in (other, thief):
        await drop_tenant(operator_connection, gone.tenant)
        assert gone.tenant not in await fetch_tenants(operator_connection)


async def _set(operator: Connection, tenant: str) -> None:
    await set_login(operator, tenant, "a", build_scram_verifier("another"))


async def _expire(operator: Connection, tenant: str) -> None:
    moment = await operator.fetchval("SELECT now() + interval '1 hour'")
    await expire_login(operator, tenant, "a", moment)


async def _end(operator: Connection, tenant: str) -> None:
    await end_login(operator, tenant, "a")


@pytest.mark.parametrize("act", [_set, _expire, _end, provision_tenant, drop_tenant])
async def test_a_login_that_holds_its_own_record_is_mastered(
    operator_connection: Connection, tenant: TenantLogin, act: Callable[[Connection, str], Awaitable[None]]
) -> None:
    own = (
        "ALTER ROLE CURRENT_USER PASSWORD 'mine'",
        "SET ROLE NONE",
        "ALTER ROLE CURRENT_USER SET work_mem = '4MB'",
        "ALTER ROLE CURRENT_USER PASSWORD 'mine'",
    )
    async with held(tenant.url, *own), asyncio.timeout(PATIENCE):
        await act(operator_connection, tenant.tenant)


async def test_a_tenant_that_locks_its_queue_is_passed_over(
    operator_connection: Connection, new_tenant: NewTenant
) -> None:
    thief, other = await new_tenant(), await new_tenant()
    for tenant in (thief, other):
        await operator_connection.execute("SELECT dreamhub.admit_jobs($1, '{job}', '{uid}')", tenant.tenant)
    async with held(thief.url, "LOCK TABLE job_admissions"), asyncio.timeout(PATIENCE):
        assert set(await fetch_admissions(operator_connection, [thief.tenant, other.tenant])) == {other.tenant}


async def test_an_open_transaction_holds_up_the_erasure_of_nobody(
    operator_connection: Connection, new_tenant: NewTenant
) -> None:
    thief, gone = await new_tenant(), await new_tenant()
    await claim_tenant(operator_connection, gone.tenant, "uid", None)
    async with held(thief.url, "INSERT INTO term_counts (term, chunks) VALUES (7, 1)"), asyncio.timeout(PATIENCE):
        await erase_tenant(operator_connection, gone.tenant, "uid")
    assert gone.tenant not in await fetch_tenants(operator_connection)
    async with connected(thief.url) as conn:
        assert await conn.fetchval("SELECT count(*) FROM term_counts") == 0


async def test_ending_sessions_leaves_the_tenant_like_all_others(
    operator_connection: Connection, new_tenant: NewTenant
) -> None:
    thief, gone, other = await new_tenant(), await new_tenant(), await new_tenant()
    await claim_tenant(operator_connection, gone.tenant, "uid", None)
    async with held(thief.url, "INSERT INTO term_counts (term, chunks) VALUES (7, 1)"):
        await erase_tenant(operator_connection, gone.tenant, "uid")
    async with held(thief.url, "SET ROLE NONE", "ALTER ROLE CURRENT_USER PASSWORD 'mine'"):
        await _set(operator_connection, thief.tenant)
    await _end(operator_connection, thief.tenant)
    await _set(operator_connection, thief.tenant)
    digests = (await fetch_digests(operator_connection)).tenants
    assert digests[thief.tenant] == digests[other.tenant]

"""A tenant's two database logins: what they may, and how one takes over from the other."""

import asyncio
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from dreamhub.sql.connections import Connection
from dreamhub.sql.logins import FormerSlot, end_login, expire_login, set_login
from dreamhub.sql.tenants import build_scram_verifier, drop_tenant, provision_tenant
from tests.integration.conftest import Database, NewTenant, TenantLogin
from tests.integration.sql.support import connected

SOON, LATER = timedelta(seconds=1), timedelta(hours=1)
ENDED = (asyncpg.PostgresError, OSError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""What a session meets that was ended; the last one when it hears of it in the middle of asking."""


@pytest.fixture
async def second_url(operator_connection: Connection, database: Database, tenant: TenantLogin) -> str:
    """The other login."""
    await set_login(operator_connection, tenant.tenant, "b", build_scram_verifier("second"))
    return database.tenant_url(tenant.tenant, "b", "second")


async def accepts(url: str) -> bool:
    try:
        async with connected(url) as conn:
            return bool(await conn.fetchval("SELECT true"))
    except asyncpg.InvalidAuthorizationSpecificationError:
        return False


async def test_both_are_the_tenant_and_nothing_besides(tenant: TenantLogin, second_url: str) -> None:
    for url in (tenant.url, second_url):
        async with connected(url) as conn:
            for statement in ("SELECT", "RESET ROLE", "RESET ALL", "SET SESSION AUTHORIZATION DEFAULT"):
                await conn.execute(statement)
                assert await conn.fetchval("SELECT current_user") == f"t_{tenant.tenant}"
                assert await conn.fetchval("SELECT count(*) FROM chunks") == 0
            await conn.execute("SET ROLE NONE")
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await conn.execute(f'SELECT count(*) FROM "t_{tenant.tenant}".chunks')


@pytest.mark.parametrize(
    "statement",
    [
        'SET ROLE "t_{tenant}.b"',
        "SET ROLE dreamhub_tenant",
        'SET ROLE "t_{other}"',
        'SET ROLE "t_{other}.a"',
        "ALTER ROLE \"t_{tenant}.a\" VALID UNTIL 'infinity'",
        "ALTER ROLE \"t_{tenant}.b\" PASSWORD 'x'",
        'ALTER ROLE "t_{tenant}" LOGIN',
        'GRANT "t_{tenant}" TO "t_{other}.a"',
        "SELECT dreamhub.set_login('{tenant}', 'b', 'x')",
        "SELECT dreamhub.expire_login('{tenant}', 'a', 'infinity')",
        "SELECT dreamhub.end_login('{other}', 'a')",
        "SELECT dreamhub.count_sealed('{other}', '1')",
    ],
)
async def test_a_login_reaches_no_other_and_cannot_outlive_its_end(
    tenant: TenantLogin, new_tenant: NewTenant, second_url: str, statement: str
) -> None:
    other = await new_tenant()
    async with connected(tenant.url) as conn:
        for role in ("RESET ROLE", "SET ROLE NONE"):
            await conn.execute(role)
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await conn.execute(statement.format(tenant=tenant.tenant, other=other.tenant))


async def test_the_api_cannot_become_a_login(database: Database, tenant: TenantLogin) -> None:
    async with connected(database.url("dreamhub_api")) as conn:
        await conn.execute(f'SET ROLE "t_{tenant.tenant}"')
        await conn.execute("RESET ROLE")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await conn.execute(f'SET ROLE "t_{tenant.tenant}.a"')


async def test_an_expired_login_is_refused_and_its_sessions_end_later(
    operator_connection: Connection, tenant: TenantLogin, second_url: str
) -> None:
    conn = await asyncpg.connect(tenant.url)
    await expire_login(operator_connection, tenant.tenant, "a", datetime.now(UTC) + LATER)
    assert await accepts(tenant.url), "until then it is accepted"
    await expire_login(operator_connection, tenant.tenant, "a", datetime.now(UTC) + SOON)
    async with asyncio.timeout(30):
        while await accepts(tenant.url):
            await asyncio.sleep(0.05)
    assert await conn.fetchval("SELECT 1") == 1, "who is in may stay"
    await end_login(operator_connection, tenant.tenant, "a")
    with pytest.raises(ENDED):
        await conn.execute("SELECT 1")
    conn.terminate()
    assert await accepts(second_url)


async def test_a_slot_that_has_ended_serves_again_without_an_end(
    operator_connection: Connection, database: Database, tenant: TenantLogin
) -> None:
    await expire_login(operator_connection, tenant.tenant, "a", datetime.now(UTC) - SOON)
    await end_login(operator_connection, tenant.tenant, "a")
    assert not await accepts(tenant.url)
    await set_login(operator_connection, tenant.tenant, "a", build_scram_verifier("again"))
    assert await accepts(database.tenant_url(tenant.tenant, "a", "again"))
    assert not await accepts(tenant.url)


async def test_setting_a_login_again_undoes_what_it_did_to_itself(
    operator_connection: Connection, database: Database, tenant: TenantLogin
) -> None:
    """Every role may change its own password and defaults; nothing of that lasts."""
    url = database.tenant_url(tenant.tenant, "a", "known")
    await set_login(operator_connection, tenant.tenant, "a", build_scram_verifier("known"))
    async with connected(url) as conn:
        await conn.execute("SET ROLE NONE")
        await conn.execute(f"ALTER ROLE \"t_{tenant.tenant}.a\" PASSWORD 'taken'")
        await conn.execute(f'ALTER ROLE "t_{tenant.tenant}.a" SET search_path = public')
    assert not await accepts(url)
    await set_login(operator_connection, tenant.tenant, "a", build_scram_verifier("known"))
    async with connected(url) as conn:
        assert await conn.fetchval("SELECT count(*) FROM chunks") == 0


async def test_a_login_of_an_earlier_release_goes_on_until_it_is_ended(
    operator_connection: Connection, database: Database
) -> None:
    """That release's own call, which a rollback uses again, still makes the role itself the login."""
    verifier = build_scram_verifier("before")
    await operator_connection.execute("SELECT dreamhub.provision_tenant($1, $2)", "veteran", verifier)
    url = database.tenant_url("veteran", "", "before")
    async with connected(url) as running:
        await provision_tenant(operator_connection, "veteran")
        await set_login(operator_connection, "veteran", "a", build_scram_verifier("after"))
        assert await accepts(url)
        assert await running.fetchval("SELECT count(*) FROM chunks") == 0
    await end_login(operator_connection, "veteran", "")
    assert not await accepts(url)
    async with connected(database.tenant_url("veteran", "a", "after")) as conn:
        assert await conn.fetchval("SELECT count(*) FROM chunks") == 0
    async with connected(database.url("dreamhub_api")) as api:
        await api.execute('SET ROLE "t_veteran"')
    await operator_connection.execute("SELECT dreamhub.provision_tenant($1, $2)", "veteran", verifier)
    assert await accepts(url), "after a rollback"


@pytest.mark.parametrize("slot", ["", "c", "a; drop"])
async def test_odd_slots_are_refused(operator_connection: Connection, tenant: TenantLogin, slot: str) -> None:
    with pytest.raises(asyncpg.InvalidParameterValueError):
        await operator_connection.execute(
            "SELECT dreamhub.set_login($1, $2, $3)", tenant.tenant, slot, build_scram_verifier("x")
        )


@pytest.mark.parametrize("slot", ["a", "b", ""])
async def test_a_dropped_tenant_leaves_no_login(database: Database, new_tenant: NewTenant, slot: FormerSlot) -> None:
    gone = await new_tenant()
    async with connected(database.url("dreamhub_operator")) as operator:
        await set_login(operator, gone.tenant, "b", build_scram_verifier("second"))
    conn = await asyncpg.connect(gone.url)
    async with connected(database.url("dreamhub_owner")) as owner:
        await drop_tenant(owner, gone.tenant)
        login = f"t_{gone.tenant}.{slot}" if slot else f"t_{gone.tenant}"
        assert await owner.fetchval("SELECT count(*) FROM pg_roles WHERE rolname = $1", login) == 0
    with pytest.raises(ENDED):
        await conn.execute("SELECT 1")
    conn.terminate()

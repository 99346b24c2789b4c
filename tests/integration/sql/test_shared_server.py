"""What a tenant's login may not do to the server that it shares with all others."""

import asyncio
import io

import asyncpg
import pytest

from dreamhub.sql.connections import Connection
from dreamhub.sql.migrate import load_migrations, migrate_up
from dreamhub.sql.schema import SCHEMA_HEAD
from dreamhub.sql.tenants import provision_tenant
from tests.integration.conftest import MIGRATIONS, Database, NewTenant, TenantLogin
from tests.integration.sql.support import connected

PROVISIONING = "hashtextextended('dreamhub.provision_tenant', 0)"
SHARED = (
    f"SELECT pg_advisory_lock({PROVISIONING})",
    "SELECT pg_advisory_lock_shared(1)",
    "SELECT pg_advisory_xact_lock(1, 2)",
    f"SELECT pg_try_advisory_lock({PROVISIONING})",
    "SELECT pg_try_advisory_xact_lock_shared(1)",
    "SELECT pg_notify('any', 'thing')",
    "SELECT pg_logical_emit_message(false, 'x', 'fills the WAL')",
    "SELECT lo_create(0)",
    "SELECT lo_from_bytea(0, 'fills the disk')",
    "LOCK TABLE dreamhub.provisioning IN ACCESS SHARE MODE",
    "LOCK TABLE dreamhub.schema_migrations IN ACCESS SHARE MODE",
    "SELECT dreamhub.serialize_provisioning()",
    "SET temp_file_limit = -1",
)


@pytest.mark.parametrize("statement", SHARED)
async def test_what_all_share_is_refused(tenant: TenantLogin, statement: str) -> None:
    async with connected(tenant.url) as conn, conn.transaction():
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await conn.execute(statement)


async def test_no_advisory_lock_holds_up_provisioning_or_a_release(
    database: Database, operator_connection: Connection, new_tenant: NewTenant
) -> None:
    """Where the functions could not be revoked, a lock of theirs must mean nothing: here a superuser holds them."""
    async with connected(database.server.superuser_url) as holder, connected(database.url("dreamhub_owner")) as owner:
        await holder.execute(f"SELECT pg_advisory_lock({PROVISIONING})")
        await holder.execute("SELECT pg_advisory_lock(hashtextextended('dreamhub.migrations', 0))")
        async with asyncio.timeout(60):
            login = await new_tenant()
            await provision_tenant(operator_connection, login.tenant)
            assert await migrate_up(owner, load_migrations(MIGRATIONS), io.StringIO()) == SCHEMA_HEAD


async def test_provisioning_is_one_at_a_time(
    database: Database, operator_connection: Connection, tenant: TenantLogin
) -> None:
    async with connected(database.url("dreamhub_owner")) as owner:
        transaction = owner.transaction()
        await transaction.start()
        await owner.execute("SELECT dreamhub.serialize_provisioning()")
        waiting = asyncio.create_task(provision_tenant(operator_connection, tenant.tenant))
        async with asyncio.timeout(120):
            while not await owner.fetchval(
                "SELECT count(*) FROM pg_locks WHERE relation = 'dreamhub.provisioning'::regclass AND NOT granted"
            ):
                await asyncio.sleep(0.01)
        await transaction.rollback()
        await waiting


async def test_a_login_has_limits(tenant: TenantLogin) -> None:
    async with connected(tenant.url) as conn:
        assert await conn.fetchval("SHOW temp_file_limit") == "1GB"
        assert await conn.fetchval("SHOW statement_timeout") == "10min"
        assert await conn.fetchval("SHOW idle_in_transaction_session_timeout") == "2min"
        assert await conn.fetchval("SELECT rolconnlimit FROM pg_roles WHERE rolname = session_user") == 32


async def test_the_services_have_connections_of_their_own(database: Database, tenant: TenantLogin) -> None:
    reserved = "SELECT pg_has_role($1, 'pg_use_reserved_connections', 'USAGE')"
    async with connected(database.server.superuser_url) as conn:
        for login in ("dreamhub_api", "dreamhub_operator", "dreamhub_owner"):
            assert await conn.fetchval(reserved, login)
        assert not await conn.fetchval(reserved, f"t_{tenant.tenant}")

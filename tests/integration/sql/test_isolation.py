"""What keeps tenants apart: roles, schemas, partitions. Forgetting one is an error, never a leak."""

import asyncpg
import pytest

from dreamhub.errors import ForbiddenError, NotFoundError
from dreamhub.sql.connections import Connection, Pool
from dreamhub.sql.documents import list_documents
from dreamhub.sql.pool import open_pool, tenant_transaction
from tests.integration.conftest import Database, NewTenant, TenantLogin
from tests.integration.sql.support import File, connected, ingest

TABLES = (
    "documents",
    "document_versions",
    "chunks",
    "index_generations",
    "term_counts",
    "ingest_runs",
    "ingest_run_documents",
    "object_outbox",
    "rekey_runs",
    "quota",
    "token_uses",
    "job_admissions",
    "work_items",
    "run_workers",
    "source_checkpoints",
    "source_items",
)
OPERATOR_READS = {
    "documents",
    "document_versions",
    "ingest_runs",
    "ingest_run_documents",
    "rekey_runs",
    "quota",
    "job_admissions",
}


@pytest.mark.parametrize("table", TABLES)
async def test_forgetting_the_role_is_an_error(api_pool: Pool, tenant: TenantLogin, table: str) -> None:
    async with api_pool.acquire() as conn:
        with pytest.raises(asyncpg.UndefinedTableError):
            await conn.fetch(f"SELECT * FROM {table}")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await conn.fetch(f'SELECT * FROM "t_{tenant.tenant}".{table}')
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await conn.fetch(f"SELECT * FROM dreamhub.{table}")


async def test_api_login_owns_and_inherits_nothing(api_pool: Pool, tenant: TenantLogin) -> None:
    async with api_pool.acquire() as conn:
        owned = await conn.fetchval(
            "SELECT count(*) FROM pg_shdepend WHERE deptype = 'o' AND refobjid = session_user::regrole"
        )
        assert owned == 0
        may = "SELECT pg_has_role(session_user, $1, $2)"
        assert await conn.fetchval(may, f"t_{tenant.tenant}", "SET")
        assert not await conn.fetchval(may, f"t_{tenant.tenant}", "USAGE")


async def test_role_ends_with_the_transaction(api_pool: Pool, tenant: TenantLogin) -> None:
    async with tenant_transaction(api_pool, tenant.tenant) as conn:
        assert await conn.fetchval("SELECT current_user") == f"t_{tenant.tenant}"
    with pytest.raises(ZeroDivisionError):
        async with tenant_transaction(api_pool, tenant.tenant):
            raise ZeroDivisionError
    async with api_pool.acquire() as conn:
        assert await conn.fetchval("SELECT current_user") == "dreamhub_api"


@pytest.mark.parametrize("name", ["absent", "x'; DROP SCHEMA dreamhub; --", "", "dreamhub_owner", 'a" b'])
async def test_unknown_tenant_is_not_found(api_pool: Pool, name: str) -> None:
    with pytest.raises(NotFoundError):
        async with tenant_transaction(api_pool, name):
            pytest.fail("entered")


async def test_prepared_statement_never_crosses_tenants(database: Database, new_tenant: NewTenant) -> None:
    """One connection, one cached statement, two roles in turn: each sees its own table, whatever was planned before."""
    logins = {"first.md": await new_tenant(), "second.md": await new_tenant()}
    for name, login in logins.items():
        async with connected(login.url) as conn:
            await ingest(conn, login.keys, File(name, ("text",)))
    # Generic plans are the dangerous ones: they live on.
    settings = {"plan_cache_mode": "force_generic_plan", "search_path": '"$user", public'}
    async with connected(database.url("dreamhub_api"), settings) as conn:
        for _ in range(6):
            for name, login in logins.items():
                async with conn.transaction():
                    await conn.execute(f'SET LOCAL ROLE "t_{login.tenant}"')
                    page = await list_documents(conn, login.keys)
                    assert [document.name for document in page.items] == [name]
        with pytest.raises(asyncpg.UndefinedTableError):  # the cached statement again, with no role
            await list_documents(conn, login.keys)
        cached = await conn.fetch("SELECT statement, generic_plans FROM pg_prepared_statements")
        counts = [row["generic_plans"] for row in cached if "CROSS JOIN LATERAL" in row["statement"]]
        assert len(counts) == 1, "it was one statement all the time"
        assert counts[0] >= 12, "planned generically"


async def test_tenant_sees_no_other_and_no_parent(new_tenant: NewTenant) -> None:
    first, second = await new_tenant(), await new_tenant()
    async with connected(first.url) as conn:
        for table in TABLES:
            for schema in (f"t_{second.tenant}", "dreamhub"):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await conn.fetch(f'SELECT * FROM "{schema}".{table}')
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await conn.execute(f'SET ROLE "t_{second.tenant}"')
        for role in ("dreamhub_owner", "dreamhub_api", "dreamhub_tenant"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await conn.execute(f"SET ROLE {role}")


async def test_tenant_cannot_write_another_tenants_rows(new_tenant: NewTenant) -> None:
    first, second = await new_tenant(), await new_tenant()
    async with connected(first.url) as conn:
        with pytest.raises(asyncpg.CheckViolationError):
            await conn.execute("INSERT INTO term_counts (tenant_id, term, chunks) VALUES ($1, 1, 1)", second.tenant)


async def test_tenant_cannot_create_objects(tenant: TenantLogin) -> None:
    async with connected(tenant.url) as conn:
        for statement in ("CREATE TABLE x (y int)", "CREATE TABLE public.x (y int)", "CREATE TEMP TABLE x (y int)"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await conn.execute(statement)


async def test_copy_works_as_the_tenant(tenant_connection: Connection) -> None:
    await tenant_connection.copy_records_to_table("term_counts", records=[(1, 2), (3, 4)], columns=["term", "chunks"])
    assert await tenant_connection.fetchval("SELECT sum(chunks) FROM term_counts") == 6


async def test_operator_reads_states_but_no_text(operator_connection: Connection, tenant: TenantLogin) -> None:
    for table in TABLES:
        select = f'SELECT count(*) FROM "t_{tenant.tenant}".{table}'
        if table in OPERATOR_READS:
            assert await operator_connection.fetchval(select) == (table == "quota")
        else:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await operator_connection.fetchval(select)


async def test_parents_force_row_security_closed(database: Database, tenant: TenantLogin) -> None:
    """The second wall: even with a grant, a parent shows nothing until a tenant is named."""
    async with connected(database.server.superuser_url) as conn:
        rows = await conn.fetch(
            "SELECT relname, relrowsecurity AND relforcerowsecurity AS forced FROM pg_class "
            "WHERE relnamespace = 'dreamhub'::regnamespace AND relkind = 'p' ORDER BY relname"
        )
        assert {row["relname"]: row["forced"] for row in rows} == dict.fromkeys(sorted(TABLES), True)
        async with conn.transaction():
            await conn.execute(f'INSERT INTO "t_{tenant.tenant}".term_counts (term, chunks) VALUES (1, 1)')
            await conn.execute("SET LOCAL ROLE dreamhub_owner")
            assert await conn.fetchval("SELECT count(*) FROM dreamhub.term_counts") == 0
            await conn.execute("SET LOCAL app.tenant_id = ''")
            assert await conn.fetchval("SELECT count(*) FROM dreamhub.term_counts") == 0
            await conn.execute(f"SET LOCAL app.tenant_id = '{tenant.tenant}'")
            assert await conn.fetchval("SELECT count(*) FROM dreamhub.term_counts") == 1


async def test_superuser_login_is_refused(database: Database) -> None:
    with pytest.raises(ForbiddenError, match="sees past row security"):
        async with await open_pool(database.server.superuser_url):
            pytest.fail("opened")


async def test_other_databases_users_cannot_connect(database: Database) -> None:
    async with connected(database.server.superuser_url) as conn:
        await conn.execute("CREATE ROLE stranger LOGIN PASSWORD 'x'")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with connected(database.server.url("stranger", "x")):
                pytest.fail("connected")
        await conn.execute("DROP ROLE stranger")

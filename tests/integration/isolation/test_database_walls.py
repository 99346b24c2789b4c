"""Each wall of the database alone: the others are taken down inside a transaction that is rolled back.

`make walls` removes the walls one by one and expects these tests to notice.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from dreamhub import names
from dreamhub.sql.connections import Connection, Pool
from dreamhub.sql.pool import tenant_transaction
from tests.integration.conftest import Database, NewTenant, TenantLogin
from tests.integration.isolation.plants import TABLES
from tests.integration.sql.support import File, connected, ingest

Pair = tuple[TenantLogin, TenantLogin]
FOREIGN = "INSERT INTO dreamhub.term_counts (tenant_id, term, chunks) VALUES ($1, 4711, 1)"


@pytest_asyncio.fixture(scope="module")
async def pair(new_tenant: NewTenant) -> Pair:
    """Two tenants with a document each."""
    pair = (await new_tenant(), await new_tenant())
    for login in pair:
        async with connected(login.url) as conn:
            await ingest(conn, login.keys, File("a.md", (f"text of {login.tenant}",)))
    return pair


@pytest_asyncio.fixture
async def admin(database: Database) -> AsyncIterator[Connection]:
    """A superuser in a transaction that leaves nothing."""
    async with connected(database.server.superuser_url) as conn:
        transaction = conn.transaction()
        await transaction.start()
        yield conn
        await transaction.rollback()


def role_of(login: TenantLogin) -> str:
    return names.database_role(login.tenant)


@asynccontextmanager
async def becoming(conn: Connection, role: str, tenant: str | None = None) -> AsyncIterator[None]:
    """Inside, `conn` has the rights of `role`; whatever happens, it is itself again afterwards."""
    savepoint = conn.transaction()
    await savepoint.start()
    try:
        if tenant is not None:
            await conn.execute("SELECT set_config('app.tenant_id', $1, true)", tenant)
        await conn.execute(f'SET LOCAL ROLE "{role}"')
        yield
    finally:
        await savepoint.rollback()


async def grant_parents(admin: Connection, role: str) -> None:
    """Takes the first wall down: nobody has a grant on a parent."""
    await admin.execute(f'GRANT USAGE ON SCHEMA dreamhub TO "{role}"')
    await admin.execute(f'GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA dreamhub TO "{role}"')


async def seen(conn: Connection, table: str) -> set[str]:
    return {row["tenant_id"] for row in await conn.fetch(f"SELECT DISTINCT tenant_id FROM dreamhub.{table}")}


async def test_row_policy_shows_the_named_tenant_only(admin: Connection, pair: Pair) -> None:
    """Alone: with a grant on the parents, the policy still decides."""
    first, _ = pair
    await grant_parents(admin, role_of(first))
    async with becoming(admin, role_of(first), first.tenant):
        assert {table: await seen(admin, table) for table in ("documents", "chunks", "term_counts")} == {
            "documents": {first.tenant},
            "chunks": {first.tenant},
            "term_counts": {first.tenant},
        }


@pytest.mark.parametrize("tenant", [None, "", "' OR true --", "%"])
async def test_row_policy_is_closed_without_a_tenant(admin: Connection, pair: Pair, tenant: str | None) -> None:
    role = role_of(pair[0])
    await grant_parents(admin, role)
    async with becoming(admin, role, tenant):
        assert [table for table in TABLES if await seen(admin, table)] == []


async def test_every_parent_has_the_same_policy(admin: Connection) -> None:
    rows = await admin.fetch(
        "SELECT c.relname, p.polname, p.polcmd::text AS command, p.polpermissive, p.polroles::regrole[]::text AS roles,"
        " pg_get_expr(p.polqual, p.polrelid) AS seen, pg_get_expr(p.polwithcheck, p.polrelid) AS written"
        " FROM pg_class c LEFT JOIN pg_policy p ON p.polrelid = c.oid"
        " WHERE c.relnamespace = 'dreamhub'::regnamespace AND c.relkind = 'p'"
    )
    assert sorted(row["relname"] for row in rows) == sorted(TABLES)
    assert {tuple(row.values())[1:] for row in rows} == {
        (
            "tenant",
            "*",
            True,
            "{-}",
            "(tenant_id = NULLIF(current_setting('app.tenant_id'::text, true), ''::text))",
            None,
        )
    }


async def test_row_policy_binds_the_owner(admin: Connection, pair: Pair) -> None:
    """FORCE alone: the owner has every right, and would see past row security that is only enabled."""
    assert pair
    async with becoming(admin, "dreamhub_owner"):
        assert [table for table in TABLES if await seen(admin, table)] == []


async def test_row_policy_checks_what_is_written(admin: Connection, pair: Pair) -> None:
    """WITH CHECK alone: through the parent, which routes a row to whatever partition its tenant names."""
    first, second = pair
    await grant_parents(admin, role_of(first))
    async with becoming(admin, role_of(first), first.tenant):
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
            await admin.execute(FOREIGN, second.tenant)


async def test_parents_are_granted_to_nobody(admin: Connection) -> None:
    granted = await admin.fetch(
        "SELECT c.relname, a.grantee::regrole::text AS grantee FROM pg_class c, aclexplode(c.relacl) a"
        " WHERE c.relnamespace = 'dreamhub'::regnamespace AND c.relkind = 'p' AND a.grantee <> c.relowner"
    )
    assert granted == []


async def test_partition_is_granted_to_its_tenant_only(admin: Connection, pair: Pair) -> None:
    """Alone: the way into the schema is opened."""
    first, second = pair
    await admin.execute(f'GRANT USAGE ON SCHEMA "{role_of(second)}" TO "{role_of(first)}", dreamhub_api')
    for stranger in (role_of(first), "dreamhub_api"):
        for table in TABLES:
            async with becoming(admin, stranger, second.tenant):
                with pytest.raises(asyncpg.InsufficientPrivilegeError, match=f"table {table}"):
                    await admin.fetch(f'SELECT * FROM "{role_of(second)}".{table}')


async def test_schema_is_open_to_its_tenant_only(admin: Connection, pair: Pair) -> None:
    """Alone: the tables are granted."""
    first, second = pair
    await admin.execute(f'GRANT ALL ON ALL TABLES IN SCHEMA "{role_of(second)}" TO "{role_of(first)}", dreamhub_api')
    for stranger in (role_of(first), "dreamhub_api"):
        async with becoming(admin, stranger, second.tenant):
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match="schema"):
                await admin.fetch(f'SELECT * FROM "{role_of(second)}".documents')


async def test_partition_takes_no_foreign_row(pair: Pair) -> None:
    """The partition's bound alone: the tenant may write its tables, and no tenant's name but its own into them."""
    first, second = pair
    async with connected(first.url) as conn:
        with pytest.raises(asyncpg.CheckViolationError):
            await conn.execute(FOREIGN.replace("dreamhub.", ""), second.tenant)
        with pytest.raises(asyncpg.CheckViolationError):
            await conn.execute("UPDATE documents SET tenant_id = $1", second.tenant)


async def test_every_key_holds_the_tenant(admin: Connection, pair: Pair) -> None:
    """Unique and foreign keys see past row security: without the tenant in them they tell what others have."""
    assert pair
    lacking = await admin.fetch(
        "SELECT c.oid::regclass::text AS of, i.indexrelid::regclass::text AS key FROM pg_class c"
        " JOIN pg_index i ON i.indrelid = c.oid AND i.indisunique"
        " WHERE c.relname = ANY (dreamhub.tenant_tables()) AND c.relkind IN ('r', 'p') AND NOT EXISTS ("
        "   SELECT FROM pg_attribute a WHERE a.attrelid = i.indexrelid AND a.attname = 'tenant_id')"
        " UNION ALL SELECT k.conrelid::regclass::text, k.conname FROM pg_constraint k"
        " JOIN pg_class c ON c.oid = k.conrelid"
        " WHERE k.contype = 'f' AND c.relname = ANY (dreamhub.tenant_tables()) AND NOT EXISTS ("
        "   SELECT FROM pg_attribute a WHERE a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey)"
        "   AND a.attname = 'tenant_id')"
    )
    assert lacking == []


async def test_foreign_parent_row_is_absent(pair: Pair) -> None:
    """The foreign key alone: a version of another tenant's document is refused like one of no document."""
    first, second = pair
    async with connected(second.url) as conn:
        foreign = await conn.fetchval("SELECT id FROM documents")
    insert = (
        "INSERT INTO document_versions (id, document_id, number, media_type, content_key, size_bytes)"
        " VALUES ('ver_x', $1, 1, 'text/plain', '', 0)"
    )
    async with connected(first.url) as conn:
        answers = []
        for document in (foreign, "doc_" + "0" * 32):
            with pytest.raises(asyncpg.ForeignKeyViolationError) as refused:
                await conn.execute(insert, document)
            answers.append((refused.value.detail or "").replace(document, "ID"))
        assert answers[0] == answers[1]


async def test_same_ids_do_not_collide(pair: Pair) -> None:
    """No unique key is an oracle: what another tenant has may be had again."""
    first, second = pair
    async with connected(second.url) as conn:
        document = await conn.fetchrow("SELECT id, meta_ct, name_key, tag_keys, source FROM documents")
    assert document is not None
    async with connected(first.url) as conn:
        insert = "INSERT INTO documents (id, meta_ct, name_key, tag_keys, source) VALUES ($1, $2, $3, $4, $5)"
        await conn.execute(insert, *document.values())
        await conn.execute("DELETE FROM documents WHERE id = $1", document["id"])


async def test_api_login_inherits_no_tenant(api_pool: Pool, pair: Pair) -> None:
    """NOINHERIT alone: a member of every tenant's role, with the rights of none until it takes one."""
    async with api_pool.acquire() as conn:
        for login in pair:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await conn.fetch(f'SELECT * FROM "{role_of(login)}".documents')


async def test_role_is_taken_for_one_transaction(api_pool: Pool, pair: Pair) -> None:
    for login in pair:
        async with tenant_transaction(api_pool, login.tenant) as conn:
            assert await conn.fetchval("SELECT current_user") == role_of(login)
            backend = await conn.fetchval("SELECT pg_backend_pid()")
        async with api_pool.acquire() as conn:
            assert await conn.fetchval("SELECT pg_backend_pid()") == backend, "the same connection, lent again"
            assert await conn.fetchval("SELECT current_user") == "dreamhub_api"
            with pytest.raises(asyncpg.UndefinedTableError):
                await conn.fetch("SELECT * FROM documents")


async def test_tenants_may_call_no_function_of_the_platform(admin: Connection, pair: Pair) -> None:
    """EXECUTE alone: the way into the schema is opened."""
    await admin.execute(f'GRANT USAGE ON SCHEMA dreamhub TO "{role_of(pair[0])}"')
    callable_ = await admin.fetch(
        "SELECT p.oid::regprocedure::text AS function FROM pg_proc p"
        " WHERE p.pronamespace = 'dreamhub'::regnamespace AND has_function_privilege($1, p.oid, 'EXECUTE')"
        " AND p.prorettype <> 'trigger'::regtype",
        role_of(pair[0]),
    )
    assert callable_ == []


async def test_tenants_cannot_enter_the_platforms_schema(admin: Connection, pair: Pair) -> None:
    """USAGE alone."""
    assert not await admin.fetchval("SELECT has_schema_privilege($1, 'dreamhub', 'USAGE')", role_of(pair[0]))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE quota SET max_documents = NULL, documents = 0",
        "INSERT INTO quota DEFAULT VALUES",
        "DELETE FROM quota",
        "UPDATE token_uses SET tokens = 0",
        "DELETE FROM token_uses",
        "UPDATE document_versions SET size_bytes = 0",
        "SELECT dreamhub.set_limits('{}', '{{}}')",
    ],
)
async def test_limits_are_not_the_tenants_to_write(pair: Pair, statement: str) -> None:
    """Grants alone: with its own login, past every program of ours."""
    async with connected(pair[0].url) as conn:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await conn.execute(statement.format(pair[0].tenant))


@pytest.mark.parametrize(
    "statement", ["INSERT INTO job_admissions (name) VALUES ('mine')", "DELETE FROM job_admissions"]
)
async def test_places_in_the_queue_are_not_the_tenants_to_take(pair: Pair, statement: str) -> None:
    """A trigger alone: the API needs the grant, and the tenant's own login has it too."""
    async with connected(pair[0].url) as conn:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await conn.execute(statement)


async def test_role_left_behind_is_taken_off(api_pool: Pool, pair: Pair) -> None:
    """The pool alone: somebody takes a role for the whole session and gives the connection back."""
    async with api_pool.acquire() as conn:
        await conn.execute(f'SET ROLE "{role_of(pair[0])}"')
    async with api_pool.acquire() as conn:
        assert await conn.fetchval("SELECT current_user") == "dreamhub_api"


async def test_role_ends_with_its_transaction(database: Database, pair: Pair) -> None:
    """SET LOCAL alone: on one connection that no pool cleans in between."""
    async with connected(database.url("dreamhub_api")) as conn:

        @asynccontextmanager
        async def acquire() -> AsyncIterator[Connection]:
            yield conn

        pool: Any = SimpleNamespace(acquire=acquire)
        async with tenant_transaction(pool, pair[0].tenant):
            assert await conn.fetchval("SELECT current_user") == role_of(pair[0])
        assert await conn.fetchval("SELECT current_user") == "dreamhub_api"

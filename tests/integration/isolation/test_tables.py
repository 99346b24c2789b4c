"""Every table, every verb, by everyone who is not its tenant: refused, and nothing has changed."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

import asyncpg
import pytest

from dreamhub import names
from dreamhub.sql.connections import Connection
from tests.integration.conftest import Database
from tests.integration.isolation.plants import TABLES, Planted
from tests.integration.isolation.witness import Witness
from tests.integration.sql.support import connected

Verb = Callable[[Connection, str, str], Awaitable[object]]
"""Takes the schema and the table."""


def _statement(text: str) -> Verb:
    async def run(conn: Connection, schema: str, table: str) -> object:
        return await conn.execute(text.format(f'"{schema}"."{table}"'))

    return run


async def _copy_in(conn: Connection, schema: str, table: str) -> object:
    return await conn.copy_records_to_table(table, schema_name=schema, records=[("x",)], columns=["tenant_id"])


VERBS: dict[str, Verb] = {
    "select": _statement("SELECT * FROM {}"),
    "count": _statement("SELECT count(*) FROM {}"),
    "lock rows": _statement("SELECT 1 FROM {} FOR SHARE"),
    "insert": _statement("INSERT INTO {} DEFAULT VALUES"),
    "update": _statement("UPDATE {} SET tenant_id = tenant_id"),
    "delete": _statement("DELETE FROM {}"),
    "truncate": _statement("TRUNCATE {}"),
    "lock": _statement("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE"),
    "copy out": _statement("COPY {} TO STDOUT"),
    "copy in": _copy_in,
    "alter": _statement("ALTER TABLE {} NO FORCE ROW LEVEL SECURITY"),
    "drop": _statement("DROP TABLE {}"),
    "grant": _statement("GRANT SELECT ON {} TO PUBLIC"),
    "index": _statement("CREATE INDEX ON {} (tenant_id)"),
    "trigger": _statement("CREATE TRIGGER x BEFORE INSERT ON {} EXECUTE FUNCTION suppress_redundant_updates_trigger()"),
    "policy": _statement("CREATE POLICY mine ON {} USING (true)"),
}


@asynccontextmanager
async def as_role(url: str, role: str | None, tenant: str | None = None) -> AsyncIterator[Connection]:
    """A login that becomes `role` for good and calls itself `tenant` in the setting that row security reads."""
    async with connected(url) as conn:
        if role is not None:
            await conn.execute(f'SET ROLE "{role}"')
        if tenant is not None:
            await conn.execute("SELECT set_config('app.tenant_id', $1, false)", tenant)
        yield conn


async def is_refused(conn: Connection, attempt: Callable[[], Awaitable[object]]) -> bool:
    """Whether the right is missing. What goes through is taken back."""
    transaction = conn.transaction()
    await transaction.start()
    try:
        await attempt()
    except asyncpg.InsufficientPrivilegeError:
        return True
    finally:
        await transaction.rollback()
    return False


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("who", ["no tenant", "other, by the API", "other, by its worker", "empty", "malformed"])
async def test_strangers_are_refused(  # noqa: PLR0913, PLR0917 - fixtures
    database: Database, witness: Witness, victim: Planted, attacker: Planted, table: str, who: str
) -> None:
    api, other = database.url("dreamhub_api"), names.database_role(attacker.tenant.name)
    doors = {
        "no tenant": as_role(api, None, victim.tenant.name),
        "other, by the API": as_role(api, other, victim.tenant.name),
        "other, by its worker": as_role(attacker.tenant.database_url, None, victim.tenant.name),
        "empty": as_role(attacker.tenant.database_url, None, ""),
        "malformed": as_role(attacker.tenant.database_url, None, f"{victim.tenant.name}' OR true --"),
    }
    before = await witness.tables()
    async with doors[who] as conn:
        for schema in (names.database_role(victim.tenant.name), "dreamhub"):
            allowed = [
                verb for verb, run in VERBS.items() if not await is_refused(conn, partial(run, conn, schema, table))
            ]
            assert allowed == [], f"{who} on {schema}.{table}"
    assert await witness.tables() == before


@pytest.mark.parametrize("table", TABLES)
async def test_ones_own_table_is_open(attacker: Planted, table: str) -> None:
    """So that a refusal above is about whose table it is."""
    async with connected(attacker.tenant.database_url) as conn:
        assert await conn.fetchval(f"SELECT count(*) FROM {table} WHERE tenant_id = $1", attacker.tenant.name) > 0


async def test_roles_cannot_be_taken(database: Database, victim: Planted, attacker: Planted) -> None:
    role = names.database_role(victim.tenant.name)
    forbidden = (
        f'SET ROLE "{role}"',
        f'SET SESSION AUTHORIZATION "{role}"',
        f'GRANT "{role}" TO CURRENT_USER',
        f"ALTER ROLE \"{role}\" PASSWORD 'x'",
        f"SELECT dreamhub.drop_tenant('{victim.tenant.name}')",
        "SET ROLE dreamhub_owner",
        "SET ROLE dreamhub_api",
        "SET ROLE dreamhub_operator",
        "CREATE ROLE mine",
        "CREATE SCHEMA mine",
    )
    async with connected(attacker.tenant.database_url) as conn:
        assert [text for text in forbidden if not await is_refused(conn, partial(conn.execute, text))] == []


async def test_statistics_tell_nothing(victim: Planted, attacker: Planted) -> None:
    """`pg_stats` shows the most common values of columns."""
    async with connected(attacker.tenant.database_url) as conn:
        for view in ("pg_stats", "pg_stats_ext", "pg_stats_ext_exprs"):
            schemas = {row["schemaname"] for row in await conn.fetch(f"SELECT DISTINCT schemaname FROM {view}")}
            assert names.database_role(victim.tenant.name) not in schemas
        assert (
            await conn.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE usename <> current_user AND query <> "
                "'<insufficient privilege>' AND query <> ''"
            )
            == 0
        )

"""The probes of PostgreSQL pass on the real walls, and name the wall that was taken away."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg
import pytest
import pytest_asyncio

from dreamhub_operator.isolation.outcome import Probe, describe, tally
from dreamhub_operator.isolation.side import Side
from dreamhub_operator.isolation.sql import probe_sql
from tests.integration.conftest import Database, NewTenant, TenantLogin
from tests.integration.probes.sides import leaks
from tests.integration.sql.support import File, connected, ingest


@pytest_asyncio.fixture(scope="module")
async def pair(new_tenant: NewTenant) -> tuple[Side, Side]:
    """Two tenants with a document each."""
    sides = []
    for login in (await new_tenant(), await new_tenant()):
        async with connected(login.url) as conn:
            await ingest(conn, login.keys, File("note.md", ("a text",)))
        sides.append(side_of(login))
    return sides[0], sides[1]


def side_of(login: TenantLogin) -> Side:
    return Side(login.tenant, login.url, "", "", None, None)


@asynccontextmanager
async def changed(database: Database, change: str, undo: str) -> AsyncIterator[None]:
    """The database with one wall less."""
    conn = await asyncpg.connect(database.server.superuser_url)
    try:
        await conn.execute(change)
        yield
    finally:
        await conn.execute(undo)
        await conn.close()


async def test_walls_that_stand_pass(pair: tuple[Side, Side]) -> None:
    for attacker, victim in (pair, pair[::-1]):
        probes = await probe_sql(attacker, victim)
        found = tally(probes)
        assert (found.verdict, found.detail) == ("Verified", "")
        names = [probe.name for probe in probes]
        for table in ("documents", "chunks", "ingest_runs"):
            for schema in ("dreamhub", victim.schema):
                assert f'{attacker.tenant}: SELECT "{schema}"."{table}"' in names
        assert len(names) == len(set(names))


async def test_nothing_stays_behind(database: Database, pair: tuple[Side, Side]) -> None:
    async def count() -> list[int]:
        conn = await asyncpg.connect(database.server.superuser_url)
        tables = ("documents", "document_versions", "chunks")
        counts = [await conn.fetchval(f"SELECT count(*) FROM dreamhub.{table}") for table in tables]
        await conn.close()
        return counts

    before = await count()
    await probe_sql(*pair)
    assert await count() == before


@dataclass(frozen=True)
class Wall:
    """How to take it away, to put it back, and what the probes then say; {a} attacks {v}."""

    change: str
    undo: str
    names: tuple[str, ...]


WALLS = {
    "grant on a parent": Wall(
        "GRANT USAGE ON SCHEMA dreamhub TO {a}; GRANT SELECT ON dreamhub.documents TO {a}",
        "REVOKE ALL ON SCHEMA dreamhub FROM {a}; REVOKE ALL ON dreamhub.documents FROM {a}",
        ('SELECT "dreamhub"."documents"', "privileges on another's tables"),
    ),
    "grant on a partition behind its closed schema": Wall(
        "GRANT DELETE ON {v}.chunks TO {a}",
        "REVOKE DELETE ON {v}.chunks FROM {a}",
        ("privileges on another's tables",),
    ),
    "open schema": Wall(
        "GRANT USAGE ON SCHEMA {v} TO PUBLIC",
        "REVOKE USAGE ON SCHEMA {v} FROM PUBLIC",
        ("privileges on schemas and database",),
    ),
    "everything on a partition": Wall(
        "GRANT USAGE ON SCHEMA {v} TO {a}; GRANT ALL ON {v}.documents TO {a}",
        "REVOKE ALL ON SCHEMA {v} FROM {a}; REVOKE ALL ON {v}.documents FROM {a}",
        tuple(
            f'{verb} "{{V}}"."documents"'
            for verb in ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "LOCK", "COPY TO", "COPY FROM")
        ),
    ),
    "role granted": Wall("GRANT {v} TO {a}", "REVOKE {v} FROM {a}", ("SET ROLE {V}", "roles it is a member of")),
    "role granted with the right to grant it": Wall(
        "GRANT {v} TO {a} WITH ADMIN TRUE, INHERIT FALSE, SET FALSE",
        "REVOKE {v} FROM {a}",
        ("roles it is a member of",),
    ),
    "role granted to a third": Wall(
        "GRANT {a} TO dreamhub_operator", "REVOKE {a} FROM dreamhub_operator", ("who can become it",)
    ),
    "bypass of row security": Wall(
        "ALTER ROLE {a} BYPASSRLS", "ALTER ROLE {a} NOBYPASSRLS", ("attributes of its role",)
    ),
    "row security off": Wall(
        "ALTER TABLE dreamhub.chunks DISABLE ROW LEVEL SECURITY",
        "ALTER TABLE dreamhub.chunks ENABLE ROW LEVEL SECURITY",
        ("forced row security of the parents",),
    ),
    "row security not forced": Wall(
        "ALTER TABLE dreamhub.chunks NO FORCE ROW LEVEL SECURITY",
        "ALTER TABLE dreamhub.chunks FORCE ROW LEVEL SECURITY",
        ("forced row security of the parents",),
    ),
    "policy for everybody": Wall(
        "CREATE POLICY open ON dreamhub.chunks USING (true)",
        "DROP POLICY open ON dreamhub.chunks",
        ("policies of the parents",),
    ),
    "policy that checks nothing": Wall(
        "ALTER POLICY tenant ON dreamhub.documents WITH CHECK (true)",
        "DROP POLICY tenant ON dreamhub.documents; CREATE POLICY tenant ON dreamhub.documents "
        "USING (tenant_id = NULLIF(pg_catalog.current_setting('app.tenant_id', true), ''))",
        ("policies of the parents",),
    ),
    "no policy": Wall(
        "DROP POLICY tenant ON dreamhub.documents",
        "CREATE POLICY tenant ON dreamhub.documents "
        "USING (tenant_id = NULLIF(pg_catalog.current_setting('app.tenant_id', true), ''))",
        ("policies of the parents",),
    ),
    "function for everybody": Wall(
        "GRANT USAGE ON SCHEMA dreamhub TO {a}; GRANT EXECUTE ON FUNCTION dreamhub.drop_tenant(text) TO {a}",
        "REVOKE USAGE ON SCHEMA dreamhub FROM {a}; REVOKE EXECUTE ON FUNCTION dreamhub.drop_tenant(text) FROM {a}",
        ("drop_tenant", "functions with their owner's rights"),
    ),
    "grant to a third": Wall(
        "GRANT SELECT (id) ON {a}.documents TO dreamhub_api",
        "REVOKE SELECT (id) ON {a}.documents FROM dreamhub_api",
        ("grants to others on its tables",),
    ),
    "key across tenants": Wall(
        "ALTER TABLE {a}.document_versions DROP CONSTRAINT document_versions_document_fkey;"
        "CREATE UNIQUE INDEX across ON {v}.documents (id);"
        "ALTER TABLE {a}.document_versions ADD CONSTRAINT across FOREIGN KEY (document_id)"
        " REFERENCES {v}.documents (id) NOT VALID",
        "ALTER TABLE {a}.document_versions DROP CONSTRAINT across; DROP INDEX {v}.across;"
        "ALTER TABLE {a}.document_versions ADD CONSTRAINT document_versions_document_fkey "
        "FOREIGN KEY (document_id, tenant_id) REFERENCES {a}.documents (id, tenant_id)",
        ("foreign key to a document",),
    ),
    "files of the server": Wall(
        "GRANT pg_read_server_files TO {a} WITH INHERIT TRUE; GRANT EXECUTE ON FUNCTION pg_read_file(text) TO {a}",
        "REVOKE pg_read_server_files FROM {a}; REVOKE EXECUTE ON FUNCTION pg_read_file(text) FROM {a}",
        ("pg_read_file", "roles it is a member of"),
    ),
    "activity of others": Wall(
        "GRANT pg_read_all_stats TO {a} WITH INHERIT TRUE",
        "REVOKE pg_read_all_stats FROM {a}",
        ("the text of another's query", "roles it is a member of"),
    ),
    "temporary tables": Wall(
        "GRANT TEMPORARY ON DATABASE dreamhub TO {a}",
        "REVOKE TEMPORARY ON DATABASE dreamhub FROM {a}",
        ("CREATE TEMPORARY TABLE", "privileges on schemas and database"),
    ),
}


@pytest.mark.parametrize("name", WALLS)
async def test_missing_wall_is_reported(database: Database, pair: tuple[Side, Side], name: str) -> None:
    attacker, victim = pair
    wall, words = WALLS[name], {"a": f'"{attacker.role}"', "v": f'"{victim.role}"'}
    async with changed(database, wall.change.format(**words), wall.undo.format(**words)):
        found = leaks(await probe_sql(attacker, victim))
    for expected in wall.names:
        assert f"{attacker.tenant}: {expected.format(V=victim.role)}" in found
    assert tally(await probe_sql(attacker, victim)).verdict == "Verified"


async def test_absent_server_proves_nothing(pair: tuple[Side, Side]) -> None:
    broken = Side(pair[0].tenant, "postgresql://nobody@127.0.0.1:1/none", "", "", None, None)
    probes: Sequence[Probe] = await probe_sql(broken, pair[1])
    assert tally(probes).verdict == "Inconclusive"
    assert "PostgreSQL failed" in describe(probes[0])

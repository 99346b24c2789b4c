import asyncio
import io
import os
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from dreamhub.errors import ConflictError, UnavailableError
from dreamhub.sql.migrate import Migration, connect_in_time, load_migrations, migrate_up, wait_for_schema
from dreamhub.sql.quota import fetch_usage
from dreamhub.sql.schema import SCHEMA_HEAD, SCHEMA_MIN, fetch_schema_version
from tests.integration.conftest import MIGRATIONS, Database
from tests.integration.sql.support import connected

MIGRATION = Migration(1, "expand", "first", "CREATE TABLE dreamhub.one (x int)")
SECOND = Migration(2, "expand", "second", "CREATE TABLE dreamhub.two (x int)")


@pytest_asyncio.fixture
async def empty(database: Database) -> AsyncIterator[Database]:
    """A bootstrapped database before its first migration, on the same server."""
    name = f"migrate_{secrets.token_hex(4)}"
    conn = await asyncpg.connect(database.server.superuser_url)
    await conn.execute(f"CREATE DATABASE {name}")
    admin = await asyncpg.connect(database.server.url("postgres", "throw-away", name))
    await admin.execute((MIGRATIONS / "bootstrap.sql").read_text())
    await admin.close()
    yield Database(database.server, database.password, name)
    await conn.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await conn.close()


async def test_bootstrap_can_be_repeated(empty: Database) -> None:
    async with connected(empty.server.url("postgres", "throw-away", empty.name)) as conn:
        await conn.execute((MIGRATIONS / "bootstrap.sql").read_text())


async def test_concurrent_runs_apply_each_file_once(empty: Database) -> None:
    outputs = [io.StringIO() for _ in range(3)]

    async def run(out: io.StringIO) -> int:
        async with connected(empty.url("dreamhub_owner")) as conn:
            return await migrate_up(conn, load_migrations(MIGRATIONS), out)

    assert await asyncio.gather(*(run(out) for out in outputs)) == [SCHEMA_HEAD] * 3
    texts = [out.getvalue() for out in outputs]
    for migration in load_migrations(MIGRATIONS):
        assert sum(f"applied {migration.name} " in text for text in texts) == 1


async def test_a_run_waits_for_the_lock_of_another(empty: Database) -> None:
    async with connected(empty.url("dreamhub_owner")) as holder, connected(empty.url("dreamhub_owner")) as conn:
        await migrate_up(holder, [MIGRATION], io.StringIO())
        transaction = holder.transaction()
        await transaction.start()
        await holder.execute("LOCK TABLE dreamhub.schema_migrations IN SHARE ROW EXCLUSIVE MODE")
        waiting = asyncio.create_task(migrate_up(conn, [MIGRATION, SECOND], io.StringIO()))
        async with asyncio.timeout(60):
            while not await holder.fetchval(
                "SELECT count(*) FROM pg_locks WHERE relation = 'dreamhub.schema_migrations'::regclass AND NOT granted"
            ):
                await asyncio.sleep(0.01)
        assert not waiting.done()
        assert await fetch_schema_version(holder) == 1, "services read on"
        holder.terminate()
        assert await waiting == 2


async def test_changed_history_is_refused(empty: Database) -> None:
    changed = Migration(1, "expand", "first", MIGRATION.sql + " -- typo")
    async with connected(empty.url("dreamhub_owner")) as conn:
        await migrate_up(conn, [MIGRATION], io.StringIO())
        with pytest.raises(ConflictError, match=r"0001_expand_first was applied at .* with other contents"):
            await migrate_up(conn, [changed, SECOND], io.StringIO())
        assert await fetch_schema_version(conn) == 1


async def test_failing_file_leaves_no_trace(empty: Database) -> None:
    broken = Migration(2, "expand", "second", SECOND.sql + "; SELECT 1 / 0")
    async with connected(empty.url("dreamhub_owner")) as conn:
        with pytest.raises(asyncpg.DivisionByZeroError):
            await migrate_up(conn, [MIGRATION, broken], io.StringIO())
        assert await fetch_schema_version(conn) == 1
        assert await conn.fetchval("SELECT to_regclass('dreamhub.two')") is None
        assert await migrate_up(conn, [MIGRATION, SECOND], io.StringIO()) == 2


async def test_wait_ends_when_the_schema_comes(empty: Database) -> None:
    out = io.StringIO()
    waiting = asyncio.create_task(wait_for_schema(empty.url("dreamhub_api"), 120, out))
    async with asyncio.timeout(60):
        while "schema version is 0" not in out.getvalue():
            await asyncio.sleep(0.01)
    async with connected(empty.url("dreamhub_owner")) as conn:
        await migrate_up(conn, load_migrations(MIGRATIONS), io.StringIO())
    assert await waiting == SCHEMA_HEAD


async def test_wait_lets_a_newer_schema_pass(empty: Database) -> None:
    """A Helm rollback: the database has migrations that this build has never heard of."""
    newer = [Migration(n, "expand", "later", f"CREATE TABLE dreamhub.t{n} (x int)") for n in range(1, SCHEMA_HEAD + 3)]
    async with connected(empty.url("dreamhub_owner")) as conn:
        await migrate_up(conn, newer, io.StringIO())
    assert await wait_for_schema(empty.url("dreamhub_operator"), 5, io.StringIO()) == SCHEMA_HEAD + 2


async def test_wait_gives_up_with_the_reason(empty: Database) -> None:
    with pytest.raises(UnavailableError, match=f"schema version is 0, this build needs at least {SCHEMA_MIN}"):
        await wait_for_schema(empty.url("dreamhub_api"), 0.1, io.StringIO())
    with pytest.raises(UnavailableError, match="not ready"):
        await wait_for_schema("postgresql://nobody:x@127.0.0.1:1/none", 0.1, io.StringIO())


async def test_migrations_wait_for_a_database_that_is_not_made_yet(database: Database) -> None:
    name, out = f"late_{secrets.token_hex(4)}", io.StringIO()
    url = database.server.url("postgres", "throw-away", name)
    connecting = asyncio.create_task(connect_in_time(url, 120, out))
    async with asyncio.timeout(60):
        while f'database "{name}" does not exist' not in out.getvalue():
            await asyncio.sleep(0.01)
    async with connected(database.server.superuser_url) as conn:
        await conn.execute(f"CREATE DATABASE {name}")
        await (await connecting).close()
        await conn.execute(f"DROP DATABASE {name} WITH (FORCE)")


async def test_migrations_give_up_on_a_server_that_never_answers() -> None:
    with pytest.raises(
        UnavailableError, match=r"gave up after 0 s: PostgreSQL does not answer \(ConnectionRefusedError"
    ):
        await connect_in_time("postgresql://nobody:x@127.0.0.1:1/none", 0.1, io.StringIO())


async def test_command_line(empty: Database, tmp_path: Path) -> None:
    url = tmp_path / "url"
    url.write_text(empty.url("dreamhub_owner") + "\n")
    environment = {**os.environ, "DREAMHUB_DATABASE_URL_FILE": str(url), "DREAMHUB_MIGRATIONS_DIR": str(MIGRATIONS)}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "dreamhub.sql.migrate", *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    assert "pending" in run("status").stdout
    failed = run("wait", "--timeout", "0")
    assert failed.returncode == 1
    assert failed.stderr.startswith("error: gave up")
    assert "applied 0001_expand_tenant_partitions" in run("up").stdout
    status = run("status")
    assert status.returncode == 0
    assert "pending" not in status.stdout
    assert run("wait").returncode == 0
    environment.pop("DREAMHUB_DATABASE_URL_FILE")
    assert "set DREAMHUB_DATABASE_URL_FILE" in run("up").stderr


async def test_a_file_for_each_tenant_runs_once_for_each(empty: Database) -> None:
    """And again from the start when it broke off: it is recorded when every tenant is done."""
    note = Migration(
        2,
        "expand",
        "notes",
        "-- for each tenant\nINSERT INTO dreamhub.one SELECT 1 / length(current_setting('dreamhub.tenant'))",
    )
    async with connected(empty.url("dreamhub_owner")) as conn:
        await migrate_up(conn, [MIGRATION], io.StringIO())
        for name in ("t_acme", "t_globex", "t_"):
            await conn.execute(f"CREATE SCHEMA {name}")
        with pytest.raises(asyncpg.DivisionByZeroError):
            await migrate_up(conn, [MIGRATION, note], io.StringIO())
        assert await fetch_schema_version(conn) == 1
        await conn.execute("DROP SCHEMA t_; DELETE FROM dreamhub.one")
        assert await migrate_up(conn, [MIGRATION, note], io.StringIO()) == 2
        assert await conn.fetchval("SELECT count(*) FROM dreamhub.one") == 2


async def test_tenants_from_before_quotas_are_counted(empty: Database) -> None:
    """A tenant of an earlier release, with rows and no triggers: its usage begins with what is there."""
    migrations = load_migrations(MIGRATIONS)
    tenant = f"old-{secrets.token_hex(4)}"
    async with connected(empty.url("dreamhub_owner")) as conn, connected(empty.url("dreamhub_operator")) as operator:
        await migrate_up(conn, migrations[:4], io.StringIO())
        await operator.execute("SELECT dreamhub.provision_tenant($1)", tenant)
        await conn.execute(f'SET search_path = "t_{tenant}"')
        await conn.execute(
            "INSERT INTO documents (id, meta_ct, name_key, tag_keys, source) VALUES ('doc', '', '', '{}', 'upload'); "
            "INSERT INTO document_versions (id, document_id, number, media_type, content_key, size_bytes) "
            "VALUES ('v1', 'doc', 1, 'text/plain', '', 70), ('v2', 'doc', 2, 'text/plain', '', 30)"
        )
        await conn.execute("RESET search_path")
        await migrate_up(conn, migrations, io.StringIO())
        usage = (await fetch_usage(operator, [tenant]))[tenant]
        assert (usage.documents, usage.chunks, usage.storage_bytes) == (1, 0, 100)
        await conn.execute(f"DELETE FROM \"t_{tenant}\".document_versions WHERE id = 'v1'")
        assert (await fetch_usage(operator, [tenant]))[tenant].storage_bytes == 30
        await operator.execute("SELECT dreamhub.provision_tenant($1)", tenant)
        assert (await fetch_usage(operator, [tenant]))[tenant].storage_bytes == 30
        await operator.execute("SELECT dreamhub.drop_tenant($1)", tenant)

"""Apply the plain-SQL migrations: `python -m dreamhub.sql.migrate up|wait|status`.

One Job runs `up` as `dreamhub_owner`, under a lock of the history, so that two runs cannot meet. Init containers run
`wait`, which needs no migration files: it compares the database with this build's window.
"""

import argparse
import asyncio
import hashlib
import os
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal, TextIO, cast

import asyncpg

from dreamhub.errors import BugError, ConflictError, DreamHubError, InvalidInputError, UnavailableError
from dreamhub.sql.connections import Connection, translate_failures
from dreamhub.sql.queries import load_queries
from dreamhub.sql.schema import SCHEMA_HEAD, SCHEMA_MIN, fetch_schema_version, is_compatible

_SQL = load_queries("schema")
_TENANTS = load_queries("tenants")
_FILE = re.compile(r"(\d{4})_(expand|contract)_([a-z0-9_]+)\.sql")
_FOR_EACH_TENANT = "-- for each tenant\n"

_POLL_SECONDS = 0.5
_NOT_READY = (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError)
"""A database whose bootstrap has not run yet: no such login, a former password, no such database."""

Kind = Literal["expand", "contract"]


@dataclass(frozen=True, slots=True)
class Migration:
    version: int
    kind: Kind
    title: str
    sql: str

    @property
    def sha256(self) -> bytes:
        return hashlib.sha256(self.sql.encode()).digest()

    @property
    def name(self) -> str:
        return f"{self.version:04}_{self.kind}_{self.title}"

    @property
    def for_each_tenant(self) -> bool:
        """Run once for each tenant, named by the setting `dreamhub.tenant`, each time in a transaction of its own.

        So a large installation needs neither all locks at once nor stands still. Such a file can be repeated, and is
        recorded when every tenant is done.
        """
        return self.sql.startswith(_FOR_EACH_TENANT)


@dataclass(frozen=True, slots=True)
class Applied:
    version: int
    sha256: bytes
    at: datetime


def load_migrations(directory: Path) -> tuple[Migration, ...]:
    """The files in order. Raises BugError for a gap, a double number or a name of another shape."""
    found = []
    for path in sorted(directory.glob("[0-9]*.sql")):
        match = _FILE.fullmatch(path.name)
        if match is None:
            raise BugError(f"{path.name} is no migration name; use NNNN_expand_title.sql or NNNN_contract_title.sql")
        found.append(Migration(int(match[1]), cast("Kind", match[2]), match[3], path.read_text(encoding="utf-8")))
    if [migration.version for migration in found] != list(range(1, len(found) + 1)):
        raise BugError(f"migrations in {directory} must be numbered 0001, 0002, ... without gaps or doubles")
    if not found:
        raise InvalidInputError(f"no migrations in {directory}; set DREAMHUB_MIGRATIONS_DIR")
    return tuple(found)


def plan_migrations(migrations: Sequence[Migration], applied: Sequence[Applied]) -> tuple[Migration, ...]:
    """What is left to apply. Raises ConflictError when an applied file was changed afterwards.

    A database that is ahead of the files (a newer release migrated it) leaves nothing to apply.
    """
    known = {migration.version: migration for migration in migrations}
    for entry in applied:
        migration = known.get(entry.version)
        if migration is not None and migration.sha256 != entry.sha256:
            raise ConflictError(
                f"migration {migration.name} was applied at {entry.at:%Y-%m-%d %H:%M} with other contents; "
                "restore the file and put the change into a new migration",
                code="MigrationChanged",
            )
    done = {entry.version for entry in applied}
    return tuple(migration for migration in migrations if migration.version not in done)


async def fetch_applied(conn: Connection) -> tuple[Applied, ...]:
    try:
        rows = await conn.fetch(_SQL["fetch_history"])
    except asyncpg.UndefinedTableError:
        return ()
    return tuple(Applied(row["version"], row["sha256"], row["applied_at"]) for row in rows)


async def migrate_up(conn: Connection, migrations: Sequence[Migration], out: TextIO) -> int:
    """Apply what is missing, each file in its own transactions; returns the schema version reached.

    A second run waits for each file that the first is applying, then skips it. A file that fails leaves no trace.
    """
    await _ensure_history(conn)
    plan = plan_migrations(migrations, await fetch_applied(conn))
    done = [migration for migration in plan if await _apply(conn, migration, out)]
    version = await fetch_schema_version(conn)
    print(f"schema version {version}" + ("" if done else ", nothing to do"), file=out)
    return version


async def _ensure_history(conn: Connection) -> None:
    if await conn.fetchval(_SQL["has_history"]):
        return
    async with conn.transaction():
        await conn.execute(_SQL["lock_first_run"], timeout=None)
        await conn.execute(_SQL["create_history"])


async def _apply(conn: Connection, migration: Migration, out: TextIO) -> bool:
    """Whether it was this run that applied it."""
    started = time.monotonic()
    if migration.for_each_tenant:
        await _run_for_each_tenant(conn, migration)
    async with conn.transaction():
        await conn.execute(_SQL["lock_migrations"], timeout=None)
        if not plan_migrations([migration], await fetch_applied(conn)):
            return False
        if not migration.for_each_tenant:
            await _run(conn, migration)
        await conn.execute(
            _SQL["record_migration"], migration.version, migration.kind, migration.title, migration.sha256
        )
    print(f"applied {migration.name} in {time.monotonic() - started:.2f} s", file=out)
    return True


async def _run(conn: Connection, migration: Migration) -> None:
    await conn.execute("SET LOCAL lock_timeout = '10s'")
    await conn.execute(migration.sql)


async def _run_for_each_tenant(conn: Connection, migration: Migration) -> None:
    for row in await conn.fetch(_TENANTS["fetch_tenants"]):
        async with conn.transaction():
            await conn.execute(_SQL["name_tenant"], row["tenant"])
            await _run(conn, migration)


def describe_status(migrations: Sequence[Migration], applied: Sequence[Applied]) -> list[str]:
    """One line a migration, known or only recorded."""
    plan_migrations(migrations, applied)
    times = {entry.version: entry.at for entry in applied}
    lines = [
        f"{migration.name:<50} "
        + (f"applied {times[migration.version]:%Y-%m-%d %H:%M:%S}" if migration.version in times else "pending")
        for migration in migrations
    ]
    lines += [f"{version:04} applied by a newer release" for version in sorted(times) if version > len(migrations)]
    return lines


async def wait_for_schema(url: str, timeout_seconds: float, out: TextIO) -> int:
    """Poll until the schema suits this build; returns its version. Raises UnavailableError after the timeout."""
    deadline = time.monotonic() + timeout_seconds
    seen = "no answer from PostgreSQL"
    while True:
        try:
            with translate_failures():
                version = await _fetch_version(url)
        except (UnavailableError, *_NOT_READY) as e:
            seen_now = f"PostgreSQL is not ready ({e})"
        else:
            if is_compatible(version):
                print(f"schema version {version} suits this build (at least {SCHEMA_MIN})", file=out)
                return version
            seen_now = f"schema version is {version}, this build needs at least {SCHEMA_MIN}"
        if seen_now != seen:
            print(f"waiting: {seen_now}", file=out, flush=True)
            seen = seen_now
        if time.monotonic() >= deadline:
            raise UnavailableError(
                f"gave up after {timeout_seconds:.0f} s: {seen}; look at the migration Job", code="SchemaNotReady"
            )
        await asyncio.sleep(min(_POLL_SECONDS, max(0.0, deadline - time.monotonic())))


async def _fetch_version(url: str) -> int:
    conn = await asyncpg.connect(url, timeout=5)
    try:
        return await fetch_schema_version(conn)
    finally:
        await conn.close()


async def connect_in_time(url: str, timeout_seconds: float, out: TextIO) -> "asyncpg.Connection[asyncpg.Record]":
    """Connect to a PostgreSQL that may still be starting, or may not know the login or the database yet.

    At a first installation the migrations start together with the database, and a Job that failed would wait for
    Kubernetes' growing back-off. Raises UnavailableError after the timeout.
    """
    deadline = time.monotonic() + timeout_seconds
    seen = ""
    while True:
        try:
            with translate_failures():
                return await asyncpg.connect(url, timeout=5)
        except (UnavailableError, *_NOT_READY) as error:
            if str(error) != seen:
                seen = str(error)
                print(f"waiting: {seen}", file=out, flush=True)
        if time.monotonic() >= deadline:
            raise UnavailableError(f"gave up after {timeout_seconds:.0f} s: {seen}", code="DatabaseUnavailable")
        await asyncio.sleep(_POLL_SECONDS)


async def _up(url: str, directory: Path, timeout_seconds: float) -> None:
    conn = await connect_in_time(url, timeout_seconds, sys.stdout)
    try:
        with translate_failures():
            await migrate_up(conn, load_migrations(directory), sys.stdout)
    finally:
        await conn.close()


async def _status(url: str, directory: Path) -> None:
    with translate_failures():
        conn = await asyncpg.connect(url)
        try:
            applied = await fetch_applied(conn)
        finally:
            await conn.close()
    lines = describe_status(load_migrations(directory), applied)
    lines.append(f"this build works with schema versions from {SCHEMA_MIN} on and ships {SCHEMA_HEAD}")
    sys.stdout.write("\n".join(lines) + "\n")


def _read_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m dreamhub.sql.migrate", description="Schema migrations.")
    parser.add_argument("command", choices=("up", "wait", "status"))
    parser.add_argument(
        "--timeout",
        type=float,
        default=300.0,
        help="seconds for PostgreSQL to answer and, with `wait`, for its schema (300)",
    )
    return parser.parse_args(arguments)


def _read_url() -> str:
    path = os.environ.get("DREAMHUB_DATABASE_URL_FILE")
    if path is None:
        raise InvalidInputError("set DREAMHUB_DATABASE_URL_FILE to a file that holds the connection URL")
    return Path(path).read_text(encoding="utf-8").strip()


def main(arguments: Sequence[str] | None = None) -> int:
    options = _read_arguments(arguments)
    directory = Path(os.environ.get("DREAMHUB_MIGRATIONS_DIR", "migrations"))
    try:
        url = _read_url()
        if options.command == "up":
            asyncio.run(_up(url, directory, options.timeout))
        elif options.command == "wait":
            asyncio.run(wait_for_schema(url, options.timeout, sys.stdout))
        else:
            asyncio.run(_status(url, directory))
    except (DreamHubError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

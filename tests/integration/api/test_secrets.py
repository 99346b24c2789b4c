"""Every login of the server is changed while requests run: none fails, and the server is never started again."""

import asyncio
import contextlib
import secrets
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pytest_asyncio
from redis.asyncio import Redis

from dreamhub.storage.objects import ObjectStore, ObjectStoreSettings
from dreamhub_api.settings import Settings
from tests.integration.api.conftest import MakeTenant, ready_caller
from tests.integration.api.platform import Caller, run_server, until
from tests.integration.conftest import Database
from tests.integration.servers import RedisServer, S3Server

REDIS_USER = "dreamhub_api_rotating"


@dataclass
class Traffic:
    """Requests that need each of the stores, one after another from several callers."""

    caller: Caller
    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)

    async def upload(self) -> None:
        status, _ = await self.caller.upload(f"{secrets.token_hex(8)}.txt", secrets.token_bytes(8).hex().encode())
        self.statuses["upload", status] += 1

    async def read(self) -> None:
        status, _ = await self.caller.call("GET", "/documents")
        self.statuses["read", status] += 1

    async def take_ticket(self) -> None:
        status, _ = await self.caller.call("POST", "/ws-tickets")
        self.statuses["ticket", status] += 1

    async def run(self) -> None:
        while True:
            for request in (self.upload, self.read, self.take_ticket):
                await request()

    async def go_on(self) -> None:
        """Until each kind of request was answered several times more, and all of them well."""
        before = Counter(kind for kind, _ in self.statuses.elements())
        wanted = {"upload", "read", "ticket"}

        async def more() -> bool:
            now = Counter(kind for kind, _ in self.statuses.elements())
            return all(now[kind] >= before[kind] + 8 for kind in wanted)

        await until(more, f"requests go on: {self.statuses}")
        assert all(status < 300 for _, status in self.statuses), self.statuses


@asynccontextmanager
async def traffic(caller: Caller) -> AsyncIterator[Traffic]:
    traffic = Traffic(caller)
    running = asyncio.gather(*(traffic.run() for _ in range(3)))
    yield traffic
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running


def write(folder: Path, **files: str) -> None:
    """As Kubernetes does it: each file in one step."""
    for name, text in files.items():
        unfinished = folder / f"{name}.new"
        unfinished.write_text(text)
        unfinished.rename(folder / name.replace("_", "-"))


@pytest_asyncio.fixture
async def own(
    settings: Settings, database: Database, redis_admin: Redis, redis_server: RedisServer, tmp_path: Path
) -> AsyncIterator[Settings]:
    """The server's settings with secrets that this test may change; PostgreSQL is put back."""
    await allow(redis_admin, ">old")
    keys = settings.read_s3_keys()
    write(tmp_path, database_url=database.url("dreamhub_api"), redis_url=redis_server.url(REDIS_USER, "old"))
    write(tmp_path, access_key=keys.access_key, secret_key=keys.secret_key)
    files = {"database_url_file": tmp_path / "database-url", "redis_url_file": tmp_path / "redis-url"}
    yield settings.model_copy(update={**files, "s3_credentials_dir": tmp_path})
    await set_password(database, database.password)
    await redis_admin.acl_deluser(REDIS_USER)


async def allow(admin: Any, *passwords: str) -> None:
    """`admin` is Any because redis-py's raw command is untyped."""
    await admin.execute_command("ACL", "SETUSER", REDIS_USER, "on", *passwords, "~*", "&*", "+@all")


async def set_password(database: Database, password: str) -> None:
    conn = await asyncpg.connect(database.server.superuser_url)
    await conn.execute(f"ALTER ROLE dreamhub_api PASSWORD '{password}'")
    await conn.close()


async def sessions(database: Database) -> set[int]:
    conn = await asyncpg.connect(database.server.superuser_url)
    rows = await conn.fetch(
        "SELECT pid FROM pg_stat_activity WHERE usename = 'dreamhub_api' AND application_name = 'dreamhub-api'"
    )
    await conn.close()
    return {row["pid"] for row in rows}


async def test_the_password_of_the_database(
    http: aiohttp.ClientSession, own: Settings, database: Database, make_tenant: MakeTenant
) -> None:
    others = await sessions(database)
    async with run_server(own) as url:
        caller = await ready_caller(http, url, await make_tenant())
        async with traffic(caller) as requests:
            await requests.go_on()
            old = await sessions(database) - others
            write(own.database_url_file.parent, database_url=database.server.url("dreamhub_api", "next"))
            await requests.go_on()
            await set_password(database, "next")

            async def renewed() -> bool:
                return not old & await sessions(database)

            await until(renewed, "old sessions are let go of")
            await requests.go_on()


async def test_the_password_of_redis(
    http: aiohttp.ClientSession, own: Settings, redis_admin: Redis, redis_server: RedisServer, make_tenant: MakeTenant
) -> None:
    async with run_server(own) as url:
        caller = await ready_caller(http, url, await make_tenant())
        async with traffic(caller) as requests:
            await requests.go_on()
            before = await find_clients(redis_admin)
            await allow(redis_admin, ">next")
            write(own.redis_url_file.parent, redis_url=redis_server.url(REDIS_USER, "next"))

            async def renewed() -> bool:
                kept = before & await find_clients(redis_admin)
                return len(kept) <= 1  # the one that listens stays logged in

            await until(renewed, "old connections are let go of")
            await allow(redis_admin, "<old")
            await requests.go_on()


async def find_clients(admin: Redis) -> set[str]:
    return {client["id"] for client in await admin.client_list() if client["user"] == REDIS_USER}


async def test_the_keys_of_the_object_store(
    http: aiohttp.ClientSession,
    own: Settings,
    s3_server: S3Server,
    s3_settings: ObjectStoreSettings,
    make_tenant: MakeTenant,
) -> None:
    old = (s3_server.access_key, s3_server.secret_key)
    try:
        async with run_server(own) as url:
            caller = await ready_caller(http, url, await make_tenant())
            async with traffic(caller) as requests:
                await requests.go_on()
                s3_server.accept(old, ("next-key", "next-secret"))
                fresh = ObjectStoreSettings(
                    s3_settings.endpoint, s3_settings.bucket, "us-east-1", "next-key", "next-secret"
                )
                await until(lambda: answers(fresh), "the new keys are accepted")
                write(own.s3_credentials_dir, access_key="next-key", secret_key="next-secret")
                await requests.go_on()
                s3_server.accept(("next-key", "next-secret"))

                async def refused() -> bool:
                    return not await answers(s3_settings)

                await until(refused, "the old keys are refused")
                await requests.go_on()
    finally:
        s3_server.accept(old)
        await until(lambda: answers(s3_settings), "the old keys are back")


async def answers(settings: ObjectStoreSettings) -> bool:
    try:
        await ObjectStore(settings).put("probe", b"x")
    except Exception:  # noqa: BLE001 - whatever it says, it is not yes
        return False
    return True

"""A Redis client whose login changes under load, without a restart."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from dreamhub.errors import UnavailableError
from dreamhub.secret_files import secret_source
from dreamhub.storage.redis_failures import translate_failures
from dreamhub.storage.redis_login import open_redis, renew_connections
from dreamhub.storage.wake_ups import WakeUps
from tests.integration.servers import RedisServer

USER = "dreamhub_rotating"


@pytest_asyncio.fixture
async def file(redis_admin: Redis, redis_server: RedisServer, tmp_path: Path) -> AsyncIterator[Path]:
    await allow(redis_admin, ">old")
    file = tmp_path / "redis-url"
    file.write_text(redis_server.url(USER, "old"))
    yield file
    await redis_admin.acl_deluser(USER)


@pytest_asyncio.fixture
async def client(file: Path) -> AsyncIterator[Redis]:
    client = open_redis(secret_source(file))
    yield client
    await client.aclose()


async def allow(admin: Any, *passwords: str) -> None:
    """`admin` is Any because redis-py's raw command is untyped."""
    await admin.execute_command("ACL", "SETUSER", USER, "on", *passwords, "~*", "&*", "+@all")


def write(file: Path, url: str) -> None:
    file.write_text(url)


def remove(file: Path) -> None:
    file.unlink()


async def ask(client: Redis, answers: list[object]) -> None:
    while True:
        with translate_failures():
            answers.append(await client.echo("x"))
        await asyncio.sleep(0)


@contextlib.asynccontextmanager
async def load(client: Redis) -> AsyncIterator[list[object]]:
    answers: list[object] = []
    askers = asyncio.gather(*(ask(client, answers) for _ in range(4)))
    yield answers
    while not askers.done():  # a reply that comes as a question is cancelled may swallow the cancellation
        askers.cancel()
        await asyncio.wait([askers], timeout=1)
    with contextlib.suppress(asyncio.CancelledError):
        await askers


async def go_on(answers: list[object]) -> None:
    target = len(answers) + 200
    async with asyncio.timeout(120):
        while len(answers) < target:
            await asyncio.sleep(0.01)


async def test_two_passwords_for_a_while_fail_nothing(
    file: Path, client: Redis, redis_admin: Redis, redis_server: RedisServer
) -> None:
    async with load(client) as answers:
        await go_on(answers)
        await allow(redis_admin, ">new")
        write(file, redis_server.url(USER, "new"))
        await renew_connections(client)
        await go_on(answers)
        await allow(redis_admin, "<old")
        await go_on(answers)
    await client.connection_pool.disconnect()
    assert await client.ping()


async def test_connections_log_in_anew_when_they_are_told(
    file: Path, client: Redis, redis_admin: Redis, redis_server: RedisServer
) -> None:
    """A user of another name shows who is logged in."""
    await client.ping()
    write(file, redis_server.url())
    assert await client.acl_whoami() == USER
    await renew_connections(client)
    await client.ping()
    assert await client.acl_whoami() == "default"


async def test_a_listener_comes_back_with_the_new_password(
    file: Path, client: Redis, redis_admin: Redis, redis_server: RedisServer
) -> None:
    async with WakeUps(client) as wake_ups, wake_ups.watch("channel") as event, asyncio.timeout(120):
        await event.wait()
        await allow(redis_admin, "resetpass", ">new")
        write(file, redis_server.url(USER, "new"))
        event.clear()
        for connection in await redis_admin.client_list():
            if connection["user"] == USER:
                await redis_admin.client_kill_filter(_id=connection["id"])
        await event.wait()
        event.clear()
        await redis_admin.publish("channel", "x")
        await event.wait()


async def test_a_file_that_is_gone_keeps_the_login(file: Path, client: Redis) -> None:
    await client.ping()
    remove(file)
    await client.connection_pool.disconnect()
    assert await client.ping()


async def test_a_refused_login_says_what_to_do(file: Path, redis_server: RedisServer) -> None:
    write(file, redis_server.url(USER, "wrong"))
    client = open_redis(secret_source(file))
    with pytest.raises(UnavailableError, match="put its present password into the Secret"), translate_failures():
        await client.ping()
    await client.aclose()

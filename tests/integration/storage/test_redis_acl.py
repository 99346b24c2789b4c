"""What a tenant's login may do to Redis: publish its own progress, and nothing that others would feel."""

import secrets
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from redis import exceptions
from redis.asyncio import Redis

from dreamhub import names
from dreamhub.domain.progress import Progress
from dreamhub.errors import InvalidInputError
from dreamhub.storage.functions import PUBLISH, READ
from dreamhub.storage.progress import Snapshot, publish, read_since
from dreamhub.storage.redis_acl import delete_tenant_keys, delete_tenant_user, digest_password, set_tenant_user
from hack.images.embedded.redis import RULES
from tests.integration.servers import RedisServer

OWN = names.progress_key("mine", "uid")
FOREIGN = names.progress_key("other", "uid")
CODE = "return 1"
"""Any would do harm enough: an endless one stalls Redis for all."""

REFUSED: tuple[tuple[str, ...], ...] = (
    ("EVAL", CODE, "0"),
    ("EVAL_RO", CODE, "0"),
    ("EVALSHA", "0" * 40, "0"),
    ("EVALSHA_RO", "0" * 40, "0"),
    ("SCRIPT", "LOAD", CODE),
    ("SCRIPT", "FLUSH"),
    ("SCRIPT", "KILL"),
    ("FUNCTION", "LOAD", "#!lua name=mine\nredis.register_function('mine', function() while true do end end)"),
    ("FUNCTION", "LIST"),
    ("FUNCTION", "FLUSH"),
    ("FUNCTION", "DELETE", "dreamhub"),
    ("FUNCTION", "KILL"),
    ("FCALL_RO", READ, "2", OWN, f"{OWN}:head", "", "0"),
    ("FCALL", PUBLISH, "2", FOREIGN, f"{FOREIGN}:head", "{}", "epoch"),
    ("FCALL", PUBLISH, "2", OWN, f"{FOREIGN}:head", "{}", "epoch"),
    ("KEYS", "*"),
    ("SCAN", "0"),
    ("RANDOMKEY",),
    ("DBSIZE",),
    ("FLUSHALL",),
    ("CONFIG", "GET", "*"),
    ("CONFIG", "SET", "maxmemory", "1"),
    ("ACL", "LIST"),
    ("ACL", "WHOAMI"),
    ("CLIENT", "LIST"),
    ("CLIENT", "PAUSE", "1000"),
    ("MONITOR",),
    ("WAIT", "1", "0"),
    ("SUBSCRIBE", OWN),
    ("SUBSCRIBE", FOREIGN),
    ("PSUBSCRIBE", "*"),
    ("SSUBSCRIBE", FOREIGN),
    ("PUBLISH", FOREIGN, "x"),
    ("PUBSUB", "CHANNELS"),
    ("XADD", FOREIGN, "*", "progress", "{}"),
    ("XRANGE", FOREIGN, "-", "+"),
    ("XREVRANGE", FOREIGN, "+", "-"),
    ("HGET", f"{FOREIGN}:head", "epoch"),
    ("HSET", f"{FOREIGN}:head", "epoch", "x"),
    ("DEL", FOREIGN),
    ("EXPIRE", FOREIGN, "1"),
    ("GET", "dh:{mine}:ticket:x"),
    ("MULTI",),
    ("SWAPDB", "0", "1"),
    ("COPY", OWN, FOREIGN),
)


async def run(redis: Any, command: tuple[str, ...]) -> Any:
    """Any: redis-py's raw command is untyped."""
    return await redis.execute_command(*command)


@pytest_asyncio.fixture
async def mine(redis_admin: Redis, redis_server: RedisServer) -> AsyncIterator[Redis]:
    password = secrets.token_hex(8)
    await set_tenant_user(redis_admin, "mine", [digest_password(password)])
    async with Redis.from_url(redis_server.url("t_mine", password)) as redis:
        yield redis
    await delete_tenant_user(redis_admin, "mine")


@pytest.mark.parametrize("command", REFUSED, ids=lambda command: " ".join(command)[:40])
async def test_a_tenant_is_refused(mine: Redis, command: tuple[str, ...]) -> None:
    with pytest.raises(exceptions.ResponseError, match=r"(?i)permission|NOPERM"):
        await run(mine, command)


async def test_a_tenant_publishes_through_the_function(mine: Redis, redis_admin: Redis) -> None:
    position = await publish(mine, "mine", "uid", Progress(percent=5))
    assert await read_since(redis_admin, "mine", "uid", None) == Snapshot(Progress(percent=5), position, recovered=True)


async def test_the_api_reads_by_the_function_and_brings_no_code(redis_admin: Redis, redis_server: RedisServer) -> None:
    """With the rules of the embedded Redis."""
    await run(redis_admin, ("ACL", "SETUSER", "like-api", "reset", "on", ">pw", *RULES["api"].split()))
    await publish(redis_admin, "mine", "seen", Progress(percent=5))
    async with Redis.from_url(redis_server.url("like-api", "pw")) as redis:
        found = await read_since(redis, "mine", "seen", None)
        assert isinstance(found, Snapshot)
        await redis.set("dh:{mine}:ticket:x", "1", ex=1, nx=True)
        for command in (("EVAL", CODE, "0"), ("SCRIPT", "LOAD", CODE), ("FUNCTION", "FLUSH")):
            with pytest.raises(exceptions.NoPermissionError):
                await run(redis, command)
    await run(redis_admin, ("ACL", "DELUSER", "like-api"))


async def test_the_operator_loads_them_with_the_rules_of_the_embedded_redis(
    redis_admin: Redis, redis_server: RedisServer
) -> None:
    await run(redis_admin, ("ACL", "SETUSER", "like-operator", "reset", "on", ">pw", *RULES["operator"].split()))
    await run(redis_admin, ("FUNCTION", "FLUSH"))
    async with Redis.from_url(redis_server.url("like-operator", "pw")) as redis:
        await set_tenant_user(redis, "mine", [digest_password("x")])
    assert (await publish(redis_admin, "mine", "loaded", Progress())).offset == 1
    await delete_tenant_user(redis_admin, "mine")
    await run(redis_admin, ("ACL", "DELUSER", "like-operator"))


async def test_keys_of_one_tenant_go_and_its_neighbours_stay(redis_admin: Redis) -> None:
    for tenant in ("small", "small-one"):
        for number in range(3):
            await redis_admin.set(f"{names.redis_prefix(tenant)}{number}", "1")
    assert await delete_tenant_keys(redis_admin, "small") == 3
    assert await delete_tenant_keys(redis_admin, "small") == 0
    assert await delete_tenant_keys(redis_admin, "small-one") == 3


async def test_a_pattern_is_no_tenant(redis_admin: Redis) -> None:
    with pytest.raises(InvalidInputError):
        await delete_tenant_keys(redis_admin, "*")

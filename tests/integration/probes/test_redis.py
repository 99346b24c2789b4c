"""The probes of Redis pass on the real ACL, and name what was opened."""

import secrets
from typing import Any

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from dreamhub.names import redis_prefix, redis_user
from dreamhub.storage.functions import PUBLISH
from dreamhub.storage.redis_acl import digest_password, set_tenant_user
from dreamhub_operator.isolation.outcome import describe, tally
from dreamhub_operator.isolation.redis import PROBE_KEY, probe_redis
from dreamhub_operator.isolation.side import Side
from tests.integration.probes.sides import leaks
from tests.integration.servers import RedisServer


@pytest_asyncio.fixture
async def pair(redis_server: RedisServer, redis_admin: Redis) -> tuple[Side, Side]:
    sides = []
    for _ in range(2):
        tenant, password = f"t-{secrets.token_hex(6)}", secrets.token_hex(16)
        await set_tenant_user(redis_admin, tenant, [digest_password(password)])
        await redis_admin.hset(f"{redis_prefix(tenant)}{PROBE_KEY}", "value", "planted")
        sides.append(Side(tenant, "", redis_server.url(redis_user(tenant), password), "", None, None))
    return sides[0], sides[1]


async def open_user(admin: Any, side: Side, *rules: str) -> None:
    """`admin` is Any because redis-py's raw command is untyped."""
    await admin.execute_command("ACL", "SETUSER", redis_user(side.tenant), *rules)


async def test_acl_passes_and_the_planted_key_stays(redis_admin: Redis, pair: tuple[Side, Side]) -> None:
    for attacker, victim in (pair, pair[::-1]):
        found = tally(await probe_redis(attacker, victim))
        assert (found.verdict, found.detail) == ("Verified", "")
        assert found.probes > 35
        assert await redis_admin.hgetall(f"{redis_prefix(victim.tenant)}{PROBE_KEY}") == {b"value": b"planted"}
    assert await redis_admin.exists(f"{redis_prefix(pair[0].tenant)}{PROBE_KEY}:own") == 0


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        (["allkeys"], "HGET {key} value"),
        (["~dh:*"], "HSET {key} value taken"),
        (["%R~*"], "XRANGE {key} - +"),
        (["allchannels"], "PUBLISH {key}:channel probe"),
        (["+@pubsub", "allchannels"], "SUBSCRIBE {key}:channel"),
        (["+@pubsub", "allchannels"], "PSUBSCRIBE dh:*"),
        (["+monitor"], "MONITOR"),
        (["+scan"], "SCAN 0 COUNT 1"),
        (["+acl"], "ACL LIST"),
        (["+config"], "CONFIG GET maxmemory"),
        (["+flushall"], "FLUSHALL NONSENSE"),
        (["+client"], "CLIENT LIST"),
        (["+randomkey"], "RANDOMKEY"),
        (["allkeys", "allchannels"], "FCALL {publish} 2 {key} {key}:head {{}} epoch"),
        (["%W~dh:*", "%R~dh:*"], "FCALL {publish} 2 {own} {key}:head {{}} epoch"),
        (["+eval"], "EVAL return 1 0"),
        (["+script"], "SCRIPT LOAD return 1"),
        (["+function"], "FUNCTION LIST"),
        (["+@all"], "SHUTDOWN NONSENSE"),
    ],
)
async def test_opened_acl_is_reported(
    redis_admin: Redis, pair: tuple[Side, Side], rules: list[str], expected: str
) -> None:
    attacker, victim = pair
    await open_user(redis_admin, attacker, *rules)
    key = f"{redis_prefix(victim.tenant)}{PROBE_KEY}"
    found = leaks(await probe_redis(attacker, victim))
    own = f"{redis_prefix(attacker.tenant)}{PROBE_KEY}:own"
    assert f"{attacker.tenant}: {expected.format(key=key, own=own, publish=PUBLISH)}" in found


async def test_user_without_password_is_reported(redis_admin: Redis, pair: tuple[Side, Side]) -> None:
    attacker, victim = pair
    await open_user(redis_admin, victim, "nopass")
    assert f"{attacker.tenant}: login of another" in leaks(await probe_redis(attacker, victim))


async def test_wrong_password_proves_nothing(redis_server: RedisServer, pair: tuple[Side, Side]) -> None:
    broken = Side(pair[0].tenant, "", redis_server.url(redis_user(pair[0].tenant), "wrong"), "", None, None)
    probes = await probe_redis(broken, pair[1])
    assert tally(probes).verdict == "Inconclusive"
    assert "Redis failed" in describe(probes[0])

"""The shared budget against a real Redis, as a tenant's worker and as the operator have it."""

import secrets
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from redis import exceptions
from redis.asyncio import Redis

from dreamhub import names
from dreamhub.domain.call_budget import HORIZON_SECONDS, Bucket, CallRecord, Rates
from dreamhub.storage.functions import load_functions
from dreamhub.storage.model_budget import Place, SharedBudget, fetch_calls, put_shares
from dreamhub.storage.redis_acl import delete_tenant_user, digest_password, set_tenant_user
from tests.integration.servers import RedisServer

RATES = Rates(requests=600, tokens=60_000)
FALLBACK = Rates(requests=6, tokens=600)


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine Redis is not away, however long an answer takes."""
    monkeypatch.setattr("dreamhub.storage.model_budget._REDIS_SECONDS", 60.0)


@pytest_asyncio.fixture
async def place(redis_admin: Redis) -> AsyncIterator[Place]:
    place = Place(f"t-{secrets.token_hex(4)}", "small")
    yield place
    await redis_admin.delete(place.calls, place.share)


@pytest_asyncio.fixture
async def worker(redis_admin: Redis, redis_server: RedisServer, place: Place) -> AsyncIterator[Redis]:
    """With the tenant's login, and nothing more than that may do."""
    password = secrets.token_hex(8)
    await set_tenant_user(redis_admin, place.tenant, [digest_password(password)])
    async with Redis.from_url(redis_server.url(names.redis_user(place.tenant), password)) as redis:
        yield redis
    await delete_tenant_user(redis_admin, place.tenant)


async def test_two_processes_share_one_bucket(redis_admin: Redis, worker: Redis, place: Place) -> None:
    await put_shares(redis_admin, {place: RATES}, ())
    one, two = SharedBudget(worker, place, FALLBACK), SharedBudget(worker, place, FALLBACK)
    started = time.monotonic()
    assert (await one.take(1_200, urgent=False)).seconds == 0
    later = await two.take(1_000, urgent=False)
    assert later.granted
    assert 0.99 - (time.monotonic() - started) <= later.seconds <= 1.0  # Redis' clock goes on meanwhile
    assert (await one.take(50, urgent=True)).seconds == 0


async def test_it_reckons_as_the_bucket_of_one_process_does(redis_admin: Redis, worker: Redis, place: Place) -> None:
    await put_shares(redis_admin, {place: RATES}, ())
    shared, alone = SharedBudget(worker, place, FALLBACK), Bucket(RATES)
    started, slowest = time.monotonic(), 0.0
    for tokens in (100, 2_000, 1_000, 400, 9_000, 500, 1):
        asked = time.monotonic()
        found, expected = await shared.take(tokens, urgent=False), alone.take(tokens, asked - started)
        slowest = max(slowest, time.monotonic() - asked)  # Redis looks at its clock at some time in between
        assert found.granted == expected.granted
        assert found.seconds == pytest.approx(expected.seconds, abs=2 * slowest + 0.05)
        assert found.seconds <= HORIZON_SECONDS


async def test_what_was_not_used_is_there_again(redis_admin: Redis, worker: Redis, place: Place) -> None:
    await put_shares(redis_admin, {place: Rates(tokens=600)}, ())
    budget = SharedBudget(worker, place, FALLBACK)
    await budget.take(30, urgent=False)
    await budget.settle(CallRecord("ok", 0.2, reserved=30, tokens=5))
    assert (await budget.take(6, urgent=False)).seconds == 0


async def test_a_provider_that_wants_to_be_left_alone_holds_everybody(
    redis_admin: Redis, worker: Redis, place: Place
) -> None:
    await put_shares(redis_admin, {place: RATES}, ())
    one, two = SharedBudget(worker, place, FALLBACK), SharedBudget(worker, place, FALLBACK)
    await one.settle(CallRecord("limited", 0.1, reserved=0, hold_seconds=30))
    turn = await two.take(1, urgent=True)
    assert (turn.granted, turn.seconds) == (False, HORIZON_SECONDS)


async def test_calls_are_counted_for_the_operator(redis_admin: Redis, worker: Redis, place: Place) -> None:
    await put_shares(redis_admin, {place: RATES}, ())
    budget = SharedBudget(worker, place, FALLBACK)
    await budget.take(100, urgent=False)
    await budget.settle(CallRecord("ok", 0.3, 100, 70, embedding=True))
    await budget.settle(CallRecord("failed", 0.1, 100))
    await budget.settle(CallRecord("unauthorized", 0.1, 100, 0))
    calls = (await fetch_calls(redis_admin, [place, Place(place.tenant, "other")]))[place]
    assert calls.outcomes == {"ok": 1, "failed": 1, "unauthorized": 1}
    assert (calls.tokens, calls.milliseconds, sum(calls.took), calls.took[3]) == (170, 300, 1, 1)
    assert 0 <= calls.asked_ago < 30
    assert calls.short_ago is None


async def test_without_a_share_it_goes_on_slowly_and_asks_for_one(
    redis_admin: Redis, worker: Redis, place: Place
) -> None:
    budget = SharedBudget(worker, place, FALLBACK)
    assert (await budget.take(1, urgent=False)).seconds == 0
    assert (await budget.take(1, urgent=False)).granted is False
    asked = (await fetch_calls(redis_admin, [place]))[place]
    assert asked.short_ago is not None
    assert asked.short_ago < 30


async def test_an_emptied_redis_costs_speed_and_no_call(
    redis_admin: Redis, worker: Redis, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dreamhub.storage.model_budget._READ_SECONDS", 0.0)
    await put_shares(redis_admin, {place: RATES}, ())
    budget = SharedBudget(worker, place, Rates())
    await budget.take(1, urgent=False)
    await redis_admin.delete(place.calls, place.share)
    assert (await budget.take(1, urgent=False)).granted
    await redis_admin.execute_command("FUNCTION", "FLUSH")  # type: ignore[no-untyped-call]  # redis-py's raw command
    assert (await budget.take(1, urgent=False)).granted
    await budget.settle(CallRecord("ok", 0.1, 1, 1))
    await load_functions(redis_admin)


async def test_a_redis_that_is_away_is_not_asked_with_each_call(place: Place) -> None:
    seconds = [0.0]
    async with Redis(port=1) as redis:
        budget = SharedBudget(redis, place, FALLBACK, clock=lambda: seconds[0])
        assert (await budget.take(1, urgent=False)).granted
        budget.redis = None  # type: ignore[assignment]  # whoever asks it now fails
        assert not (await budget.take(1, urgent=False)).granted
        await budget.settle(CallRecord("ok", 0.1, 1, 1))


async def test_a_tenant_reads_its_share_and_writes_none(redis_admin: Redis, worker: Redis, place: Place) -> None:
    client: Any = worker
    await put_shares(redis_admin, {place: RATES}, ())
    assert await client.hget(place.share, "tokens") == b"60000.000"
    foreign = Place("somebody", "small")
    for command in (
        ("HSET", place.share, "tokens", "9"),
        ("DEL", place.share),
        ("EXPIRE", place.share, "1"),
        ("HGET", foreign.share, "tokens"),
        ("HGET", foreign.calls, "used"),
    ):
        with pytest.raises(exceptions.NoPermissionError):
            await client.execute_command(*command)


async def test_a_share_that_is_taken_away_is_gone(redis_admin: Redis, place: Place) -> None:
    await put_shares(redis_admin, {place: RATES}, ())
    assert 0 < await redis_admin.ttl(place.share) <= 120
    await put_shares(redis_admin, {}, [place])
    assert not await redis_admin.exists(place.share)


async def test_what_a_tenant_may_have_written_stops_nobody(redis_admin: Redis, worker: Redis, place: Place) -> None:
    client: Any = worker
    await client.hset(place.calls, "used", "many")
    assert await fetch_calls(redis_admin, [place]) == {}
    await client.delete(place.calls)
    await client.hset(place.calls, mapping={"used": "7", "asked": "1" * 10_000, "unknown": "x" * 10_000})
    calls = (await fetch_calls(redis_admin, [place]))[place]
    assert (calls.tokens, calls.outcomes) == (7, {})
    await client.delete(place.calls)
    await client.xadd(place.calls, {"no": "hash"})
    assert await fetch_calls(redis_admin, [place]) == {}
    assert (await SharedBudget(worker, place, FALLBACK).take(1, urgent=False)).granted

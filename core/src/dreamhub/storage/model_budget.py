"""The budget of calls to a model's provider, shared by all processes of a tenant.

What a tenant may use is its share of the provider's limits, which the operator divides anew every few seconds. Without
a share (the tenant has just begun to call, the operator is away for minutes, Redis was emptied or is away) a process
keeps to a small fixed part of the limits by itself, and goes on.
"""

import asyncio
import time
from bisect import bisect_left
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, get_args

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from dreamhub import names
from dreamhub.domain.call_budget import Bucket, CallRecord, Outcome, Rates, Turn
from dreamhub.errors import DreamHubError
from dreamhub.storage.budget_functions import ASK, SETTLE, TAKE, TELL
from dreamhub.storage.redis_failures import translate_failures

SHARE_SECONDS = 120
"""A share that the operator does not renew counts for so long: all shares together are never above the limits."""
BOUNDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds, in seconds, of the buckets that durations of embedding requests are counted in."""

_OUTCOMES = {outcome: f"calls:{outcome}" for outcome in get_args(Outcome)}
_TOOK = tuple(f"took:{index}" for index in range(len(BOUNDS) + 1))
_FIELDS = ("asked", "short", "used", "milliseconds", *_OUTCOMES.values(), *_TOOK)
"""What the operator reads of a tenant's hash, whatever else stands there."""
_MOST = 2**53
"""No counter of ours gets there."""

_READ_SECONDS = 1.0
"""A share that was read counts for so long."""
_REDIS_SECONDS = 1.0
_AWAY_SECONDS = 3.0
"""After a failure Redis is not asked for so long."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Place:
    """Whose calls, to which model."""

    tenant: str
    model: str

    @property
    def calls(self) -> str:
        return names.calls_key(self.tenant, self.model)

    @property
    def share(self) -> str:
        return names.budget_key(self.tenant, self.model)


@dataclass
class SharedBudget:
    """As `dreamhub.llm.budget.Budget` wants it. One for each process, tenant and model."""

    redis: Redis
    place: Place
    fallback: Rates
    """Of this process alone, where there is no share."""
    clock: Callable[[], float] = time.monotonic
    _share: Rates | None = None
    _read_at: float = float("-inf")
    _away_until: float = float("-inf")
    _alone: Bucket = field(init=False)

    def __post_init__(self) -> None:
        self._alone = Bucket(self.fallback)

    async def take(self, tokens: int, *, urgent: bool) -> Turn:
        turn = None
        if self.clock() >= self._away_until:
            async with self._redis_may_fail():
                turn = await self._take(tokens, urgent=urgent)
        return turn or self._alone.take(tokens, self.clock(), urgent=urgent)

    async def _take(self, tokens: int, *, urgent: bool) -> Turn | None:
        """None without a share."""
        client: Any = self.redis  # redis-py types neither answer
        share = await self._read_share(client)
        if share is None:
            await client.fcall(ASK, 1, self.place.calls)
            return None
        rates = ("" if rate is None else f"{rate:.3f}" for rate in (share.requests, share.tokens))
        granted, milliseconds = await client.fcall(TAKE, 1, self.place.calls, tokens, int(urgent), *rates)
        return Turn(bool(granted), int(milliseconds) / 1000)

    async def _read_share(self, client: Any) -> Rates | None:
        if self.clock() - self._read_at >= _READ_SECONDS:
            requests, tokens, known = await client.hmget(self.place.share, "requests", "tokens", "known")
            self._share = Rates(_number(requests), _number(tokens)) if known else None
            self._read_at = self.clock()
        return self._share

    async def settle(self, record: CallRecord) -> None:
        if self._share is None:
            self._alone.give_back(record.surplus)
        if self.clock() < self._away_until:
            return
        arguments: list[str | int] = [record.surplus, round(record.hold_seconds * 1000)]
        for name, amount in _count(record).items():
            arguments += [name, amount]
        async with self._redis_may_fail():
            client: Any = self.redis
            await client.fcall(SETTLE, 1, self.place.calls, *arguments)

    async def close(self) -> None:
        """With its client: for a process that has no other use for that."""
        await self.redis.aclose()

    @asynccontextmanager
    async def _redis_may_fail(self) -> AsyncIterator[None]:
        """An absent Redis, and one that has lost its users or functions, costs speed and nothing else."""
        try:
            async with asyncio.timeout(_REDIS_SECONDS):
                with translate_failures():
                    yield
        except (DreamHubError, RedisError, TimeoutError) as error:
            self._away_until, self._share = self.clock() + _AWAY_SECONDS, None
            self._read_at = float("-inf")
            log.warning("model_budget_not_shared", model=self.place.model, kind=type(error).__name__)


def _count(record: CallRecord) -> Mapping[str, int]:
    """What a call adds to the counters."""
    counted = {f"calls:{record.outcome}": 1}
    used = record.reserved if record.tokens is None else record.tokens
    if used:
        counted["used"] = used
    if record.embedding and record.outcome == "ok":
        counted[f"took:{bisect_left(BOUNDS, record.seconds)}"] = 1
        counted["milliseconds"] = round(record.seconds * 1000)
    return counted


@dataclass(frozen=True, slots=True)
class Calls:
    """What a tenant's processes have counted since the hash was made."""

    outcomes: Mapping[str, int]
    tokens: int
    took: tuple[int, ...]
    """Embedding requests by their duration: one count for each of BOUNDS, and one above."""
    milliseconds: int
    """All their durations."""
    asked_ago: float
    """Seconds since somebody wanted a turn."""
    short_ago: float | None
    """Seconds since somebody had to wait for one, or had no share; None: never."""


async def fetch_calls(redis: Redis, places: Sequence[Place]) -> dict[Place, Calls]:
    """Of many tenants in one round trip; places without calls are left out. Raises UnavailableError."""
    if not places:
        return {}
    client: Any = redis
    with translate_failures():
        async with client.pipeline(transaction=False) as pipeline:
            pipeline.time()
            for place in places:
                pipeline.fcall_ro(TELL, 1, place.calls, *_FIELDS)
            time_told, *found = await pipeline.execute(raise_on_error=False)
        if isinstance(time_told, Exception):
            raise time_told
    seconds, micros = time_told
    now = seconds * 1000 + micros / 1000
    read = ((place, _read_calls(values, now)) for place, values in zip(places, found, strict=True))
    return {place: calls for place, calls in read if calls is not None}


def _read_calls(values: object, now: float) -> Calls | None:
    """None for what is absent or makes no sense: the tenant's own login writes it."""
    if not isinstance(values, list):
        return None
    try:
        told = {
            name: min(max(int(value), 0), _MOST)
            for name, value in zip(_FIELDS, values, strict=True)
            if value is not None
        }
    except ValueError:
        return None
    if not told:
        return None
    short = told.get("short")
    return Calls(
        outcomes={name: told[field] for name, field in _OUTCOMES.items() if field in told},
        tokens=told.get("used", 0),
        took=tuple(told.get(field, 0) for field in _TOOK),
        milliseconds=told.get("milliseconds", 0),
        asked_ago=(now - told.get("asked", 0)) / 1000,
        short_ago=None if short is None else (now - short) / 1000,
    )


async def put_shares(redis: Redis, shares: Mapping[Place, Rates], gone: Iterable[Place]) -> None:
    """Write what each tenant may use for the next SHARE_SECONDS, and take it from those of `gone`."""
    client: Any = redis
    with translate_failures():
        async with client.pipeline(transaction=False) as pipeline:
            for place in gone:
                pipeline.delete(place.share)
            for place, rates in shares.items():
                given = {"requests": rates.requests, "tokens": rates.tokens}
                absent = [name for name, rate in given.items() if rate is None]
                if absent:
                    pipeline.hdel(place.share, *absent)
                told = {name: f"{rate:.3f}" for name, rate in given.items() if rate is not None}
                pipeline.hset(place.share, mapping=told | {"known": 1})
                pipeline.expire(place.share, SHARE_SECONDS)
            await pipeline.execute()


def _number(value: bytes | str | None) -> float | None:
    return None if value is None else float(value)

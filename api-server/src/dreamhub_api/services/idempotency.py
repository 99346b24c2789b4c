"""`Idempotency-Key` on POST: the same key and request create once; a repetition gets what the first one made.

Redis holds which object was made, never a body: answers are read afresh, and a tenant's content stays out of Redis.
Where an answer was lost, what is made must know its request by itself (an IngestJob by its name and an annotation, a
document by its bytes): the key then only lets the repetition through.
"""

import hashlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from dreamhub import names
from dreamhub.errors import ConflictError, UnavailableError, UserError
from dreamhub_api.problems import UnprocessableError

_log = structlog.get_logger(__name__)

KEEP_SECONDS = 24 * 3600
PENDING_SECONDS = 900
"""A first request that died in the middle blocks its key this long at most."""


@dataclass(frozen=True)
class Created:
    """What a POST made: the object's id or name and the status to answer. `digest` is of uploaded content, if any."""

    ref: str
    status: int
    digest: str = ""
    replayed: bool = False


@dataclass(frozen=True)
class Attempt:
    """One request under a key. `fingerprint` covers everything of it that is known before its body is streamed."""

    tenant: str
    key: str
    fingerprint: str

    @property
    def redis_key(self) -> str:
        return f"{names.redis_prefix(self.tenant)}idem:{hashlib.sha256(self.key.encode()).hexdigest()}"

    @property
    def running_key(self) -> str:
        return f"{self.redis_key}:running"

    @property
    def digest(self) -> str:
        """Of tenant and key: the same wherever this request is repeated, and no other's."""
        return hashlib.sha256(f"{self.tenant}\0{self.key}".encode()).hexdigest()


class IdempotencyService:
    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def run(
        self,
        attempt: Attempt | None,
        create: Callable[[], Awaitable[Created]],
        read_digest: Callable[[], Awaitable[str]] | None = None,
    ) -> Created:
        """Create, unless this key has created before. Without an attempt (no key was sent): just create.

        Raises UnprocessableError when the key was used for another request, ConflictError while the first still runs.
        """
        if attempt is None:
            return await create()
        earlier = await self._begin(attempt)
        if earlier is not None:
            if read_digest is not None and await read_digest() != earlier.digest:
                raise other_request()
            return replace(earlier, replayed=True)
        try:
            created = await create()
        except UserError:  # refused: nothing was made, so the key is free again
            await self._forget(attempt.redis_key, attempt.running_key)
            raise
        except BaseException:  # nobody knows what was made: the key stays this request's, which may be repeated
            await self._forget(attempt.running_key)
            raise
        await self._finish(attempt, created)
        return created

    async def _begin(self, attempt: Attempt) -> Created | None:
        """What the first request has made; None when it is this one, or one that may have failed before it made it."""
        try:
            mine = bool(await self._redis.set(attempt.running_key, "1", ex=PENDING_SECONDS, nx=True))
            if mine:
                record = json.dumps({"fingerprint": attempt.fingerprint})
                await self._redis.set(attempt.redis_key, record, ex=KEEP_SECONDS, nx=True)
            value = await self._redis.get(attempt.redis_key)
        except RedisError as error:
            raise UnavailableError("Redis does not answer; try again", code="RedisUnavailable") from error
        held: dict[str, Any] = json.loads(value) if value is not None else {"fingerprint": attempt.fingerprint}
        fitting = held["fingerprint"] == attempt.fingerprint
        if mine and fitting and "made" not in held:
            return None
        if mine:
            await self._forget(attempt.running_key)
        if not fitting:
            raise other_request()
        if "made" not in held:
            raise ConflictError(
                "the first request with this Idempotency-Key is still running; try again", code="IdempotencyPending"
            )
        return Created(**held["made"])

    async def _finish(self, attempt: Attempt, created: Created) -> None:
        """Losing this record only loses the protection against a repetition; what was created stands."""
        made = {"ref": created.ref, "status": created.status, "digest": created.digest}
        held = {"fingerprint": attempt.fingerprint, "made": made}
        try:
            await self._redis.set(attempt.redis_key, json.dumps(held), ex=KEEP_SECONDS)
            await self._redis.delete(attempt.running_key)
        except RedisError:
            _log.warning("idempotency record lost", ref=created.ref)

    async def _forget(self, *keys: str) -> None:
        try:
            await self._redis.delete(*keys)
        except RedisError:
            _log.warning("idempotency key stays blocked", seconds=PENDING_SECONDS)


def other_request() -> UnprocessableError:
    return UnprocessableError(
        "this Idempotency-Key was used for a different request; use a new key", code="IdempotencyMismatch"
    )

"""`Idempotency-Key` on POST: the same key and request create once; a repetition gets what the first one made.

Redis holds which object was made, never a body: answers are read afresh, and a tenant's content stays out of Redis.
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
from dreamhub.errors import ConflictError, UnavailableError
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
                raise _other_request()
            return replace(earlier, replayed=True)
        try:
            created = await create()
        except BaseException:  # a failed or cancelled request made nothing: its key is free again
            await self._forget(attempt)
            raise
        await self._finish(attempt, created)
        return created

    async def _begin(self, attempt: Attempt) -> Created | None:
        pending = json.dumps({"fingerprint": attempt.fingerprint})
        try:
            if await self._redis.set(attempt.redis_key, pending, ex=PENDING_SECONDS, nx=True):
                return None
            value = await self._redis.get(attempt.redis_key)
        except RedisError as error:
            raise UnavailableError("Redis does not answer; try again", code="RedisUnavailable") from error
        held: dict[str, Any] = json.loads(value) if value is not None else {"fingerprint": attempt.fingerprint}
        if held["fingerprint"] != attempt.fingerprint:
            raise _other_request()
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
        except RedisError:
            _log.warning("idempotency record lost", ref=created.ref)

    async def _forget(self, attempt: Attempt) -> None:
        try:
            await self._redis.delete(attempt.redis_key)
        except RedisError:
            _log.warning("idempotency key stays blocked", seconds=PENDING_SECONDS)


def _other_request() -> UnprocessableError:
    return UnprocessableError(
        "this Idempotency-Key was used for a different request; use a new key", code="IdempotencyMismatch"
    )

"""The stream that hands a run's items out to its workers. It only saves them from asking the database for each.

Whatever is lost of it (a server that starts empty, FLUSHALL, a deleted entry, an expired key) is filled up from the
table `work_items`; whatever is delivered twice, the database settles once. So nothing here is a promise but this: an
item that is in the stream is delivered at least once.
"""

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from dreamhub import names
from dreamhub.domain.deliveries import Delivery, Taken
from dreamhub.errors import UnavailableError
from dreamhub.storage.redis_failures import translate_failures
from dreamhub.storage.work_functions import BEAT, FILL, SETTLE, TAKE

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class WorkStream:
    """`uid` is the IngestJob's. Every method raises UnavailableError when Redis does not do it."""

    redis: Redis
    tenant: str
    uid: str

    @property
    def _keys(self) -> tuple[str, str]:
        stream = names.work_key(self.tenant, self.uid)
        return stream, f"{stream}:entries"

    async def fill(self, items: Sequence[str]) -> int:
        """Add the items that are not there; returns how many."""
        return int(await self._call(FILL, *items)) if items else 0

    async def take(self, consumer: str, count: int, lease_seconds: float, *, own: bool = False) -> Taken:
        """Items for a consumer: new ones, else those that somebody has had for longer than the lease.

        With `own`, first what was delivered to this consumer in an earlier life.
        """
        lease = str(int(lease_seconds * 1000))
        left, pairs = await self._call(TAKE, consumer, str(count), lease, "own" if own else "")
        return Taken(tuple(Delivery(_text(item), _text(entry)) for entry, item in pairs), int(left))

    async def beat(self, consumer: str, deliveries: Sequence[Delivery]) -> int:
        """Renew the lease on these; returns how many the consumer still has."""
        return int(await self._call(BEAT, consumer, *(delivery.entry for delivery in deliveries))) if deliveries else 0

    async def settle(self, deliveries: Sequence[Delivery]) -> None:
        """Take these out: the database has their outcome."""
        if deliveries:
            await self._call(SETTLE, *(word for delivery in deliveries for word in (delivery.entry, delivery.item)))

    async def forget(self) -> None:
        """The run is over."""
        with translate_failures():
            await self.redis.delete(*self._keys)

    async def _call(self, function: str, *arguments: str) -> Any:
        """Any: what redis-py gives of a function is untyped."""
        return await _answer(self.redis.fcall(function, 2, *self._keys, *arguments))


async def _answer(call: Awaitable[T] | T) -> T:
    with translate_failures():
        try:
            return await call if isinstance(call, Awaitable) else call
        except ResponseError as error:
            raise UnavailableError(f"Redis refuses the stream of work: {error}", code="RedisUnavailable") from error


def _text(value: bytes | str) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value

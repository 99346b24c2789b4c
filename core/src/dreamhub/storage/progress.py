"""A job's live progress in Redis: one capped stream a job, and a wake-up on the channel of the same name.

Readers resume by epoch and offset: the epoch changes when the stream was lost, the offset counts its entries.
"""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
import asyncio

from redis.asyncio import Redis

from dreamhub.domain.progress import Progress


@dataclass(frozen=True, slots=True)
class Position:
    epoch: str
    offset: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The latest progress alone. `recovered` is False when the reader asked for a position that is gone."""

    progress: Progress
    position: Position
    recovered: bool


@dataclass(frozen=True, slots=True)
class Deltas:
    """Everything after the position asked for, oldest first; empty when nothing is new."""

    items: tuple[tuple[int, Progress], ...]
    """Offset and progress."""
    position: Position
    """Where to go on."""


async def publish(redis: Redis, tenant: str, job: str, progress: Progress) -> Position:
    """Append and wake readers, in one script. Raises UnavailableError."""
    raise NotImplementedError


async def read_since(redis: Redis, tenant: str, job: str, since: Position | None) -> Snapshot | Deltas | None:
    """Deltas after `since` when all of them are still there, else a snapshot. None: no stream (not started or expired).

    Without `since`: a snapshot with `recovered=True` (nothing was asked for, so nothing was missed).
    """
    raise NotImplementedError


class WakeUps:
    """One subscriber connection for all channels of a process: the API's hub.

    `async with WakeUps(redis) as wake_ups:` runs its reader. After a reconnect every watcher is woken, because messages
    may have been missed; watchers then read the stream.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def watch(self, channel: str) -> AbstractAsyncContextManager[asyncio.Event]:
        """Subscribe while inside; the event is set at each message. The caller clears it, then reads."""
        raise NotImplementedError

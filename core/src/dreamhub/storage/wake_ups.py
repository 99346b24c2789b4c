"""Wake-ups over Redis Pub/Sub: one subscriber connection for all channels of a process.

A message only says "read the stream": one that is lost costs nothing as long as the reader is woken once afterwards.
"""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any, Self

import structlog
from redis import exceptions
from redis.asyncio import Redis

_OWN_CHANNEL = "dh:wake-ups"
"""Keeps the connection subscribed while nobody watches."""

_QUIET_SECONDS = 15.0
"""Without a message for so long, the connection is probed."""

_RETRY_SECONDS = 1.0

log = structlog.get_logger()


class WakeUps:
    """`async with WakeUps(redis) as wake_ups:` runs the reader; `watch` subscribes."""

    def __init__(self, redis: Redis) -> None:
        self._pubsub: Any = redis.pubsub()  # partly untyped
        self._watchers: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self._reader: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self._pubsub.subscribe(_OWN_CHANNEL)
        self._reader = asyncio.create_task(self._read(), name="wake-ups")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._reader is not None:
            self._reader.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reader
        await self._pubsub.aclose()

    @contextlib.asynccontextmanager
    async def watch(self, channel: str) -> AsyncIterator[asyncio.Event]:
        """Subscribe while inside; the watcher clears the event, then reads the stream.

        It is set once the subscription holds, at each message, and after each reconnect (messages may be missing then).
        """
        event = asyncio.Event()
        watchers = self._watchers[channel]
        watchers.add(event)
        try:
            if len(watchers) == 1:
                await self._try(self._pubsub.subscribe(channel))
            else:
                event.set()
            yield event
        finally:
            watchers.discard(event)
            if not watchers:
                del self._watchers[channel]
                await self._try(self._pubsub.unsubscribe(channel))

    async def _try(self, command: Any) -> None:
        """A subscription that fails now is made again when the reader reconnects: redis-py remembers the channels."""
        try:
            await command
        except exceptions.RedisError as error:
            log.warning("redis subscription postponed", error=type(error).__name__)

    async def _read(self) -> None:
        while True:
            try:
                message = await self._pubsub.get_message(timeout=_QUIET_SECONDS)
                if message is None:
                    await self._pubsub.ping()
                elif message["type"] in {"message", "subscribe"}:
                    self._wake(message["channel"])
            except exceptions.RedisError as error:
                log.warning("redis subscriber lost its connection", error=type(error).__name__)
                await asyncio.sleep(_RETRY_SECONDS)

    def _wake(self, channel: bytes | str) -> None:
        name = channel.decode() if isinstance(channel, bytes) else channel
        for event in self._watchers.get(name, ()):
            event.set()

"""Endless work of the leader: what fails in one loop ends neither the others nor the process."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from dreamhub_operator.election import LeaseLostError

PAUSE_SECONDS = 5.0
BEAT_SECONDS = 0.25
STALLED_SECONDS = 2.0
"""A wait that is worth a word."""

log = structlog.get_logger()


@dataclass(frozen=True)
class Persistent:
    """A loop that begins again after any error but the loss of the Lease: tenants write much of what loops read."""

    name: str
    start: Callable[[], Awaitable[None]]
    pause: float = PAUSE_SECONDS

    async def run(self) -> None:
        """Until it ends by itself or is cancelled. Raises LeaseLostError."""
        while True:
            try:
                return await self.start()
            except LeaseLostError:
                raise
            except Exception:
                log.exception("loop failed; it begins again", loop=self.name)
            await asyncio.sleep(self.pause)


@dataclass(frozen=True)
class Heartbeat:
    """Tells how long each other thing in this process has to wait for its turn, the renewal of the Lease among them."""

    observe: Callable[[float], None]
    every: float = BEAT_SECONDS

    async def run(self) -> None:
        while True:
            due, worked = time.monotonic() + self.every, time.process_time()
            await asyncio.sleep(self.every)
            late = max(0.0, time.monotonic() - due)
            self.observe(late)
            if late >= STALLED_SECONDS:
                own = time.process_time() - worked
                log.warning("the event loop stood still", seconds=round(late, 2), cpu_seconds=round(own, 2))

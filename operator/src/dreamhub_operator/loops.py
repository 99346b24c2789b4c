"""Endless work of the leader: what fails in one loop ends neither the others nor the process."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from dreamhub_operator.election import LeaseLostError

PAUSE_SECONDS = 5.0

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

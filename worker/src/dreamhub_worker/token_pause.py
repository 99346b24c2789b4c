"""What a worker does while its tenant has no tokens left: it idles, and tells so, until there are some.

The operator stops the pod meanwhile and starts the run again when the limit has room, so that others may have the
slot. Nothing depends on that: a worker that is left alone goes on by itself.
"""

import asyncio
from dataclasses import dataclass

import structlog

from dreamhub.sql.quota import fetch_own_usage, find_exhausted
from dreamhub_worker.context import Toolbox
from dreamhub_worker.meter import Meter

LOOK_SECONDS = 2.0
"""Between looks for room."""

log = structlog.get_logger()


@dataclass
class TokenPause:
    tools: Toolbox
    meter: Meter

    async def wait(self, tokens: int) -> None:
        """Until so many fit. Raises StoppingError, and UnavailableError when the database is away."""
        self.meter.short_of_tokens = tokens
        log.info("out_of_tokens", needed=tokens)
        while not await self._has_room(tokens):
            await self.tools.stop.guard(asyncio.sleep(LOOK_SECONDS))
        self.meter.short_of_tokens = 0

    async def _has_room(self, tokens: int) -> bool:
        async with self.tools.connection() as conn:
            return find_exhausted(await fetch_own_usage(conn), tokens) is None

"""Progress to whoever watches: PostgreSQL, which the operator reads, and Redis, which wakes the API's sockets.

At most once a second while something changes, and always at the end; between, a heartbeat that holds the run's claims.
PostgreSQL is the truth and its errors count; Redis is a courtesy and its errors are only logged.
"""

import asyncio
import time
from dataclasses import dataclass
from pkgutil import resolve_name
from typing import TYPE_CHECKING

from dreamhub.domain.progress import Progress
from dreamhub.secret_files import SecretSource
from dreamhub.sql.connections import Pool, translate_failures
from dreamhub.sql.ingest import finish_run, save_progress, touch_run
from dreamhub.sql.landing import HEARTBEAT_SECONDS
from dreamhub_worker.meter import Meter

if TYPE_CHECKING:
    from dreamhub_worker.announcer import Announcer

_INTERVAL_SECONDS = 1.0


@dataclass
class Reporter:
    pool: Pool
    redis_url: SecretSource
    tenant: str
    uid: str
    attempt: int
    meter: Meter
    _last: Progress | None = None
    _heard_at: float = 0.0
    """When the database last heard of this run, by the monotonic clock."""
    _announcer: "Announcer | None" = None

    async def run(self) -> None:
        """Report until cancelled. Raises FencedError when a later attempt has taken over."""
        while True:
            await self.report()
            await asyncio.sleep(_INTERVAL_SECONDS)

    async def report(self) -> None:
        progress = self.meter.snapshot()
        if progress == self._last:
            await self._beat()
            return
        first, self._last = self._last is None, progress
        self._heard_at = time.monotonic()
        with translate_failures():
            async with self.pool.acquire() as conn:
                await save_progress(conn, self.uid, self.attempt, progress)
        if not first:  # a short job is over before its watchers would gain anything from loading the client
            await self._announce(progress)

    async def _beat(self) -> None:
        if time.monotonic() - self._heard_at < HEARTBEAT_SECONDS:
            return
        with translate_failures():
            async with self.pool.acquire() as conn:
                await touch_run(conn, self.uid, self.attempt)
        self._heard_at = time.monotonic()

    async def finish(self, progress: Progress) -> None:
        with translate_failures():
            async with self.pool.acquire() as conn:
                await finish_run(conn, self.uid, self.attempt, progress)
        await self._announce(progress)

    async def close(self) -> None:
        if self._announcer is not None:
            await self._announcer.close()

    async def _announce(self, progress: Progress) -> None:
        if self._announcer is None:
            factory: type[Announcer] = resolve_name("dreamhub_worker.announcer:Announcer")
            self._announcer = factory(self.redis_url, self.tenant, self.uid)
        await self._announcer.announce(progress)

"""Progress to whoever watches: PostgreSQL, which the operator reads, and Redis, which wakes the API's sockets.

Each worker saves its own report, at most once a second while something changes; between, a heartbeat that holds its
claims. Whichever comes first in a second sums up the run for all. PostgreSQL is the truth; when it is away the work
waits for it anyway, and here that is only logged. Redis is a courtesy.
"""

import asyncio
import time
from dataclasses import dataclass
from pkgutil import resolve_name
from typing import TYPE_CHECKING

import structlog

from dreamhub.domain.progress import Progress
from dreamhub.domain.run_totals import WorkerReport
from dreamhub.errors import UnavailableError
from dreamhub.secret_files import SecretSource
from dreamhub.sql.connections import Pool, translate_failures
from dreamhub.sql.ingest import RunAttempt, save_report, sum_up_run, touch_run
from dreamhub.sql.landing import HEARTBEAT_SECONDS
from dreamhub_worker.meter import Meter

if TYPE_CHECKING:
    from dreamhub_worker.announcer import Announcer

_INTERVAL_SECONDS = 1.0

log = structlog.get_logger()


@dataclass
class Reporter:
    pool: Pool
    redis_url: SecretSource
    tenant: str
    run: RunAttempt
    meter: Meter
    _last: tuple[WorkerReport, int] | None = None
    """What was told, and how many documents had been skipped then."""
    _summed_up: bool = True
    """Whether a summary was made since the last report."""
    _heard_at: float = 0.0
    """When the database last heard of this worker, by the monotonic clock."""
    _announced: bool = False
    _announcer: "Announcer | None" = None

    async def keep_reporting(self) -> None:
        """Report until cancelled. Raises FencedError when a later attempt has taken over."""
        while True:
            try:
                await self.report()
            except UnavailableError as error:
                log.warning("progress_not_saved", code=error.code)
            await asyncio.sleep(_INTERVAL_SECONDS)

    async def report(self) -> None:
        report = self.meter.report()
        now = (report, self.meter.skipped)
        if now == self._last:
            await self._beat()
        else:
            with translate_failures():
                async with self.pool.acquire() as conn:
                    await save_report(conn, self.run, report)
            self._last, self._summed_up, self._heard_at = now, False, time.monotonic()
        if not self._summed_up:
            await self._sum_up()

    async def _beat(self) -> None:
        if time.monotonic() - self._heard_at < HEARTBEAT_SECONDS:
            return
        with translate_failures():
            async with self.pool.acquire() as conn:
                await touch_run(conn, self.run)
        self._heard_at = time.monotonic()

    async def _sum_up(self) -> None:
        with translate_failures():
            async with self.pool.acquire() as conn:
                progress = await sum_up_run(conn, self.run.uid)
        if progress is None:
            return
        self._summed_up = True
        if self._announced:  # a short job is over before its watchers would gain anything from loading the client
            await self.announce(progress)
        self._announced = True

    async def save_last(self) -> None:
        """The last report of this attempt, so that the next one goes on from its figures."""
        with translate_failures():
            async with self.pool.acquire() as conn:
                await save_report(conn, self.run, self.meter.report())
                await sum_up_run(conn, self.run.uid, at_least_seconds=0)

    async def announce(self, progress: Progress) -> None:
        if self._announcer is None:
            factory: type[Announcer] = resolve_name("dreamhub_worker.announcer:Announcer")
            self._announcer = factory(self.redis_url, self.tenant, self.run.uid)
        await self._announcer.announce(progress)

    async def close(self) -> None:
        if self._announcer is not None:
            await self._announcer.close()

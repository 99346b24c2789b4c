"""The look for places in tenants' queues that nobody will give back."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from dreamhub.errors import DreamHubError
from dreamhub_operator.reconcile.queues import Queues

SWEEP_SECONDS = 10.0

log = structlog.get_logger()


@dataclass(frozen=True)
class QueueSweep:
    queues: Queues
    is_listed: Callable[[], bool]
    """Whether all IngestJobs are known: before that, each seems to be gone."""
    wake: Callable[[str], None]

    async def run(self) -> None:
        """Sweep until cancelled. A database that is away costs places for that time, nothing else."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            if self.is_listed():
                await self._sweep()

    async def _sweep(self) -> None:
        try:
            for uid in await self.queues.sweep():
                self.wake(uid)
        except DreamHubError as error:
            log.warning("places in the queue not looked through", error=error.message)

"""The look at queues that no event causes: what nobody will give back, and how slow the models are."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from dreamhub.errors import DreamHubError
from dreamhub_operator.reconcile.queues import Queues

SWEEP_SECONDS = 10.0
MODELS_SECONDS = 2.0

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

    async def run_models(self) -> None:
        """As `run`: cold work is held back and let go."""
        while True:
            await asyncio.sleep(MODELS_SECONDS)
            for uid in self.queues.look_at_models():
                self.wake(uid)

    async def _sweep(self) -> None:
        try:
            for uid in await self.queues.sweep():
                self.wake(uid)
        except DreamHubError as error:
            log.warning("queues not looked through", error=error.message)

"""How long a worker waits for what all its documents need: the database, the model's provider.

It waits in place, so that an outage costs the outage and not the pod, its tries and the document in hand.
"""

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from dreamhub.errors import DreamHubError
from dreamhub_worker.context import Stop

_FIRST_SECONDS = 0.1
_GROWTH = 1.5
"""From one pause to the next: a server that is started again is back within a second, and then waits for nobody."""
_LONGEST_SECONDS = 15.0

log = structlog.get_logger()


@dataclass
class Patience:
    stop: Stop
    seconds: float
    """How long in one go, before the pod gives up."""
    tell: Callable[[str], None] = lambda _: None
    """Told what is waited for, and an empty word when it is there."""
    _since: float | None = None
    _pause: float = _FIRST_SECONDS

    def reset(self) -> None:
        """Something succeeded."""
        if self._since is not None:
            self.tell("")
        self._since, self._pause = None, _FIRST_SECONDS

    async def wait(self, error: DreamHubError) -> None:
        """Sleep before the next try. Raises `error` when it has lasted too long, StoppingError when asked to stop."""
        now = time.monotonic()
        if self._since is None:
            self._since = now
            log.warning("waiting", code=error.code, message=error.message)
            self.tell(f"{error.message} ({error.code})")
        if now - self._since >= self.seconds:
            raise error
        await self.stop.guard(asyncio.sleep(self._pause * random.uniform(0.5, 1.0)))  # noqa: S311 - spreads retries
        self._pause = min(self._pause * _GROWTH, _LONGEST_SECONDS)

"""What befalls a run: once a second somebody is killed, in turn; now and then a worker is cut off and comes back."""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tests.chaos.job_runner import JobRunner

FREEZE_EVERY = 20
"""Kills, between two workers that are cut off besides."""
FROZEN_SECONDS = 15.0
"""Longer than it takes until another pod has its place."""

Victims = Mapping[str, Callable[[], bool]]
"""By what they are called: kill it, and say whether there was anything to kill."""


@dataclass
class Storm:
    victims: Victims
    workers: JobRunner
    faults: int
    kills: Counter[str] = field(default_factory=Counter)
    frozen: int = 0

    async def rage(self) -> None:
        begun, turns = time.monotonic(), itertools.cycle(self.victims)
        for number in range(1, self.faults + 1):
            await asyncio.sleep(max(0.0, begun + number - time.monotonic()))
            self._kill_next(turns)
            if number % FREEZE_EVERY == 0 and self.workers.freeze():
                self.frozen += 1
                asyncio.get_running_loop().call_later(FROZEN_SECONDS, self.workers.thaw)

    def _kill_next(self, turns: "itertools.cycle[str]") -> None:
        """Somebody dies each second: who is not up yet is passed over."""
        for name in itertools.islice(turns, len(self.victims)):
            if self.victims[name]():
                self.kills[name] += 1
                return

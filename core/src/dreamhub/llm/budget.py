"""Who may call a provider, and when: what the clients need of a budget, and the one that a process keeps alone."""

import time
from collections.abc import Callable
from typing import Protocol

from dreamhub.domain.call_budget import Bucket, CallRecord, Rates, Turn


class Budget(Protocol):
    """Of one tenant for one model. Never raises: a budget that is away is replaced by a smaller one."""

    async def take(self, tokens: int, *, urgent: bool) -> Turn:
        """Reserve one request with so many tokens."""
        ...

    async def settle(self, record: CallRecord) -> None:
        """Say how a call ended that a turn was granted for; once for each."""
        ...

    async def close(self) -> None: ...


class LocalBudget:
    """A process that shares with nobody."""

    def __init__(self, rates: Rates, clock: Callable[[], float] = time.monotonic) -> None:
        self._bucket = Bucket(rates)
        self._clock = clock

    async def take(self, tokens: int, *, urgent: bool) -> Turn:
        return self._bucket.take(tokens, self._clock(), urgent=urgent)

    async def settle(self, record: CallRecord) -> None:
        self._bucket.give_back(record.surplus)

    async def close(self) -> None:
        """Nothing is held open."""

"""How many calls a process has under way: as many as do not make answers slower.

A provider queues what it cannot do at once: more calls then only wait longer. The limit grows while answers come about
as fast as the fastest of late, and shrinks with their slowness, and at each sign of too much (429, 503, no answer).
"""

import asyncio
import math
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

TOLERANCE = 2.0
"""Times the fastest: slower answers shrink the limit."""
BACK_OFF = 0.9
PROBE_EVERY = 1000
PROBE_SHARE = 1 / 3
"""Every so many answers the limit falls to this share, to see how fast answers are with less: otherwise slow ones would
become what is usual. It is below 1 / TOLERANCE, so that the limit cannot creep up from probe to probe."""
_SMOOTHING = 0.2


@dataclass
class Gradient:
    """The limit itself. Pure."""

    most: float
    limit: float = 8.0
    _fastest: float = math.inf
    _recent: float = 0.0
    _answers: int = 0
    _largest: int = 1

    def __post_init__(self) -> None:
        self.limit = min(self.limit, self.most)

    def learn(self, size: int, seconds: float, under_way: int) -> None:
        """An answer. Small requests say nothing about large ones and are left out."""
        self._largest = max(size, int(self._largest * 0.99))
        if size * 2 < self._largest:
            return
        self._answers += 1
        if self._answers % PROBE_EVERY == 0:
            self.limit = max(1.0, self.limit * PROBE_SHARE)
            self._fastest, self._recent = math.inf, 0.0
            return
        self._fastest = min(self._fastest, seconds)
        self._recent = seconds if self._recent == 0 else self._recent + _SMOOTHING * (seconds - self._recent)
        if under_way * 2 < self.limit:
            return  # it does not bind, so nothing shows that more would do
        gradient = max(0.5, min(1.0, TOLERANCE * self._fastest / max(self._recent, 1e-6)))
        target = self.limit * gradient + math.sqrt(self.limit)
        self.limit = max(1.0, min(self.most, self.limit + _SMOOTHING * (target - self.limit)))

    def back_off(self) -> None:
        self.limit = max(1.0, self.limit * BACK_OFF)


@dataclass
class Slots:
    """Who may call now, in the order of asking."""

    gradient: Gradient
    under_way: int = 0
    _waiting: deque[asyncio.Future[None]] = field(default_factory=deque)

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        if self._waiting or self.under_way >= self.gradient.limit:
            await self._wait()
        else:
            self.under_way += 1
        try:
            yield
        finally:
            self._leave()

    async def _wait(self) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._leave()
            raise

    def _leave(self) -> None:
        self.under_way -= 1
        while self._waiting and self.under_way < self.gradient.limit:
            turn = self._waiting.popleft()
            if not turn.done():
                self.under_way += 1
                turn.set_result(None)

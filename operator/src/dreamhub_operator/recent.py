"""Something that is read once for everybody who asks within a while."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass
class Recent(Generic[T]):
    """The answer of `fetch`, at most `seconds` old. Who asks while it is being read waits for that."""

    fetch: Callable[[], Awaitable[T]]
    seconds: float
    clock: Callable[[], float] = time.monotonic
    read_at: float = field(default=float("-inf"), init=False)
    """When the present answer was asked for: what was done later may not be in it."""
    _answer: T | None = field(default=None, init=False)
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)

    async def get(self) -> tuple[T, float]:
        """The answer and when it was asked for. Raises what `fetch` raises, to everybody who waits for it."""
        async with self._lock:
            if self._answer is None or self.clock() - self.read_at > self.seconds:
                started = self.clock()
                self._answer = await self.fetch()
                self.read_at = started
            return self._answer, self.read_at

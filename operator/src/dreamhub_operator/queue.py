"""A work queue of keys, as controllers use it: no key runs twice at once, no change is lost, failures back off.

A key that is added while it runs, runs once more afterwards. So any number of events costs at most one reconcile in
progress and one to come. Keys of many lanes, such as tenants, take turns: thousands in one keep no other waiting.
"""

import asyncio
import random
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)

BACKOFF_FIRST = 0.2
BACKOFF_MOST = 30.0


def backoff(failures: int, jitter: float) -> float:
    """Seconds before the next try after this many failures in a row; `jitter` is within [0, 1)."""
    return min(BACKOFF_FIRST * 2.0 ** min(failures - 1, 16), BACKOFF_MOST) * (1 + jitter / 4)


class WorkQueue(Generic[Key]):
    """Calls `handle(key)`, which returns the seconds until it wants to run again, or None.

    It reports its own errors; when it raises, the key comes back after a backoff.
    """

    def __init__(
        self,
        handle: Callable[[Key], Awaitable[float | None]],
        workers: int,
        lane: Callable[[Key], Hashable] = lambda _: None,
    ) -> None:
        self._handle = handle
        self._workers = workers
        self._lane = lane
        self._ready: OrderedDict[Hashable, deque[Key]] = OrderedDict()
        """By lane, in the order of their turns; no lane is empty."""
        self._waiting: set[Key] = set()
        self._running: set[Key] = set()
        self._timers: dict[Key, asyncio.TimerHandle] = {}
        self._failures: dict[Key, int] = {}
        self._wake = asyncio.Semaphore(0)

    def add(self, key: Key) -> None:
        """Run it as soon as a worker is free."""
        self._cancel_timer(key)
        if key in self._waiting:
            return
        self._waiting.add(key)
        if key not in self._running:
            self._push(key)

    def add_after(self, key: Key, seconds: float) -> None:
        """Run it then, unless it runs earlier: the sooner of two times counts."""
        loop = asyncio.get_running_loop()
        planned = self._timers.get(key)
        if planned is not None and planned.when() <= loop.time() + seconds:
            return
        self._cancel_timer(key)
        self._timers[key] = loop.call_later(seconds, self.add, key)

    def forget(self, key: Key) -> None:
        """The object is gone: no timer and no failures of it are kept."""
        self._cancel_timer(key)
        self._failures.pop(key, None)

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            for number in range(self._workers):
                group.create_task(self._work(), name=f"reconcile worker {number}")

    async def _work(self) -> None:
        while True:
            await self._wake.acquire()
            key = self._pop()
            self._waiting.discard(key)
            self._running.add(key)
            try:
                await self._run_once(key)
            finally:
                self._running.discard(key)
                if key in self._waiting:
                    self._push(key)

    async def _run_once(self, key: Key) -> None:
        self._cancel_timer(key)
        try:
            again = await self._handle(key)
        except Exception:  # noqa: BLE001 - `handle` has reported it; one key must not stop the others
            self._failures[key] = self._failures.get(key, 0) + 1
            again = backoff(self._failures[key], random.random())  # noqa: S311 - jitter, no secret
        else:
            self._failures.pop(key, None)
        if again is not None and key not in self._waiting:
            self.add_after(key, again)

    def _push(self, key: Key) -> None:
        self._ready.setdefault(self._lane(key), deque()).append(key)
        self._wake.release()

    def _pop(self) -> Key:
        lane, keys = self._ready.popitem(last=False)
        key = keys.popleft()
        if keys:
            self._ready[lane] = keys
        return key

    def _cancel_timer(self, key: Key) -> None:
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()

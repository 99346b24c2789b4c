import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from dreamhub_operator.queue import BACKOFF_FIRST, BACKOFF_MOST, WorkQueue, backoff


@asynccontextmanager
async def running(handle: Callable[[str], Awaitable[float | None]], workers: int = 4) -> AsyncIterator[WorkQueue[str]]:
    queue = WorkQueue(handle, workers)
    task = asyncio.create_task(queue.run())
    try:
        yield queue
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0)


async def test_a_key_never_runs_twice_at_once_and_no_change_is_lost() -> None:
    inside, most, runs = 0, 0, 0
    gate = asyncio.Event()

    async def handle(_: str) -> None:
        nonlocal inside, most, runs
        inside += 1
        most, runs = max(most, inside), runs + 1
        await gate.wait()
        inside -= 1

    async with running(handle) as queue:
        queue.add("a")
        await until(lambda: runs == 1)
        for _ in range(5):
            queue.add("a")
        gate.set()
        await until(lambda: runs == 2 and inside == 0)
        await asyncio.sleep(0)
    assert (most, runs) == (1, 2)


async def test_keys_run_side_by_side() -> None:
    started: set[str] = set()
    gate = asyncio.Event()

    async def handle(key: str) -> None:
        started.add(key)
        await gate.wait()

    async with running(handle, workers=2) as queue:
        for key in "abc":
            queue.add(key)
        await until(lambda: len(started) == 2)
        assert started == {"a", "b"}
        gate.set()
        await until(lambda: len(started) == 3)


async def test_a_failure_comes_back_and_stops_nobody_else() -> None:
    runs: list[str] = []

    async def handle(key: str) -> None:
        runs.append(key)
        if key == "bad" and runs.count("bad") == 1:
            raise RuntimeError("once")

    async with running(handle, workers=1) as queue:
        queue.add("bad")
        queue.add("good")
        await until(lambda: runs.count("bad") == 2)
    assert runs == ["bad", "good", "bad"]


async def test_a_wish_to_run_again_is_heard() -> None:
    runs: list[str] = []

    async def handle(key: str) -> float | None:
        runs.append(key)
        return 0 if runs.count("a") < 3 else None

    async with running(handle) as queue:
        queue.add("a")
        await until(lambda: runs.count("a") == 3)
        queue.add_after("later", 0.01)
        await until(lambda: "later" in runs)
    assert runs == ["a", "a", "a", "later"]


async def test_the_sooner_of_two_times_counts() -> None:
    runs = 0

    async def handle(_: str) -> None:
        nonlocal runs
        runs += 1

    async with running(handle) as queue:
        queue.add_after("a", 60)
        queue.add_after("a", 0)
        await until(lambda: runs == 1)
        queue.add_after("b", 0)
        queue.add_after("b", 60)
        await until(lambda: runs == 2)


async def test_what_is_forgotten_does_not_come_back() -> None:
    runs: list[str] = []

    async def handle(key: str) -> None:
        runs.append(key)

    async with running(handle) as queue:
        queue.add_after("forgotten", 0.001)
        queue.forget("forgotten")
        queue.add_after("later", 0.02)
        await until(lambda: "later" in runs)
    assert runs == ["later"]


async def test_thousands_of_one_lane_keep_no_other_waiting() -> None:
    runs: list[str] = []

    async def handle(key: str) -> None:
        runs.append(key)

    queue = WorkQueue(handle, 1, lane=lambda key: key[0])
    for number in range(5_000):
        queue.add(f"a{number}")
    for key in ("b0", "b1", "c0"):
        queue.add(key)
    task = asyncio.create_task(queue.run())
    await until(lambda: len(runs) == 5_003)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert runs[:6] == ["a0", "b0", "c0", "a1", "b1", "a2"]


@pytest.mark.parametrize(("failures", "seconds"), [(1, BACKOFF_FIRST), (2, 2 * BACKOFF_FIRST), (100, BACKOFF_MOST)])
def test_backoff_doubles_up_to_a_limit(failures: int, seconds: float) -> None:
    assert backoff(failures, 0) == pytest.approx(seconds)
    assert backoff(failures, 0.999) < seconds * 1.25

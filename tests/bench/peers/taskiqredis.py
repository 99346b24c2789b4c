"""taskiq with its Redis stream broker, as its documentation puts it together: tasks that do nothing, acknowledged.

Arguments: a Redis URL, how many tasks, how many worker processes, how many tasks each has in flight. Prints one line of
JSON: seconds to send all tasks, seconds to do those that lay ready, and seconds from the first sent to the last
done with the workers there from the start.
"""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from redis.asyncio import Redis
from taskiq_redis import RedisStreamBroker

QUEUE = "taskiq-peer"
DEADLINE_SECONDS = 300

broker = RedisStreamBroker(os.environ.get("PEER_REDIS_URL", ""), queue_name=QUEUE, consumer_id="0")


@broker.task
async def nothing(item: str) -> None:
    """A task without work."""


async def main(url: str, tasks: int, workers: int, in_flight: int) -> None:
    await broker.startup()
    redis = Redis.from_url(url)
    sending = await _timed(_send(tasks, in_flight))
    command = [sys.executable, "-m", "taskiq", "worker", f"{Path(__file__).stem}:broker"]
    command += ["--workers", str(workers), "--max-async-tasks", str(in_flight), "--log-level", "ERROR"]
    processes = await asyncio.create_subprocess_exec(*command, cwd=Path(__file__).parent, start_new_session=True)
    try:
        await _until(redis, lambda group: group["entries-read"])
        doing = await _timed(_until(redis, lambda group: _is_done(group, tasks)))
        both = asyncio.gather(_send(tasks, in_flight), _until(redis, lambda group: _is_done(group, 2 * tasks)))
        whole = await _timed(both)
    finally:
        os.killpg(processes.pid, signal.SIGKILL)  # asked to end, they stay
        await processes.wait()
        await redis.delete(QUEUE)
        await redis.aclose()
        await broker.shutdown()
    print(json.dumps({"sending": sending, "doing": doing, "whole": whole}))


async def _timed(work: Awaitable[object]) -> float:
    started = time.perf_counter()
    await work
    return time.perf_counter() - started


async def _send(tasks: int, in_flight: int) -> None:
    items = iter(range(tasks))

    async def sender() -> None:
        for item in items:
            await nothing.kiq(f"ver_{item:032x}")

    await asyncio.gather(*(sender() for _ in range(in_flight)))


async def _until(redis: Redis, holds: Callable[[dict], object]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not holds((await redis.xinfo_groups(QUEUE))[0]):
        if time.monotonic() > deadline:
            raise TimeoutError("the tasks were not done in time")
        await asyncio.sleep(0.01)


def _is_done(group: dict, tasks: int) -> bool:
    return group["entries-read"] == tasks and group["pending"] == 0


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], *map(int, sys.argv[2:])))

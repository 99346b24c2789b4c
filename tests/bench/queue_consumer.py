"""A consumer of a run's queue as a process, that settles items without any work.

Arguments: a file of JSON with what it needs. Says `ready`, waits for a line, and prints when it began and ended.
"""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel
from redis.asyncio import Redis

from dreamhub.domain.deliveries import Delivery
from dreamhub.domain.run_totals import WorkerReport
from dreamhub.sql.connections import Connection
from dreamhub.sql.ingest import RunAttempt, RunDocument
from dreamhub.sql.landing import LEASE_SECONDS
from dreamhub.sql.pool import PoolOptions, open_pool
from dreamhub.sql.work_items import begin_item, settle_item
from dreamhub.storage.work_stream import WorkStream
from dreamhub_worker.work_queue import TAKEN_AT_ONCE, Ledger, SharedQueue


class Order(BaseModel):
    database_url: str
    redis_url: str
    tenant: str
    uid: str
    worker: int
    workers: int
    how: Literal["one by one", "stream alone"]


@dataclass(frozen=True)
class Consumer:
    """As the worker's loop is, without its documents."""

    connect: Callable[[], AbstractAsyncContextManager[Connection]]
    stream: WorkStream
    run: RunAttempt
    workers: int

    async def one_by_one(self) -> int:
        """Each begun and settled in transactions of its own, as what is committed together with a document is."""
        queue = SharedQueue(self.stream, Ledger(self.connect, self.run), self.run, self.workers)

        async def settle(deliveries: Sequence[Delivery]) -> None:
            for delivery in deliveries:
                await self._do(delivery.item)
            await queue.settle(deliveries)

        return await _drain(lambda: queue.take(()), settle)

    async def _do(self, item: str) -> None:
        async with self.connect() as conn:
            await begin_item(conn, self.run, item, stored=0, again=False)
        async with self.connect() as conn:
            await settle_item(conn, self.run, item, RunDocument(item, item, "Done"), WorkerReport())

    async def stream_alone(self) -> int:
        """Redis only: nothing would be left of the outcome."""
        consumer = str(self.run.worker)

        async def take() -> Sequence[Delivery]:
            return (await self.stream.take(consumer, TAKEN_AT_ONCE, LEASE_SECONDS)).deliveries

        return await _drain(take, self.stream.settle)


async def _drain(
    take: Callable[[], Awaitable[Sequence[Delivery]]], settle: Callable[[Sequence[Delivery]], Awaitable[None]]
) -> int:
    done = 0
    while deliveries := await take():
        await settle(deliveries)
        done += len(deliveries)
    return done


async def consume(order: Order) -> None:
    pool = await open_pool(order.database_url, PoolOptions(maximum=3))
    redis = Redis.from_url(order.redis_url)
    stream = WorkStream(redis, order.tenant, order.uid)
    consumer = Consumer(pool.acquire, stream, RunAttempt(order.uid, 1, order.worker), order.workers)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.readline)
    began = time.time()
    done = await (consumer.one_by_one() if order.how == "one by one" else consumer.stream_alone())
    sys.stdout.write(json.dumps({"began": began, "ended": time.time(), "done": done}) + "\n")
    await redis.aclose()
    await pool.close()


if __name__ == "__main__":
    asyncio.run(consume(Order.model_validate_json(Path(sys.argv[1]).read_text())))

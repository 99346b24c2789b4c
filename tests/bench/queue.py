"""The work queue against taskiq's on the same Redis: jobs that do nothing, so that the queue is what is measured."""

import asyncio
import hashlib
import json
import sys
import uuid
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

from redis.asyncio import Redis

from dreamhub.domain.job_input import InputDocument
from dreamhub.ids import new_id
from dreamhub.llm.embedding import open_embedder
from dreamhub.llm.models import BUILTIN_EMBEDDING, DEFAULT_MODELS
from dreamhub.sql.documents import NewUpload, register_upload
from dreamhub.sql.ingest import EmbeddingSpace, NewRun, ensure_generation, start_run
from dreamhub.sql.work_items import NewItem, enqueue
from dreamhub.storage.functions import load_functions
from dreamhub.storage.work_stream import WorkStream
from dreamhub_worker.chunking import STRATEGY
from dreamhub_worker.work_queue import PAGE, UNCHANGED_AT_ONCE
from tests.bench.environment import Environment
from tests.bench.peers import open_peer
from tests.bench.process import BenchmarkError, run_measured
from tests.bench.queue_consumer import Order
from tests.bench.table import Aim, Row

ITEMS = 4_000
WORKERS = 2
ROUNDS = 3
"""Ours and theirs in turn, for a neighbour's load meets both; the median of each counts."""


@dataclass(frozen=True)
class Rates:
    """Jobs a second."""

    doing: float
    """Of those that lay ready, from the first to the last."""
    whole: float
    """From the first that was enqueued to the last that was done."""


@dataclass(frozen=True)
class Round:
    ours: Rates
    theirs: Rates
    one_by_one: float
    stream_alone: float


async def measure_queue(environment: Environment) -> list[Row]:
    async with Redis.from_url(environment.redis.url()) as redis:
        await load_functions(redis)
    documents = await _store_unchanged(environment)
    return _rows_of([await _measure_round(environment, documents) for _ in range(ROUNDS)])


async def _measure_round(environment: Environment, documents: Sequence[InputDocument]) -> Round:
    return Round(
        await _run_workers(environment, documents),
        await asyncio.to_thread(_run_peer, environment),
        await _consume(environment, "one by one"),
        await _consume(environment, "stream alone"),
    )


def _rows_of(rounds: Sequence[Round]) -> list[Row]:
    doing, whole = median(each.theirs.doing for each in rounds), median(each.theirs.whole for each in rounds)
    peer = f"taskiq-redis: stream with acknowledgement, no outcome kept, {UNCHANGED_AT_ONCE} tasks in flight a process"
    mine = f"{ITEMS:,} unchanged documents, {WORKERS} workers; PostgreSQL settles up to {UNCHANGED_AT_ONCE} at once"
    return [
        Row(
            "queue: jobs that do nothing, from enqueued to done",
            "jobs/s",
            median(each.ours.whole for each in rounds),
            whole,
            Aim("ratio", ">=", 1.0),
            f"{mine}; reference: {peer}",
        ),
        Row(
            "queue: the same, those that lie ready",
            "jobs/s",
            median(each.ours.doing for each in rounds),
            doing,
            Aim("ratio", ">=", 1.0),
            "each settled once under the run's fence; leases, dead letters, progress; nothing is synced to disk",
        ),
        Row(
            "queue: begun and settled one by one",
            "jobs/s",
            median(each.one_by_one for each in rounds),
            doing,
            note="two transactions a job, as for documents that bring work; taskiq has none. Bounded by PostgreSQL",
        ),
        Row(
            "queue: the stream in Redis alone",
            "jobs/s",
            median(each.stream_alone for each in rounds),
            doing,
            note="delivered under a lease and taken out, with no outcome kept anywhere: what taskiq does",
        ),
    ]


async def _store_unchanged(environment: Environment) -> list[InputDocument]:
    """Documents that are searchable as they are: what a job finds that has nothing to do."""
    pool = environment.tenant.pool
    parts = await asyncio.gather(*(_register(environment, range(first, ITEMS, 4)) for first in range(4)))
    async with pool.acquire() as conn:
        embedder = open_embedder(DEFAULT_MODELS.find("embedding", BUILTIN_EMBEDDING))
        space = EmbeddingSpace(embedder.model, embedder.dimensions, STRATEGY)
        await conn.execute(
            "UPDATE document_versions SET state = 'active', generation = $1", await ensure_generation(conn, space)
        )
        await conn.execute(
            "UPDATE documents d SET active_version = v.id FROM document_versions v WHERE document_id = d.id"
        )
    return [document for part in parts for document in part]


async def _register(environment: Environment, numbers: range) -> list[InputDocument]:
    documents = []
    async with environment.tenant.pool.acquire() as conn:
        for number in numbers:
            digest = hashlib.sha256(str(number).encode()).digest()
            upload = NewUpload(new_id("doc"), new_id("ver"), f"{number}.txt", "text/plain", 1, digest)
            stored = await register_upload(conn, environment.tenant.keys, upload)
            documents.append(InputDocument(document_id=stored.document_id, version_id=stored.version_id, url="-"))
    return documents


async def _run_workers(environment: Environment, documents: Sequence[InputDocument]) -> Rates:
    """The workers of production, their processes and all: when each item was settled stands in the table."""
    _, progress = await environment.run_workers(documents, WORKERS)
    if progress.documents.skipped != ITEMS:
        raise BenchmarkError(f"{progress.documents.skipped} of {ITEMS} documents were skipped")
    row = await environment.tenant.pool.fetchrow(
        "SELECT min(i.enqueued_at) AS enqueued, min(i.settled_at) AS first, max(i.settled_at) AS last "
        "FROM work_items i JOIN ingest_runs r USING (uid) GROUP BY r.uid ORDER BY max(r.started_at) DESC LIMIT 1"
    )
    if row is None:
        raise BenchmarkError("the run has left no items")
    doing, whole = ((row["last"] - row[begin]).total_seconds() for begin in ("first", "enqueued"))
    return Rates(ITEMS / doing, ITEMS / whole)


def _run_peer(environment: Environment) -> Rates:
    url = environment.redis.url()
    command = [*open_peer("taskiqredis"), url, *map(str, (ITEMS, WORKERS, UNCHANGED_AT_ONCE))]
    finished = run_measured(command, {"PEER_REDIS_URL": url}, core=None)
    told = json.loads(finished.output.splitlines()[-1])
    return Rates(ITEMS / told["doing"], ITEMS / told["whole"])


async def _consume(environment: Environment, how: Literal["one by one", "stream alone"]) -> float:
    """Consumers without documents. Jobs a second from the first one's start to the last one's end."""
    tenant, uid = environment.tenant, str(uuid.uuid4())
    items = [NewItem(new_id("ver"), new_id("doc")) for _ in range(ITEMS)]
    async with tenant.pool.acquire() as conn:
        runs = [
            (await start_run(conn, NewRun(uid, "bench", "bench", "bench", ITEMS, worker))).run
            for worker in range(WORKERS)
        ]
        await enqueue(conn, runs[0], items)
    async with Redis.from_url(environment.redis.url()) as redis:
        stream = WorkStream(redis, tenant.name, uid)
        for first in range(0, ITEMS, PAGE):
            await stream.fill([item.version_id for item in items[first : first + PAGE]])
    orders = [
        Order(
            database_url=tenant.url,
            redis_url=environment.redis.url(),
            tenant=tenant.name,
            uid=uid,
            worker=worker,
            workers=WORKERS,
            how=how,
        )
        for worker in range(WORKERS)
    ]
    consumers = [await _start(environment, order) for order in orders]
    told = await asyncio.gather(*(_finish(consumer) for consumer in consumers))
    if sum(each["done"] for each in told) != ITEMS:
        raise BenchmarkError(f"{[each['done'] for each in told]} of {ITEMS} items were settled")
    return ITEMS / (max(each["ended"] for each in told) - min(each["began"] for each in told))


async def _start(environment: Environment, order: Order) -> Process:
    place = environment.folder / f"{order.uid}-{order.worker}.json"
    place.write_text(order.model_dump_json())
    module = ("-m", "tests.bench.queue_consumer", str(place))
    process = await asyncio.create_subprocess_exec(sys.executable, *module, stdin=PIPE, stdout=PIPE)
    if process.stdout is None or (await process.stdout.readline()).strip() != b"ready":
        raise BenchmarkError("a consumer of the queue did not start")
    return process


async def _finish(consumer: Process) -> dict[str, float]:
    output, _ = await consumer.communicate(b"\n")
    told: dict[str, float] = json.loads(output.splitlines()[-1])
    return told

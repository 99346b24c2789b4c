"""Vector indexes that come and go with a tenant's chunks, and statistics that follow them."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import structlog

from dreamhub.crd.tenant import IndexStatus, Tenant
from dreamhub.domain.vector_index import TOKENS_PER_CHUNK, Load, VectorIndex, decide, has_stale_statistics
from dreamhub.errors import DreamHubError
from dreamhub.names import namespace
from dreamhub_operator.context import Context
from dreamhub_operator.queue import WorkQueue
from dreamhub_operator.reconcile.tenant_status import Report
from dreamhub_operator.watched import Watched

READ_SECONDS = 15.0
"""What was read counts for so long: one query for all tenants, whatever their number."""
LOOK_SECONDS = 30.0
WORKERS = 1
"""Builds at a time: each takes a core of the database server, and those of its helpers."""
RETRY_SECONDS = 300.0

Change = Literal["Build", "Drop", "Statistics"]

log = structlog.get_logger()


def choose_change(index: VectorIndex, load: Load) -> Change | None:
    """The next thing to do. Statistics come last: a build does not need them, the searches after it do."""
    return decide(index, load) or ("Statistics" if has_stale_statistics(index) else None)


def estimate_load(watched: Watched, tenant: str) -> Load:
    """What the tenant's running IngestJobs have still to store, by the estimate in their status."""
    jobs = (watched.ingest_jobs[uid] for uid in watched.ingest_jobs_in(namespace(tenant)))
    running = [job.status for job in jobs if job.status.phase == "Running"]
    tokens = 0.0
    for status in running:
        done = status.progress.percent if status.progress is not None else 0
        tokens += (status.estimate.tokens if status.estimate is not None else 0) * (1 - done / 100)
    return Load(len(running), round(tokens / TOKENS_PER_CHUNK))


@dataclass
class IndexKeeper:
    """Builds and drops beside the reconciles. `wake` is called with a tenant's UID when something has changed."""

    context: Context
    wake: Callable[[str], None]
    clock: Callable[[], float] = time.monotonic
    _found: dict[str, VectorIndex] = field(default_factory=dict)
    _read_at: float = float("-inf")
    _queue: WorkQueue[str] = field(init=False)

    def __post_init__(self) -> None:
        self._queue = WorkQueue(self._change, WORKERS)

    async def run(self) -> None:
        """Work until cancelled."""
        await self._queue.run()

    async def find(self, tenant: str) -> VectorIndex | None:
        """None before its first searchable chunk. Raises TransientError."""
        if self.clock() - self._read_at >= READ_SECONDS:
            self._read_at = self.clock()
            self._found = dict(await self.context.vectors.fetch(list(self.context.watched.tenant_uids)))
        return self._found.get(tenant)

    def consider(self, tenant: Tenant, index: VectorIndex) -> None:
        if choose_change(index, estimate_load(self.context.watched, tenant.metadata.name)) is not None:
            self._queue.add(tenant.metadata.uid)

    async def _change(self, uid: str) -> float | None:
        """By what is true now: it may have waited long for its turn."""
        tenant = self.context.watched.tenants.get(uid)
        if tenant is None or tenant.metadata.deletion_timestamp is not None:
            return None
        name = tenant.metadata.name
        try:
            changed = await self._change_one(name)
        except DreamHubError as error:
            log.warning("vector index not changed", tenant=name, code=error.code, error=error.message)
            return self._count_failure()
        except Exception:
            log.exception("vector index not changed", tenant=name)
            return self._count_failure()
        if changed:
            self.wake(uid)
        return None

    def _count_failure(self) -> float:
        """Seconds until the next try."""
        self.context.metrics.vector_indexes.labels("Failed").inc()
        return RETRY_SECONDS

    async def _change_one(self, tenant: str) -> bool:
        vectors, before = self.context.vectors, self.clock()
        index = (await vectors.fetch([tenant])).get(tenant)
        change = None if index is None else choose_change(index, estimate_load(self.context.watched, tenant))
        match change:
            case None:
                return False
            case "Build":
                await vectors.build(tenant)
            case "Drop":
                await vectors.drop(tenant)
            case "Statistics":
                await vectors.refresh(tenant)
        self._found |= await vectors.fetch([tenant])
        self.context.metrics.vector_indexes.labels(change).inc()
        log.info("vector index", tenant=tenant, change=change, seconds=round(self.clock() - before, 1))
        return True


@dataclass(frozen=True)
class VectorDuty:
    keeper: IndexKeeper

    async def perform(self, tenant: Tenant, report: Report) -> float:
        index = await self.keeper.find(tenant.metadata.name)
        if index is not None:
            report.facts["index"] = IndexStatus(
                generation=index.generation, model=index.model, dimensions=index.dimensions, hnsw=index.indexed
            )
            self.keeper.consider(tenant, index)
        return LOOK_SECONDS

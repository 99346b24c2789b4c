"""Admission on a real API server, Jobs worked on by hand: fairness beside a neighbour, and many tenants at once.

Published figures to hold ours against: Kueue admits 42 workloads a second, its execution mocked as ours (its
performance tests, 15,000 workloads in 30 queues and 50,000 in 1,000).
"""

import asyncio
import json
import math
import statistics
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg

from dreamhub import names
from tests.bench.control import cpu_seconds, open_control_plane
from tests.bench.environment import Environment
from tests.bench.process import BenchmarkError
from tests.bench.table import Aim, Row
from tests.integration.operator.control_plane import Api, ControlPlane
from tests.integration.operator.deployment import (
    OperatorProcess,
    build_environment,
    create_token,
    eventually,
    ready_tenant,
)
from tests.integration.operator.kubelet import Kubelet, succeeded
from tests.integration.servers import pick_port, temporary_folder

SLOTS = 4
SMALL = 12
TIMES = 100
"""So many times a small tenant's work its neighbour has."""
ROUNDS = 3
"""So many small tenants, one after another."""
JOB_SECONDS = 3.0
"""Many times what the API server and the database take for a job, so that a wait is a wait for others."""
FOLLOWED = 200
"""The forecasts of so many of the neighbour's IngestJobs, the first ones, are held against what happens."""

TENANTS = 50
JOBS = 1_000
AT_ONCE = 16
PATIENCE = 900.0

INGEST_JOBS = f"/apis/{names.API_GROUP}/{names.API_VERSION}"


@dataclass
class Workers:
    """What kubelets and workers would do with every Job that runs: it takes a while, is recorded and complete."""

    api: Api
    seconds: float
    began: dict[str, float] = field(default_factory=dict)
    """When the Job of each IngestJob was seen to run, by UID, on the monotonic clock."""
    done: set[str] = field(default_factory=set)
    _tasks: set["asyncio.Task[None]"] = field(default_factory=set)
    _logins: dict[str, asyncpg.Connection] = field(default_factory=dict)
    """By tenant."""
    _turns: defaultdict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))

    async def watch(self) -> None:
        """Until cancelled, and it fails with the first work that does."""
        try:
            async for job in follow(self.api, f"/apis/batch/v1/jobs?labelSelector={names.OWNER_UID_LABEL}"):
                self._see(job)
        finally:
            for task in self._tasks:
                task.cancel()
            for login in self._logins.values():
                login.terminate()

    def _see(self, job: dict[str, Any]) -> None:
        uid = job["metadata"]["labels"][names.OWNER_UID_LABEL]
        if uid in self.began or job["spec"].get("suspend"):
            return
        self.began[uid] = time.monotonic()
        task = asyncio.create_task(self._work(job["metadata"]["labels"][names.TENANT_LABEL], uid))
        self._tasks.add(task)
        task.add_done_callback(self._forget)

    def _forget(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.result()

    async def _work(self, tenant: str, uid: str) -> None:
        await asyncio.sleep(self.seconds)
        kubelet = Kubelet(self.api, tenant, uid)
        async with self._turns[tenant]:
            if tenant not in self._logins:
                self._logins[tenant] = await kubelet.connect()
            await kubelet.record(self._logins[tenant], succeeded(), last=True)
        await kubelet.complete_job()
        self.done.add(uid)


@dataclass(frozen=True, slots=True)
class Promise:
    """The first forecast that a status told."""

    at: float
    """On the monotonic clock, when it was told."""
    seconds: float
    error: float


async def follow(api: Api, path: str) -> AsyncIterator[dict[str, Any]]:
    """Objects as they come and change, and those that are there: all of them again when the API server ends a watch.

    It refuses one for a moment after the definition of the objects was made.
    """
    headers = {"Authorization": f"Bearer {api.token}"}
    url = f"{api.url}{path}{'&' if '?' in path else '?'}watch=true&resourceVersion=0"
    while True:
        async with api.session.get(url, headers=headers, ssl=False, timeout=None) as response:
            async for line in response.content:
                event = json.loads(line)
                if event.get("type") in {"ADDED", "MODIFIED"}:
                    yield event["object"]
        await asyncio.sleep(0.1)


@dataclass
class Bench:
    api: Api
    operator: OperatorProcess
    workers: Workers
    ordered: dict[str, float] = field(default_factory=dict)
    """When each IngestJob was ordered, by UID, on the monotonic clock."""
    promises: dict[str, Promise] = field(default_factory=dict)
    """Of each that waited, by UID."""
    gate: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    @property
    def pid(self) -> int:
        if self.operator.process is None or not self.operator.is_running():
            raise BenchmarkError(f"the operator has ended:\n{self.operator.log.read_text()[-3_000:]}")
        return self.operator.process.pid

    async def order(self, tenant: str, prefix: str, count: int) -> list[str]:
        """Create so many at once; their UIDs."""

        async def one(number: int) -> str:
            async with self.gate:
                at = time.monotonic()
                made = await self.api.ok("POST", _path(tenant), _manifest(f"{prefix}-{number}"))
            uid = str(made["metadata"]["uid"])
            self.ordered[uid] = at
            return uid

        return list(await asyncio.gather(*map(one, range(count))))

    async def finish(self, uids: Iterable[str]) -> None:
        wanted = set(uids)

        async def done() -> bool:
            _ = self.pid
            return wanted <= self.workers.done

        await eventually(done, f"{len(wanted)} IngestJobs are worked on", PATIENCE)

    def waits(self, uids: Iterable[str]) -> list[float]:
        return [self.workers.began[uid] - self.ordered[uid] for uid in uids]

    async def watch_promises(self) -> None:
        """Until cancelled."""
        async for job in follow(self.api, f"{INGEST_JOBS}/ingestjobs"):
            uid, queue = job["metadata"]["uid"], job.get("status", {}).get("queue") or {}
            if "etaSeconds" in queue and uid not in self.promises:
                self.promises[uid] = Promise(time.monotonic(), queue["etaSeconds"], queue["etaErrorSeconds"])


def _path(tenant: str) -> str:
    return f"{INGEST_JOBS}/namespaces/{names.namespace(tenant)}/ingestjobs"


def _manifest(name: str) -> dict[str, Any]:
    spec = {"source": {"inline": {"name": f"{name}.md", "text": "hello"}}}
    version = f"{names.API_GROUP}/{names.API_VERSION}"
    return {"apiVersion": version, "kind": "IngestJob", "metadata": {"name": name}, "spec": spec}


async def measure_admission(environment: Environment) -> list[Row]:
    async with open_control_plane(environment.folder) as (api, plane):
        waits = await _measure_alone(api, plane, environment, "before")
        beside, promised = await _measure_beside(api, plane, environment)
    async with open_control_plane(environment.folder) as (api, plane):
        waits += await _measure_alone(api, plane, environment, "after")
        many = await _measure_many(api, plane, environment)
    alone = percentile(waits, 0.95)
    work = f"{ROUNDS} times {SMALL} IngestJobs of {JOB_SECONDS:g} s, {SLOTS} slots"
    note = f"{work}, beside {SMALL * TIMES}; alone: before and after it"
    return [
        Row("admission: p95 wait of a small tenant", "s", beside, alone, Aim("ratio", "<=", 2), note),
        *promised,
        *many,
    ]


async def _measure_alone(api: Api, plane: ControlPlane, environment: Environment, name: str) -> list[float]:
    async with _opened(api, plane, environment, JOB_SECONDS, SLOTS) as bench:
        return await _order_small(bench, name)


async def _order_small(bench: Bench, name: str) -> list[float]:
    """Small tenants that follow each other, each new, as nobody has waited for it before; the waits of their jobs."""
    tenants = [f"{name}-{number}" for number in range(ROUNDS)]
    for tenant in tenants:
        await ready_tenant(bench.api, tenant)
    waits: list[float] = []
    for tenant in tenants:
        uids = await bench.order(tenant, "job", SMALL)
        await bench.finish(uids)
        waits += bench.waits(uids)
    return waits


async def _measure_beside(api: Api, plane: ControlPlane, environment: Environment) -> tuple[float, list[Row]]:
    """One job of a third tenant in the midst of the rush; the small ones' once the large one's stand in line."""
    async with _opened(api, plane, environment, JOB_SECONDS, SLOTS) as bench:
        for tenant in ("large", "first"):
            await ready_tenant(api, tenant)
        large = await bench.order("large", "job", SMALL * TIMES)
        first = await bench.order("first", "job", 1)
        await bench.finish(first)
        await eventually(lambda: _are_told(bench, "large"), "every IngestJob of the neighbour has its place", PATIENCE)
        waits = await _order_small(bench, "small")
        followed = sorted(large, key=bench.ordered.__getitem__)[:FOLLOWED]
        await bench.finish(followed)
        rush = f"ordered when {SMALL * TIMES} of a neighbour's had just been, before these stood in line"
        row = Row("admission: wait of a tenant's first job", "s", bench.waits(first)[0], note=rush)
        return percentile(waits, 0.95), [row, *_promise_rows(bench, followed)]


async def _are_told(bench: Bench, tenant: str) -> bool:
    """Whether every IngestJob has been looked at."""
    _ = bench.pid
    return all("phase" in item.get("status", {}) for item in (await bench.api.ok("GET", _path(tenant)))["items"])


def _promise_rows(bench: Bench, followed: Iterable[str]) -> list[Row]:
    """Of those that were told one before they began, whatever it was."""
    began, promises = bench.workers.began, bench.promises
    outcomes = [
        (promises[uid].seconds, promises[uid].error, began[uid] - promises[uid].at)
        for uid in followed
        if uid in promises and promises[uid].at < began[uid]
    ]
    if not outcomes:
        raise BenchmarkError("no IngestJob was told a forecast before it began")
    within = statistics.mean(abs(actual - seconds) <= error + 1 for seconds, error, actual in outcomes)
    off = statistics.median(abs(actual - seconds) / max(seconds, 5) for seconds, _, actual in outcomes)
    width = statistics.median(error / max(seconds, 5) for seconds, error, _ in outcomes)
    note = f"first forecasts of {len(outcomes)} of the first {FOLLOWED} IngestJobs of a rush of {SMALL * TIMES}"
    return [
        Row(
            "admission: begun within the error of the forecast", "share", within, aim=Aim("ours", ">=", 0.8), note=note
        ),
        Row("admission: forecast off by, median", "of itself", off, note=note),
        Row("admission: error that was told, median", "of the forecast", width, note=note),
    ]


async def _measure_many(api: Api, plane: ControlPlane, environment: Environment) -> list[Row]:
    async with _opened(api, plane, environment, 0.1, 100) as bench:
        tenants = [f"many-{number:02}" for number in range(TENANTS)]
        for first in range(0, TENANTS, 10):
            await asyncio.gather(*(ready_tenant(api, tenant) for tenant in tenants[first : first + 10]))
        cpu, started = cpu_seconds(bench.pid), time.monotonic()
        made = await asyncio.gather(*(bench.order(tenant, "job", JOBS // TENANTS) for tenant in tenants))
        uids = [uid for some in made for uid in some]
        await bench.finish(uids)
        admitted = max(bench.workers.began[uid] for uid in uids) - started
        stuck = await _count_stuck(bench, tenants)
        spent = cpu_seconds(bench.pid) - cpu
        peak = _peak_megabytes(bench.pid)
    note = f"{JOBS} IngestJobs of {TENANTS} tenants, ordered at once; execution mocked"
    return [
        Row(
            "admission: many tenants", "jobs/s", JOBS / admitted, note=f"{note}; published: Kueue 42 on its own machine"
        ),
        Row("admission: operator's CPU a job, to its end", "ms", spent / JOBS * 1000, note=note),
        Row("admission: operator's peak memory", "MB", peak, note=note),
        Row("admission: IngestJobs that are stuck", "", stuck, aim=Aim("ours", "<=", 0), note=note),
    ]


async def _count_stuck(bench: Bench, tenants: list[str]) -> int:
    """Of those whose work is done: they have a while to say so."""
    left = 0

    async def settled() -> bool:
        nonlocal left
        items = [item for tenant in tenants for item in (await bench.api.ok("GET", _path(tenant)))["items"]]
        left = sum(item.get("status", {}).get("phase") != "Succeeded" for item in items)
        return left == 0

    try:
        await eventually(settled, "every IngestJob tells its end", 120)
    except AssertionError:
        return left
    return 0


@asynccontextmanager
async def _opened(
    api: Api, plane: ControlPlane, environment: Environment, seconds: float, slots: int
) -> AsyncIterator[Bench]:
    with temporary_folder() as folder:
        port = pick_port()
        variables = {
            **build_environment(await create_token(api), plane, environment.stores, folder),
            "DREAMHUB_METRICS_PORT": str(port),
            "DREAMHUB_ADMISSION": json.dumps({"concurrentJobs": slots}),
        }
        del variables["DREAMHUB_DRIFT_SECONDS"]
        operator = OperatorProcess(variables, folder / "log", port)
        operator.start()
        workers = Workers(api, seconds)
        bench = Bench(api, operator, workers)
        watching = [asyncio.create_task(watch()) for watch in (workers.watch, bench.watch_promises)]
        try:
            yield bench
        finally:
            for task in watching:
                task.cancel()
            await asyncio.gather(*watching, return_exceptions=True)
            operator.stop()


def percentile(values: list[float], share: float) -> float:
    """By nearest rank."""
    return sorted(values)[math.ceil(share * len(values)) - 1]


def _peak_megabytes(pid: int) -> float:
    """Highest resident memory so far (proc_pid_status(5))."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")) / 1024

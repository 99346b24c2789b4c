"""The operator's cost: IngestJobs to created Jobs, beside a bare kopf handler on the same API server."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from dreamhub import names
from dreamhub.crd.definitions import DEFINITIONS, build_crd
from tests.bench.environment import Environment
from tests.bench.process import BenchmarkError
from tests.bench.table import Aim, Row
from tests.integration.operator.control_plane import Api, ControlPlane, install_crds, start_control_plane, wait_ready
from tests.integration.operator.deployment import (
    OperatorProcess,
    build_environment,
    create_token,
    eventually,
    install_rights,
    ready_tenant,
)
from tests.integration.servers import pick_port, temporary_folder

JOBS = 300
AT_ONCE = 16
BARE = Path(__file__).parent / "bare_kopf.py"


@dataclass(frozen=True, slots=True)
class Cost:
    per_second: float
    """IngestJobs dealt with."""
    milliseconds: float
    """CPU of the operator's process, for one IngestJob, what it spends idle taken off."""


async def measure_control(environment: Environment) -> list[Row]:
    async with open_control_plane(environment.folder) as (api, plane):
        ours = await _measure_ours(api, plane, environment)
        nothing = await _measure_bare(api, plane, environment.folder, "nothing")
        plain = await _measure_bare(api, plane, environment.folder, "job")
    note = f"{JOBS} IngestJobs, {AT_ONCE} created at a time"
    rate, cpu = "operator: IngestJobs to created Jobs", "operator: CPU for one IngestJob"
    bare, same = "reference: kopf handler that does nothing", "reference: kopf handler that makes a Job, plain"
    return [
        Row(rate, "jobs/s", ours.per_second, plain.per_second, note=f"{note}; {same}"),
        Row(cpu, "ms", ours.milliseconds, nothing.milliseconds, note=bare),
        Row(cpu, "ms", ours.milliseconds, plain.milliseconds, Aim("ratio", "<=", 1.5), same),
    ]


@asynccontextmanager
async def open_control_plane(folder: Path) -> AsyncIterator[tuple[Api, ControlPlane]]:
    """An API server with our CRDs and rights, and the administrator on it."""
    plane = start_control_plane(folder)
    try:
        async with aiohttp.ClientSession() as session:
            api = Api(session, plane.url)
            await wait_ready(api, plane)
            await install_crds(api, [build_crd(definition) for definition in DEFINITIONS])
            await install_rights(api)
            yield api, plane
    finally:
        plane.stop()


async def _measure_ours(api: Api, plane: ControlPlane, environment: Environment) -> Cost:
    with temporary_folder() as folder:
        variables = build_environment(await create_token(api), plane, environment.stores, folder)
        port = pick_port()
        operator = OperatorProcess({**variables, "DREAMHUB_METRICS_PORT": str(port)}, folder / "log", port)
        operator.ensure()
        try:
            await ready_tenant(api, "control")
            if operator.process is None:
                raise BenchmarkError("the operator did not start")
            return await _measure(api, operator.process.pid, names.namespace("control"))
        finally:
            operator.kill()


async def _measure_bare(api: Api, plane: ControlPlane, folder: Path, what: str) -> Cost:
    namespace = names.namespace(f"bare-{what}")
    marks = {names.TENANT_LABEL: f"bare-{what}"}
    metadata = {"name": namespace, "labels": marks}
    await api.apply(f"/api/v1/namespaces/{namespace}", {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    with _run_bare(plane, folder, namespace, what) as pid:
        await _create(api, namespace, "warm", 1)
        await _wait_until_done(api, namespace, 1)
        return await _measure(api, pid, namespace, before=1)


@contextmanager
def _run_bare(plane: ControlPlane, folder: Path, namespace: str, what: str) -> Iterator[int]:
    command = [sys.executable, "-m", "kopf", "run", "--namespace", namespace, "--standalone", "--quiet", str(BARE)]
    variables = {**os.environ, "KUBECONFIG": str(plane.kubeconfig), "BARE_KOPF": what}
    with (folder / f"{namespace}.log").open("wb") as log:
        process = subprocess.Popen(command, env=variables, stdout=log, stderr=log)
    try:
        yield process.pid
    finally:
        process.kill()
        process.wait()


async def _measure(api: Api, pid: int, namespace: str, *, before: int = 0, window: float = 3.0) -> Cost:
    """`window`: seconds of idling before, whose CPU is taken off, and of settling after."""
    idle_from = cpu_seconds(pid)
    await asyncio.sleep(window)
    idle = (cpu_seconds(pid) - idle_from) / window
    cpu, started = cpu_seconds(pid), time.monotonic()
    await _create(api, namespace, "job", JOBS)
    await _wait_until_done(api, namespace, JOBS + before)
    made = time.monotonic() - started
    await asyncio.sleep(window)
    spent = cpu_seconds(pid) - cpu - idle * (time.monotonic() - started)
    return Cost(JOBS / made, spent / JOBS * 1000)


async def _create(api: Api, namespace: str, prefix: str, count: int) -> None:
    path = f"/apis/{names.API_GROUP}/{names.API_VERSION}/namespaces/{namespace}/ingestjobs"
    gate = asyncio.Semaphore(AT_ONCE)

    async def create(number: int) -> None:
        spec = {"source": {"inline": {"name": f"{number}.md", "text": "hello"}}}
        manifest = {
            "apiVersion": f"{names.API_GROUP}/{names.API_VERSION}",
            "kind": "IngestJob",
            "metadata": {"name": f"{prefix}-{number}"},
            "spec": spec,
        }
        async with gate:
            await api.ok("POST", path, manifest)

    await asyncio.gather(*(create(number) for number in range(count)))


async def _wait_until_done(api: Api, namespace: str, count: int) -> None:
    """Until as many Jobs are there or, of handlers that make none, as many IngestJobs bear kopf's mark."""
    if namespace != names.namespace("bare-nothing"):
        path, mark = f"/apis/batch/v1/namespaces/{namespace}/jobs", ""
    else:
        path = f"/apis/{names.API_GROUP}/{names.API_VERSION}/namespaces/{namespace}/ingestjobs"
        mark = "kopf.zalando.org/last-handled-configuration"

    async def done() -> bool:
        items = (await api.ok("GET", path))["items"]
        return sum(not mark or mark in item["metadata"].get("annotations", {}) for item in items) >= count

    await eventually(done, f"{count} IngestJobs dealt with in {namespace}", 120)


def cpu_seconds(pid: int) -> float:
    """User and system time of a running process (proc_pid_stat(5): fields 14 and 15)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

"""`make bench-tenants`: many tenants at once on a real API server, PostgreSQL and Redis, the operator as a process.

It measures and asserts nothing. Published figures to hold ours against: the hierarchical namespace controller restarts
in up to 200 s at 500 namespaces (its FAQ, 50 requests a second), and takes 200 MB for 700 namespaces.
"""

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from dreamhub import names
from tests.bench.control import cpu_seconds, open_control_plane
from tests.bench.environment import Environment, open_environment
from tests.bench.process import BenchmarkError
from tests.bench.table import Row, print_table, write_json
from tests.integration.operator.control_plane import Api, ControlPlane
from tests.integration.operator.deployment import (
    TENANTS,
    OperatorProcess,
    build_environment,
    condition,
    create_token,
    eventually,
    tenant_manifest,
)
from tests.integration.servers import pick_port, temporary_folder

OUTPUT = Path("build/bench-tenants.json")
AT_ONCE = 16
DELETIONS = 20
PATIENCE = 1800.0


@dataclass(frozen=True, slots=True)
class Reading:
    """What the operator's process has used so far."""

    requests: float
    """To the Kubernetes API; watches count when they are opened."""
    cpu: float
    rss: float
    """MB"""
    at: float


@dataclass(frozen=True)
class Bench:
    api: Api
    operator: OperatorProcess
    count: int

    @property
    def pid(self) -> int:
        if self.operator.process is None or not self.operator.is_running():
            raise BenchmarkError(f"the operator has ended:\n{self.operator.log.read_text()[-3_000:]}")
        return self.operator.process.pid

    async def metric(self, name: str) -> float:
        """Sum over the labels."""
        lines = (await self.operator.fetch("/metrics")).splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.partition("{")[0].partition(" ")[0] == name)

    async def read(self) -> Reading:
        requests = await self.metric("dreamhub_kubernetes_requests_total")
        return Reading(requests, cpu_seconds(self.pid), _megabytes(self.pid), time.monotonic())

    async def start(self) -> None:
        """Until it leads."""
        self.operator.start()

        async def leads() -> bool:
            try:
                return await self.metric("dreamhub_leader") == 1
            except OSError:
                _ = self.pid
                return False

        await eventually(leads, "the operator leads", 60)

    async def wait_until_reconciled(self) -> None:
        async def done() -> bool:
            return await self.metric("dreamhub_tenants_reconciled") >= self.count

        await eventually(done, "every Tenant reconciled", PATIENCE)

    async def wait_until_ready(self) -> None:
        seen = 0
        deadline = time.monotonic() + PATIENCE
        while seen < self.count:
            if time.monotonic() > deadline:
                raise BenchmarkError(
                    f"{seen} of {self.count} Tenants are Ready:\n{self.operator.log.read_text()[-3_000:]}"
                )
            await asyncio.sleep(1)
            items = (await self.api.ok("GET", TENANTS))["items"]
            seen = sum(condition(item, "Ready").get("status") == "True" for item in items)
            _ = self.pid
            _say(f"{seen} of {self.count} Tenants are Ready")


def _megabytes(pid: int) -> float:
    """Resident memory (proc_pid_status(5))."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:")) / 1024


async def measure_tenants(count: int) -> list[Row]:
    async with (
        open_environment() as environment,
        open_control_plane(environment.folder) as (api, plane),
        _operator(api, plane, environment) as operator,
    ):
        bench = Bench(api, operator, count)
        rows = await _measure_provisioning(bench)
        rows += await _measure_rest(bench)
        rows.append(await _measure_drift(bench))
        return rows + await _measure_restart(bench)


@asynccontextmanager
async def _operator(api: Api, plane: ControlPlane, environment: Environment) -> AsyncIterator[OperatorProcess]:
    """As the chart runs it: with its own defaults of how often it looks."""
    with temporary_folder() as folder:
        variables = build_environment(await create_token(api), plane, environment.stores, folder)
        del variables["DREAMHUB_DRIFT_SECONDS"]
        port = pick_port()
        operator = OperatorProcess({**variables, "DREAMHUB_METRICS_PORT": str(port)}, folder / "log", port)
        try:
            yield operator
        finally:
            if operator.is_running():
                operator.kill()


async def _measure_provisioning(bench: Bench) -> list[Row]:
    await bench.start()
    before = await bench.read()
    await _each(range(bench.count), lambda number: _create(bench.api, number))
    created = time.monotonic() - before.at
    await bench.wait_until_ready()
    after = await bench.read()
    return [
        Row("first apply to all Ready", "s", after.at - before.at, note=f"all applied after {created:.0f} s"),
        Row("API requests a tenant, provisioning", "", (after.requests - before.requests) / bench.count),
        Row("operator's CPU a tenant, provisioning", "ms", (after.cpu - before.cpu) / bench.count * 1000),
        Row("operator's memory without tenants", "MB", before.rss),
        Row("operator's memory, all provisioned", "MB", after.rss, note="published: 200 MB for 700 namespaces"),
    ]


async def _measure_rest(bench: Bench, settling: float = 5.0, window: float = 90.0) -> list[Row]:
    """`window`: seconds, more than two looks at each tenant."""
    _say(f"measuring {window:.0f} s of rest")
    await asyncio.sleep(settling)
    before = await bench.read()
    await asyncio.sleep(window)
    after = await bench.read()
    minutes = (after.at - before.at) / 60
    return [
        Row(
            "API requests a tenant and minute, at rest", "", (after.requests - before.requests) / bench.count / minutes
        ),
        Row("operator's CPU at rest", "% of a core", (after.cpu - before.cpu) / (after.at - before.at) * 100),
        Row("operator's memory at rest", "MB", after.rss),
    ]


async def _measure_drift(bench: Bench) -> Row:
    """One after the other, as a person would do it."""
    _say("taking objects away")
    times = [await _restore(bench.api, number) for number in range(min(DELETIONS, bench.count))]
    note = f"p50 of {len(times)}, slowest {max(times) * 1000:.0f} ms"
    return Row("deleted NetworkPolicy to restored", "ms", statistics.median(times) * 1000, note=note)


async def _restore(api: Api, number: int) -> float:
    path = f"/apis/networking.k8s.io/v1/namespaces/{names.namespace(_name(number))}/networkpolicies/default-deny"
    started = time.monotonic()
    await api.ok("DELETE", path)

    async def back() -> bool:
        return (await api.call("GET", path))[0] == 200

    await eventually(back, f"{path} is back", 120)
    return time.monotonic() - started


async def _measure_restart(bench: Bench) -> list[Row]:
    _say("starting the operator anew")
    bench.operator.stop()
    started = time.monotonic()
    await bench.start()
    led, at_lead = time.monotonic() - started, await bench.read()
    await bench.wait_until_reconciled()
    taken = time.monotonic() - started
    after = await bench.read()
    note = f"leads after {led:.1f} s; published: 200 s at 500 namespaces"
    return [
        Row("start to all reconciled again", "s", taken, note=note),
        Row("API requests a tenant, restart", "", after.requests / bench.count),
        Row("operator's CPU a tenant, restart", "ms", (after.cpu - at_lead.cpu) / bench.count * 1000),
        Row("operator's memory after the restart", "MB", after.rss),
    ]


async def _each(numbers: range, work: Callable[[int], Awaitable[None]]) -> None:
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> None:
        async with gate:
            await work(number)

    await asyncio.gather(*map(one, numbers))


def _name(number: int) -> str:
    return f"scale-{number:04}"


async def _create(api: Api, number: int) -> None:
    await api.ok("POST", TENANTS, tenant_manifest(_name(number)))


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=500, help="how many Tenants (default: %(default)s)")
    count: int = parser.parse_args().count
    try:
        rows = asyncio.run(measure_tenants(count))
    except BenchmarkError as error:
        print(f"no figures: {error}", file=sys.stderr)
        return 2
    print_table([Row("tenants", "", count), *rows])
    write_json(rows, OUTPUT)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Rounds beside the reconciles: when they run, what is kept of them, what the duty tells."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from dreamhub.crd.tenant import Tenant
from dreamhub.errors import ConflictError, UnavailableError
from dreamhub.names import CANARY_TENANT
from dreamhub_operator.duties.isolation import IsolationDuty
from dreamhub_operator.isolation.outcome import Blocked, Inconclusive, Leaked, Outcome, Probe
from dreamhub_operator.isolation.schedule import FIRST_SECONDS, RETRY_FIRST_SECONDS
from dreamhub_operator.isolation.settings import Isolation
from dreamhub_operator.isolation.verifier import Verifier
from dreamhub_operator.kinds import Manifest
from dreamhub_operator.metrics import Metrics
from dreamhub_operator.reconcile.tenant_status import Report
from dreamhub_operator.watched import Watched
from tests.unit.operator.builders import NOW, tenant


class Cluster:
    """Keeps what is created."""

    def __init__(self) -> None:
        self.created: list[Manifest] = []

    async def create(self, manifest: Manifest) -> Manifest:
        self.created.append(manifest)
        if manifest["kind"] == "Tenant":
            raise ConflictError("it is there")
        return manifest


@dataclass
class World:
    """The parts of a Context that matter here."""

    settings: Any
    now_at: datetime = NOW
    metrics: Metrics = field(default_factory=lambda: Metrics(CollectorRegistry()))
    watched: Watched = field(default_factory=Watched)
    cluster: Cluster = field(default_factory=Cluster)

    def now(self) -> datetime:
        return self.now_at


@dataclass(frozen=True)
class FakeSettings:
    isolation: Isolation


@dataclass
class Rig:
    world: World
    verifier: Verifier
    duty: IsolationDuty
    woken: list[str]

    async def look(self, found: Tenant) -> Report:
        report = Report()
        await self.duty.perform(found, report)
        return report

    def status(self, name: str) -> float | None:
        return self.world.metrics.registry.get_sample_value("dreamhub_isolation_probe_failures_total", {"probe": name})


async def eventually(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.005)


def build(outcome: Outcome | Exception, *, enabled: bool = True) -> Rig:
    async def run_round(_: Tenant) -> Sequence[Probe]:
        if isinstance(outcome, Exception):
            raise outcome
        return [Probe("redis", "attempt", outcome)]

    world, woken = World(FakeSettings(Isolation(enabled=enabled))), list[str]()
    context: Any = world
    verifier = Verifier(context, run_round, woken.append)
    return Rig(world, verifier, IsolationDuty(context, verifier), woken)


@asynccontextmanager
async def running(rig: Rig) -> AsyncIterator[None]:
    task = asyncio.create_task(rig.verifier.run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def verify_once(rig: Rig, found: Tenant) -> Report:
    """From the first look to the one after the round."""
    rig.world.watched.tenants[found.metadata.uid] = found
    async with running(rig):
        before = await rig.look(found)
        assert before.findings[0].reason.value == "NotProbed"
        rig.world.now_at += timedelta(seconds=FIRST_SECONDS)
        await rig.look(found)
        await eventually(lambda: bool(rig.woken))
    return await rig.look(found)


async def test_new_tenant_is_verified_and_told_of() -> None:
    rig = build(Blocked())
    report = await verify_once(rig, tenant())
    assert report.findings[0].status == "True"
    assert report.facts["isolation"].model_dump()["probes"] == 1
    assert [item["reason"] for item in rig.world.cluster.created if item["kind"] == "Event"] == ["IsolationVerified"]
    assert rig.status("redis") == 0


async def test_leak_is_told_counted_and_announced() -> None:
    rig = build(Leaked("a key was read"))
    report = await verify_once(rig, tenant())
    assert (report.findings[0].status, report.findings[0].reason.value) == ("False", "ProbeFailed")
    assert report.facts["isolation"].model_dump()["first_failure"] == "redis: attempt: a key was read"
    assert rig.status("redis") == 1
    event = next(item for item in rig.world.cluster.created if item["kind"] == "Event")
    assert (event["type"], event["reason"]) == ("Warning", "ProbeFailed")


@pytest.mark.parametrize(
    ("outcome", "why"),
    [
        (Inconclusive("Redis is away"), "Redis is away"),
        (UnavailableError("the canary is not ready"), "the canary is not ready"),
        (RuntimeError("a bug"), "an error of the operator's own"),
    ],
)
async def test_round_that_proves_nothing_is_told_and_tried_again(outcome: Outcome | Exception, why: str) -> None:
    rig = build(outcome)
    found = tenant()
    report = await verify_once(rig, found)
    assert (report.findings[0].status, report.findings[0].reason.value) == ("Unknown", "ProbesInconclusive")
    assert why in report.findings[0].message
    assert "isolation" not in report.facts
    assert rig.verifier.consider(found) == RETRY_FIRST_SECONDS


async def test_looks_during_a_round_ask_for_no_second_one() -> None:
    rig, go, rounds = build(Blocked()), asyncio.Event(), list[str]()

    async def slow(found: Tenant) -> Sequence[Probe]:
        rounds.append(found.metadata.uid)
        await go.wait()
        return [Probe("redis", "attempt", Blocked())]

    rig.verifier.run_round = slow
    found = tenant()
    rig.world.watched.tenants[found.metadata.uid] = found
    other = tenant(metadata={"uid": "other"})
    rig.world.watched.tenants["other"] = other
    async with running(rig):
        rig.verifier.consider(found)
        rig.verifier.consider(other)
        rig.world.now_at += timedelta(seconds=FIRST_SECONDS)
        for _ in range(3):
            rig.verifier.consider(found)
            await eventually(lambda: bool(rounds))
        go.set()
        await eventually(lambda: bool(rig.woken))
        rig.verifier.consider(other)  # goes through the same queue, behind whatever is in it
        await eventually(lambda: "other" in rig.woken)
    assert rounds == [found.metadata.uid, "other"]


async def test_tenant_that_goes_during_its_round_is_forgotten() -> None:
    rig, found, other = build(Blocked()), tenant(), tenant(metadata={"uid": "other"})

    async def last(_: Tenant) -> Sequence[Probe]:
        rig.world.watched.drop_tenant(found.metadata.uid)
        return [Probe("redis", "attempt", Leaked("too late"))]

    rig.verifier.run_round = last
    rig.world.watched.tenants = {item.metadata.uid: item for item in (found, other)}
    async with running(rig):
        for _ in range(2):
            rig.verifier.consider(found)
            rig.verifier.consider(other)
            rig.world.now_at += timedelta(seconds=FIRST_SECONDS)
        await eventually(lambda: bool(rig.woken))
    assert rig.woken == ["other"]
    assert rig.verifier.latest(found) is None
    assert rig.verifier.latest(other) is not None


async def test_status_that_is_still_to_be_written_starts_no_second_round() -> None:
    rig = build(Blocked())
    await verify_once(rig, tenant())
    assert rig.verifier.consider(tenant()) > 3600


async def test_canary_is_made_first_and_not_verified_itself() -> None:
    rig = build(Blocked())
    async with running(rig):
        await eventually(lambda: bool(rig.world.cluster.created))
    assert rig.world.cluster.created[0]["metadata"]["name"] == CANARY_TENANT
    report = await rig.look(tenant(metadata={"name": CANARY_TENANT}))
    assert report.findings[0].status == "Unknown"
    assert "holds nobody's data" in report.findings[0].message


async def test_switched_off_there_is_no_canary_and_an_old_proof_is_withdrawn() -> None:
    rig = build(Blocked(), enabled=False)
    async with running(rig):
        assert (await rig.look(tenant())).findings == []
        condition = {
            "type": "IsolationVerified",
            "status": "True",
            "reason": "IsolationVerified",
            "lastTransitionTime": NOW.isoformat(),
        }
        report = await rig.look(tenant({"conditions": [condition]}))
    assert "switched off" in report.findings[0].message
    assert rig.world.cluster.created == []


def sample(rig: Rig, status: str) -> float | None:
    return rig.world.metrics.registry.get_sample_value("dreamhub_isolation_tenants", {"status": status})


def test_gauges_count_ready_tenants_by_status() -> None:
    rig = build(Blocked())

    def known(name: str, *conditions: tuple[str, str], **isolation: Any) -> Tenant:
        stated = [
            {"type": kind, "status": status, "reason": "Provisioned", "lastTransitionTime": NOW.isoformat()}
            for kind, status in conditions
        ]
        return tenant({"conditions": stated, "isolation": isolation or None}, {"name": name})

    ready = ("Ready", "True")
    tenants = [
        known("a", ready, ("IsolationVerified", "True"), checkedTime=(NOW - timedelta(hours=2)).isoformat()),
        known("b", ready, ("IsolationVerified", "False"), checkedTime=(NOW - timedelta(hours=1)).isoformat()),
        known("c", ready),
        known("d", ("Ready", "False")),
        known(CANARY_TENANT, ready),
    ]
    rig.world.metrics.isolation.show(tenants, NOW)
    assert [sample(rig, status) for status in ("True", "False", "Unknown")] == [1, 1, 1]
    registry = rig.world.metrics.registry
    assert registry.get_sample_value("dreamhub_isolation_oldest_verification_seconds") == 7200

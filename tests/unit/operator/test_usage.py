"""Limits into the database, usage into the status, and when that is worth a write."""

from dataclasses import dataclass, field, replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from dreamhub.crd.tenant import Tenant, Usage
from dreamhub.crd.tenant_spec import Plan
from dreamhub.sql.quota import Limits, QuotaUsage
from dreamhub_operator.duties.quota import (
    REWRITE_AFTER,
    REWRITE_AT_LATEST,
    build_limits,
    choose_usage,
    describe,
    find_reached,
)
from dreamhub_operator.duties.usage import READ_SECONDS, UsageBoard, UsageDuty
from dreamhub_operator.reconcile.queues import Queues
from dreamhub_operator.reconcile.tenant_status import Report, build_tenant_status
from dreamhub_operator.watched import Watched
from tests.unit.operator.builders import NOW, tenant
from tests.unit.operator.ledgers import MemoryLedger
from tests.unit.operator.quotas import EMPTY, MemoryQuotas


def test_the_plan_in_numbers() -> None:
    assert build_limits(Plan()) == Limits()
    assert build_limits(Plan(storage="50Gi", documents=0, concurrent_jobs=3)) == Limits(
        documents=0, storage_bytes=50 * 2**30, concurrent_jobs=3
    )
    assert build_limits(Plan(storage=1000)).storage_bytes == 1000


@pytest.mark.parametrize(
    ("limits", "used", "said"),
    [
        (Limits(), {"documents": 10**9}, None),
        (Limits(documents=10), {"documents": 9}, None),
        (Limits(documents=10), {"documents": 10}, "spec.plan.documents: 10 of 10 are used; delete documents, or raise"),
        (Limits(chunks=10), {"chunks": 12}, "spec.plan.chunks: 12 of 10 are used"),
        (Limits(storage_bytes=5000), {"storage_bytes": 5000}, "spec.plan.storage: 5,000 of 5,000 bytes are used"),
        (Limits(tokens_per_day=7), {"tokens_today": 7}, "resets at 2026-03-02T00:00:00Z"),
        (Limits(tokens_per_month=7), {"tokens_month": 7}, "resets at 2026-04-01T00:00:00Z"),
        (Limits(queued_jobs=2), {"queued_jobs": 2}, "spec.plan.queuedJobs: 2 of 2 are used"),
        (Limits(concurrent_jobs=1), {"queued_jobs": 5}, None),
        (Limits(documents=0), {}, "spec.plan.documents: 0 of 0 are used"),
    ],
)
def test_which_limit_is_reached(limits: Limits, used: dict[str, Any], said: str | None) -> None:
    reached = find_reached(replace(EMPTY, limits=limits, **used))
    if said is None:
        assert reached is None
    else:
        assert reached is not None
        assert said in describe(reached)


def test_usage_is_written_when_it_is_worth_it() -> None:
    old = Usage(documents=1, observed_time=NOW)
    same, other = Usage(documents=1, observed_time=NOW), Usage(documents=2, observed_time=NOW)
    soon, later, latest = NOW + timedelta(seconds=1), NOW + REWRITE_AFTER, NOW + REWRITE_AT_LATEST
    assert choose_usage(None, other, soon, urgent=False) is other
    assert choose_usage(old, other, soon, urgent=False) is old
    assert choose_usage(old, other, soon, urgent=True) is other
    assert choose_usage(old, other, later, urgent=False) is other
    assert choose_usage(old, same, later, urgent=False) is old
    assert choose_usage(old, same, latest, urgent=False) is same


@dataclass
class World:
    quotas: MemoryQuotas = field(default_factory=MemoryQuotas)
    events: list[tuple[str, str]] = field(default_factory=list)
    woken: list[str] = field(default_factory=list)
    time: float = 0.0

    def __post_init__(self) -> None:
        self.watched = Watched()
        context = SimpleNamespace(watched=self.watched, quotas=self.quotas, cluster=self, now=lambda: NOW)
        board = UsageBoard(self.watched, self.quotas, clock=lambda: self.time)
        self.duty = UsageDuty(
            cast("Any", context), Queues(self.watched, self.quotas, MemoryLedger()), board, self.woken.extend
        )

    async def create(self, event: dict[str, Any]) -> None:
        self.events.append((event["type"], event["reason"]))

    async def perform(self, subject: Tenant) -> Tenant:
        """The tenant as it is afterwards."""
        self.watched.put_tenant(subject.model_dump(mode="json", by_alias=True))
        self.time += READ_SECONDS
        report = Report()
        await self.duty.perform(subject, report)
        status = build_tenant_status(subject, report, NOW)
        return subject.model_copy(update={"status": status})

    def use(self, **used: Any) -> None:
        self.quotas.usage["acme"] = replace(self.quotas.usage["acme"], **used)


def stored(world: World) -> QuotaUsage:
    return world.quotas.usage["acme"]


async def test_limits_are_set_once_and_put_back_when_altered() -> None:
    world, subject = World(), tenant(plan={"documents": 5}, suspend=True)
    subject = await world.perform(subject)
    assert (stored(world).limits, stored(world).suspended) == (Limits(documents=5), True)
    await world.perform(subject)
    assert world.quotas.asked.count("set acme") == 1
    for altered in ({"limits": Limits()}, {"suspended": False}):
        world.use(**altered)
        await world.perform(subject)
        assert (stored(world).limits, stored(world).suspended) == (Limits(documents=5), True)


async def test_reaching_and_leaving_a_limit_is_told_once() -> None:
    world, subject = World(), tenant(plan={"documents": 2})
    subject = await world.perform(subject)
    assert world.events == []
    world.use(documents=2)
    subject = await world.perform(subject)
    [condition] = [c for c in subject.status.conditions if c.type == "WithinQuota"]
    assert (condition.status, condition.reason) == ("False", "QuotaReached")
    assert subject.status.usage is not None
    assert subject.status.usage.documents == 2
    subject = await world.perform(subject)
    assert world.events == [("Warning", "QuotaReached")]
    world.use(documents=1)
    await world.perform(subject)
    assert world.events[1:] == [("Normal", "WithinQuota")]


async def test_all_tenants_are_read_together_and_rarely() -> None:
    watched, quotas, time = Watched(), MemoryQuotas(), [0.0]
    quotas.usage["globex"] = EMPTY
    watched.tenant_uids = {"acme": "t1", "globex": "t2"}
    board = UsageBoard(watched, quotas, clock=lambda: time[0])
    for name in ("acme", "globex", "acme"):
        assert await board.find(name) == EMPTY
    assert await board.find("newcomer") is None
    time[0] += READ_SECONDS
    await board.find("globex")
    assert quotas.asked == ["usage acme,globex", "usage newcomer", "usage acme,globex"]

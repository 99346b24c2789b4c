"""A run that has used up a limit of tokens: it pauses, says until when, and goes on; and nobody pays for it twice."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from dreamhub.sql.quota import Limits, QuotaUsage
from dreamhub_operator.reconcile.ingest_costs import look_at_tokens, secure_tokens
from dreamhub_operator.reconcile.ingest_plan import IngestObserved, plan_ingest, wants_slot
from dreamhub_operator.reconcile.ingest_status import build_status
from dreamhub_operator.reconcile.queues import Queues
from dreamhub_operator.reconcile.quota_pause import find_pause
from dreamhub_operator.watched import Watched
from tests.unit.operator.builders import ACME, NOW, ingest_job, job_state, pod, run_status
from tests.unit.operator.ledgers import MemoryLedger
from tests.unit.operator.quotas import EMPTY, MemoryQuotas
from tests.unit.operator.test_watched import tenant as tenant_body

SHORT = run_status(short_of_tokens=50)
LIMITED = replace(ACME, limits_tokens=True)
TOMORROW = datetime(2026, 3, 2, tzinfo=UTC)
APRIL = datetime(2026, 4, 1, tzinfo=UTC)


def used(day: int, month: int, limits: Limits) -> QuotaUsage:
    return replace(EMPTY, limits=limits, tokens_today=day, tokens_month=month)


async def look(usage: QuotaUsage, **seen: Any) -> IngestObserved:
    quotas = MemoryQuotas()
    quotas.usage["acme"] = usage
    context = cast("Any", SimpleNamespace(quotas=quotas))
    return await look_at_tokens(context, IngestObserved(**{"tenant": LIMITED, "run": SHORT, **seen}))


FULL = used(60, 60, Limits(tokens_per_day=100))
ROOM = used(50, 50, Limits(tokens_per_day=100))


@pytest.mark.parametrize(
    ("usage", "until"),
    [
        (FULL, TOMORROW),
        (ROOM, None),
        (used(0, 60, Limits(tokens_per_month=100)), APRIL),
        (used(60, 60, Limits(tokens_per_day=100, tokens_per_month=100)), APRIL),
        (used(60, 60, Limits()), None),
    ],
    ids=["day", "exactly fits", "month", "both", "no limit"],
)
def test_it_pauses_until_the_limit_has_room_for_what_comes_next(usage: QuotaUsage, until: datetime | None) -> None:
    found = find_pause(SHORT, usage)
    assert (found.resets_at if found else None) == until


@pytest.mark.parametrize("run", [None, run_status(), run_status("Failed", short_of_tokens=50)])
def test_a_run_that_lacks_nothing_never_pauses(run: Any) -> None:
    assert find_pause(run, FULL) is None


async def test_the_workers_are_stopped_and_the_status_says_until_when() -> None:
    job = ingest_job()
    seen = await look(FULL, job=job_state(), pods=[pod()])
    plan = plan_ingest(job, seen, NOW)
    assert plan.finding is not None
    assert (plan.finding.phase, plan.finding.reason, plan.actions) == ("Queued", "QuotaExhausted", ("Suspend",))
    assert "spec.plan.tokensPerDay" in plan.finding.message
    assert "resumes at 2026-03-02T00:00:00Z" in plan.finding.message
    status = build_status(job, plan.finding, "ij-1", NOW)
    assert status.resume_time == TOMORROW
    assert status.progress is not None
    assert (status.progress.documents.done, status.progress.documents.failed) == (1, 0)
    assert {c.type: c.status for c in status.conditions}["Stalled"] == "False"


async def test_it_stays_stopped_without_a_slot_and_goes_on_when_there_is_room() -> None:
    job, stopped = ingest_job(), job_state(suspended=True, active=0)
    waiting = await look(FULL, job=stopped)
    plan = plan_ingest(job, waiting, NOW)
    assert (plan.actions, plan.again_seconds) == ((), 60)
    assert not wants_slot(job, waiting), "others may have it"
    ready = await look(ROOM, job=stopped)
    assert wants_slot(job, ready)
    assert plan_ingest(job, ready, NOW).actions == ("Resume",)


@pytest.mark.parametrize(
    ("before", "after"),
    [(timedelta(hours=2), 60), (timedelta(seconds=61), 60), (timedelta(seconds=20), 20), (timedelta(0), 1)],
)
async def test_it_looks_again_when_the_day_begins(before: timedelta, after: float) -> None:
    """And each second from then on, as long as the database's clock says that it has not begun."""
    seen = await look(FULL, job=job_state(suspended=True, active=0))
    assert plan_ingest(ingest_job(), seen, TOMORROW - before).again_seconds == after


async def test_a_limit_below_one_batch_needs_a_person() -> None:
    plan = plan_ingest(ingest_job(), await look(used(0, 0, Limits(tokens_per_day=49)), job=job_state()), NOW)
    assert plan.finding is not None
    assert (plan.finding.reason, plan.finding.resumes_at) == ("LargerThanPlan", None)


async def test_a_job_of_kueue_idles_in_its_pods() -> None:
    """Kueue would start again at once what is suspended here."""
    plan = plan_ingest(ingest_job(), await look(FULL, job=job_state(kueue_queue="team"), pods=[pod()]), NOW)
    assert plan.finding is not None
    assert (plan.finding.reason, plan.actions) == ("QuotaExhausted", ())


async def test_what_goes_on_need_not_fit_into_a_day_at_once() -> None:
    """It was admitted when there was room for all of it, or no limit: it does a part of it each day."""
    quotas = MemoryQuotas()
    quotas.most_tokens = 1
    watched = Watched()
    watched.put_tenant(tenant_body())
    queues = Queues(watched, quotas, MemoryLedger())
    seen = await look(
        ROOM, job=job_state(suspended=True), estimate=ingest_job({"estimate": {"tokens": 9}}).status.estimate
    )
    found = await secure_tokens(cast("Any", SimpleNamespace(quotas=quotas)), queues, ingest_job(), seen)
    assert (found.shortage, quotas.kept) == (None, {})


@pytest.mark.parametrize("reason", ["QuotaExhausted", "OverBudget", "LargerThanPlan"])
def test_a_changed_limit_wakes_those_that_wait_for_tokens(reason: str) -> None:
    watched = Watched()
    watched.put_tenant(tenant_body())
    for uid in ("first", "second"):
        body = ingest_job({"phase": "Queued", "reason": reason}).model_dump(
            mode="json", by_alias=True, exclude_none=True
        )
        watched.put_ingest_job({**body, "metadata": {**body["metadata"], "uid": uid, "name": uid}})
    queues = Queues(watched, MemoryQuotas(), MemoryLedger())
    assert {"first", "second"} <= set(queues.reconsider("acme")), "all of them, not only who is next in line"

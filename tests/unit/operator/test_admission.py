"""An IngestJob in the terms of fair share, what its status says while it waits, and what Kueue is left to do."""

from typing import Any

import pytest

from dreamhub.crd.ingest_job import IngestEstimate, IngestJob
from dreamhub.crd.ingest_status import IngestQueue
from dreamhub.domain.fair_books import Charge
from dreamhub.domain.fair_share import Terms
from dreamhub_operator.desired.job import WorkerTemplate, build_job, build_suspension
from dreamhub_operator.reconcile.admission import (
    BASE_TOKENS,
    DOCUMENT_TOKENS,
    LEAST_PART,
    Standing,
    build_order,
    build_terms,
    explain_outside,
    explain_wait,
    find_used,
)
from dreamhub_operator.reconcile.ingest_plan import RETRY_SECONDS, plan_ingest, wants_slot
from dreamhub_operator.reconcile.job_state import read_job
from tests.unit.operator.builders import NOW, ingest_job, job_state, observed, run_status, tenant

WORKER = WorkerTemplate("image", "0.1.0", {}, "Always", (), 1, "INFO", 60)
KUEUE = "kueue.x-k8s.io/queue-name"


def for_kueue(**spec: Any) -> IngestJob:
    job = ingest_job(**spec)
    return job.model_copy(update={"metadata": job.metadata.model_copy(update={"labels": {KUEUE: "batch"}})})


@pytest.mark.parametrize(
    ("status", "told", "tokens"),
    [
        pytest.param({}, None, DOCUMENT_TOKENS, id="nobody has estimated it"),
        pytest.param({"estimate": {"tokens": 70}}, None, 70, id="the status tells"),
        pytest.param({"estimate": {"tokens": 70}}, IngestEstimate(tokens=90), 90, id="estimated right now"),
    ],
)
def test_a_job_costs_its_estimate_and_what_a_worker_takes_to_start(
    status: dict[str, Any], told: IngestEstimate | None, tokens: int
) -> None:
    assert build_order(ingest_job(status), told).cost == BASE_TOKENS + tokens


def test_an_inline_text_costs_by_its_length() -> None:
    job = ingest_job(source={"inline": {"name": "a.md", "text": "x" * 4_000}})
    assert build_order(job).cost == BASE_TOKENS + 1_000


def test_who_orders_what_and_when() -> None:
    order = build_order(ingest_job(priority="Urgent"))
    assert (order.tenant, order.uid, order.priority, order.elsewhere) == ("acme", "job-uid", "Urgent", False)
    assert order.created_at == NOW.timestamp() - 60
    assert build_order(for_kueue()).elsewhere


def test_what_a_tenant_may_have() -> None:
    assert build_terms(tenant(weight=300, plan={"concurrentJobs": 4})) == Terms(300, 4)


def test_what_was_used_is_what_the_run_says_or_else_the_status() -> None:
    assert find_used(None, None) is None
    assert find_used(ingest_job(), None) is None
    assert find_used(ingest_job({"usage": {"tokens": 50}}), None) == BASE_TOKENS + 50
    assert find_used(ingest_job({"usage": {"tokens": 50}}), run_status(tokens=90)) == BASE_TOKENS + 90
    assert find_used(ingest_job(priority="Urgent"), run_status(tokens=90)) == 2 * (BASE_TOKENS + 90)


def test_one_that_has_begun_has_cost_a_part_of_its_charge_whatever_its_run_says() -> None:
    """A tenant's own login writes the run."""
    charge = Charge("acme", 60_000, 20_000)
    assert find_used(ingest_job(), run_status(tokens=0), charge) == 80_000 // LEAST_PART
    assert find_used(None, run_status(tokens=0), charge) == 80_000 // LEAST_PART
    assert find_used(ingest_job(), run_status(tokens=70_000), charge) == BASE_TOKENS + 70_000
    assert find_used(ingest_job(), None, charge) is None
    told = {"usage": {"tokens": 0}}
    assert find_used(ingest_job(told), None, charge) == BASE_TOKENS, "its worker never began"
    assert find_used(ingest_job({**told, "jobName": "ij-1"}), None, charge) == 80_000 // LEAST_PART


@pytest.mark.parametrize(
    ("hold", "says"),
    [
        ("TenantLimit", "4 IngestJobs of tenant acme may run at once (spec.plan.concurrentJobs)"),
        ("GlobalLimit", "all workers are taken; tenant acme gets 25% of them while others want some, too"),
        ("ColdHeldBack", "cold jobs wait while the embedding model is slow; a higher spec.priority waits for less"),
    ],
)
def test_why_not_yet_and_where_it_stands(hold: Any, says: str) -> None:
    found = explain_wait("acme", 4, Standing(3, hold, 0.25, 40.2, 11.5), None)
    assert (found.phase, found.reason.value, found.message) == ("Queued", hold, f"place 3 in the queue: {says}")
    assert found.queue == IngestQueue(position=3, share_percent=25, eta_seconds=41, eta_error_seconds=12)


def test_a_forecast_that_nobody_can_make_is_absent() -> None:
    told = explain_wait("acme", 1, Standing(3), None).queue
    assert told is not None
    assert (told.eta_seconds, told.eta_error_seconds) == (None, None)


def test_a_place_further_back_is_looked_at_less_often() -> None:
    waits = plan_ingest(ingest_job(), observed(standing=Standing(40)), NOW)
    outside = plan_ingest(ingest_job(), observed(queued=False, place_outside=70), NOW)
    assert (waits.again_seconds, outside.again_seconds) == (RETRY_SECONDS + 40, RETRY_SECONDS + 70)
    assert outside.finding is not None
    assert outside.finding.reason == "QueueFull"


def test_a_queue_that_is_full_says_by_which_limit() -> None:
    assert "1 IngestJob may be unfinished at once (spec.plan.queuedJobs)" in explain_outside(1).message
    assert "once the tenant's limits are set" in explain_outside(None).message


def test_a_job_for_kueue_is_made_suspended_with_its_label() -> None:
    made = build_job("acme", for_kueue(), WORKER, 0)
    assert made["spec"]["suspend"] is True
    assert made["metadata"]["labels"][KUEUE] == "batch"
    assert KUEUE not in made["spec"]["template"]["metadata"]["labels"]
    plain = build_job("acme", ingest_job(), WORKER, 0)
    assert (plain["spec"]["suspend"], KUEUE in plain["metadata"]["labels"]) == (False, False)


def test_only_kueue_starts_what_it_queues() -> None:
    job = for_kueue()
    state = job_state(job, suspended=True, active=0, kueue_queue="batch")
    seen = observed(job=state)
    plan = plan_ingest(job, seen, NOW)
    assert plan.actions == ()
    assert plan.finding is not None
    assert (plan.finding.reason, "queue batch" in plan.finding.message) == ("WaitingForKueue", True)
    assert not wants_slot(job, seen)


def test_one_that_shall_stop_is_taken_from_kueue_and_given_back_to_go_on() -> None:
    stopped = for_kueue(suspend=True)
    for suspended in (True, False):
        state = job_state(stopped, suspended=suspended, kueue_queue="batch")
        assert plan_ingest(stopped, observed(job=state), NOW).actions == ("Suspend",)
    taken = job_state(stopped, suspended=True)
    assert plan_ingest(stopped, observed(job=taken), NOW).actions == ()
    assert build_suspension(stopped, suspend=True) == {"metadata": {"labels": {KUEUE: None}}, "spec": {"suspend": True}}
    assert plan_ingest(for_kueue(), observed(job=taken), NOW).actions == ("Resume",)
    assert build_suspension(for_kueue(), suspend=False)["spec"] == {"suspend": True}
    assert build_suspension(ingest_job(), suspend=False) == {"spec": {"suspend": False}}


def test_which_queue_a_job_waits_in_is_read_from_its_label() -> None:
    body = build_job("acme", for_kueue(), WORKER, 0)
    body["metadata"]["uid"] = "k"
    assert read_job(body).kueue_queue == "batch"

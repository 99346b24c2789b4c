"""What an IngestJob will cost, who has to agree, and what is kept for it."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, cast

import pytest

from dreamhub.crd.ingest_job import IngestEstimate, IngestJob
from dreamhub.crd.tenant import Tenant
from dreamhub.domain.cost import Price, Ratios, Seen, Threshold, weigh
from dreamhub.llm.models import ModelList
from dreamhub.sql.reservations import Shortage
from dreamhub.sql.runs import ResolvedDocument
from dreamhub_operator.reconcile.admission import Standing
from dreamhub_operator.reconcile.appraisal import RATIO_SECONDS, RatioBoard, appraise, find_price, needs_approval
from dreamhub_operator.reconcile.ingest_costs import appraise_job, find_costs, secure_tokens
from dreamhub_operator.reconcile.ingest_job import _find_documents
from dreamhub_operator.reconcile.ingest_plan import IngestObserved, TenantView, plan_ingest
from dreamhub_operator.reconcile.ingest_status import Costs, build_status, cancelled, find_approval, succeed
from dreamhub_operator.reconcile.queues import Queues
from dreamhub_operator.reconcile.statuses import dump_status
from dreamhub_operator.reconcile.tenant_view import view_tenant
from dreamhub_operator.watched import Watched
from tests.unit.operator.builders import ACME, DOCUMENT, NOW, ingest_job, job_state, observed, pod, run_status
from tests.unit.operator.ledgers import MemoryLedger
from tests.unit.operator.quotas import TODAY, MemoryQuotas
from tests.unit.operator.test_watched import tenant as tenant_body

CENT = Price(Decimal("0.01"), "EUR")
MOMENT, LATER = datetime(2026, 3, 1, 9, 0, 0, 123456, UTC), datetime(2026, 3, 1, 10, 0, 0, 654321, UTC)
LARGE = {DOCUMENT: ResolvedDocument("ver_" + "1" * 32, False, 1_000_000, "application/pdf", LATER)}
TOKENS = weigh(1_000_000, "application/pdf")
ESTIMATE = IngestEstimate(documents=1, bytes=1_000_000, tokens=TOKENS, cost="0.001", currency="EUR")
CAREFUL = replace(ACME, approval=Threshold(tokens=TOKENS - 1))
LIMITED = replace(ACME, limits_tokens=True)
INLINE = {"source": {"inline": {"name": "note.md", "text": "# Kilometre"}}}
SOURCE = {"source": {"s3": {"bucket": "archive", "prefix": "p/"}}}


class Database:
    def __init__(self) -> None:
        self.asked: list[str] = []
        self.as_of: object = None

    async def resolve(self, tenant: str, _: object, as_of: object = None) -> Any:
        self.asked.append(f"resolve {tenant}")
        self.as_of = as_of
        return LARGE

    async def fetch_ratios(self, tenant: str) -> Ratios:
        self.asked.append(f"ratios {tenant}")
        return Ratios()


class World:
    def __init__(self, job: IngestJob) -> None:
        self.job = job
        self.database, self.quotas = Database(), MemoryQuotas()
        watched = Watched()
        watched.put_tenant(tenant_body())
        watched.ingest_jobs["job-uid"] = job
        self.queues = Queues(watched, self.quotas, MemoryLedger())
        ratios = RatioBoard(cast("Any", self.database))
        self.context = cast("Any", SimpleNamespace(database=self.database, quotas=self.quotas, ratios=ratios))

    async def appraise(self, **seen: Any) -> IngestObserved:
        return await appraise_job(self.context, self.job, IngestObserved(**{"tenant": ACME, "price": CENT, **seen}))

    async def secure(self, **seen: Any) -> IngestObserved:
        self.queues.slots.claim(self.job, None)
        known = {"tenant": LIMITED, "documents": LARGE, "estimate": ESTIMATE, "price": CENT, **seen}
        return await secure_tokens(self.context, self.queues, self.job, IngestObserved(**known))

    @property
    def has_slot(self) -> bool:
        return "job-uid" in self.queues.slots._reserved


@pytest.mark.parametrize(
    ("spec", "active", "tokens"),
    [({}, False, TOKENS), ({}, True, 0), ({"force": True}, True, TOKENS)],
    ids=["new", "unchanged", "forced"],
)
def test_only_what_will_be_embedded_counts(spec: dict[str, Any], *, active: bool, tokens: int) -> None:
    documents = {DOCUMENT: replace(LARGE[DOCUMENT], active=active)}
    found = appraise(ingest_job(**spec), documents, Ratios(), CENT)
    assert found is not None
    assert (found.tokens, found.documents) == (tokens, int(tokens > 0))


def test_an_estimate_names_its_price_where_there_is_one() -> None:
    found = appraise(ingest_job(), LARGE, Ratios(), CENT)
    assert found is not None
    assert (found.cost, found.currency, found.basis) == ("0.001", "EUR", "Typical")
    free = appraise(ingest_job(), LARGE, Ratios({"application/pdf": Seen(10**6, 10**6)}), Price())
    assert free is not None
    assert (free.cost, free.currency, free.basis) == (None, None, "OwnDocuments")
    assert free.tokens > TOKENS


def test_a_text_in_the_job_is_estimated_by_its_bytes() -> None:
    found = appraise(ingest_job(**INLINE), {}, Ratios(), Price())
    assert found is not None
    assert (found.documents, found.bytes) == (1, 11)


def test_a_source_is_not_known_before_it_is_read() -> None:
    assert appraise(ingest_job(**SOURCE), {}, Ratios(), CENT) is None


def test_a_price_comes_from_the_model_list() -> None:
    entry = {"name": "a", "kind": "embedding", "endpoint": "http://x", "dimensions": 8, "pricePerMillionTokens": 0.13}
    models = ModelList.model_validate({"models": [entry]})
    assert find_price(models, "a") == Price(Decimal("0.13"), "USD")
    assert find_price(models, "b") == Price()


async def test_ratios_are_read_seldom() -> None:
    now, database = [0.0], Database()
    board = RatioBoard(cast("Any", database), clock=lambda: now[0])
    for at in (0.0, RATIO_SECONDS - 1, RATIO_SECONDS):
        now[0] = at
        await board.find("acme")
    assert database.asked == ["ratios acme"] * 2


async def test_a_job_is_estimated_once() -> None:
    world = World(ingest_job())
    first = await world.appraise()
    assert first.estimate is not None
    assert (first.estimate.tokens, first.documents) == (TOKENS, LARGE)
    again = await world.appraise(estimate=first.estimate)
    assert again.estimate == first.estimate
    assert world.database.asked == ["resolve acme", "ratios acme"]


async def test_a_job_is_estimated_again_from_documents_that_are_known() -> None:
    found = await World(ingest_job()).appraise(documents=LARGE, estimate=IngestEstimate(tokens=1))
    assert found.estimate is not None
    assert found.estimate.tokens == TOKENS


@pytest.mark.parametrize(
    ("approved", "known", "as_of"),
    [(True, MOMENT, MOMENT), (False, MOMENT, None), (True, None, None)],
    ids=["approved", "not approved", "approved before it was estimated"],
)
async def test_an_approved_job_gets_the_versions_that_were_estimated(
    *, approved: bool, known: datetime | None, as_of: datetime | None
) -> None:
    """Whatever was uploaded between the estimate and the start is not what somebody has agreed to."""
    status = {"estimate": {"tokens": 1, **({"time": known.isoformat()} if known else {})}}
    world = World(ingest_job(status, approved=approved))
    seen = await _find_documents(world.context, world.job, IngestObserved(tenant=ACME, price=CENT))
    assert world.database.as_of == as_of
    assert seen.estimate is not None
    assert seen.estimate.time == (as_of or LATER)


@pytest.mark.parametrize("view", [None, replace(ACME, ready=False), replace(ACME, suspended=True)])
async def test_nothing_is_asked_for_a_tenant_that_takes_no_jobs(view: TenantView | None) -> None:
    world = World(ingest_job())
    assert (await world.appraise(tenant=view)).estimate is None
    assert world.database.asked == []


async def test_a_source_is_estimated_by_what_was_collected() -> None:
    world = World(ingest_job(**SOURCE))
    assert (await world.appraise(run=run_status())).estimate is None
    found = await world.appraise(run=run_status(estimated_tokens=70, estimated_bytes=900))
    assert found.estimate is not None
    assert (found.estimate.tokens, found.estimate.bytes, found.estimate.documents) == (70, 900, 4)


@pytest.mark.parametrize(
    ("threshold", "approved", "needed"),
    [
        (Threshold(), False, False),
        (Threshold(tokens=TOKENS), False, False),
        (Threshold(tokens=TOKENS - 1), False, True),
        (Threshold(tokens=TOKENS - 1), True, False),
        (Threshold(cost=Decimal("0.001")), False, False),
        (Threshold(cost=Decimal("0.0009")), False, True),
    ],
)
def test_above_the_threshold_somebody_has_to_approve(threshold: Threshold, *, approved: bool, needed: bool) -> None:
    assert needs_approval(ingest_job(approved=approved), ESTIMATE, threshold, CENT) == needed


def test_a_job_above_the_threshold_waits_and_says_for_what() -> None:
    plan = plan_ingest(ingest_job(), observed(tenant=CAREFUL, documents=LARGE, estimate=ESTIMATE, price=CENT), NOW)
    assert plan.finding is not None
    assert (plan.finding.phase, plan.finding.reason, plan.actions) == ("AwaitingApproval", "ApprovalRequired", ())
    assert "100,000 tokens for 0.001 EUR" in plan.finding.message
    assert "dreamhub approve handbook" in plan.finding.message


def test_an_approved_job_goes_on() -> None:
    seen = observed(tenant=CAREFUL, documents=LARGE, estimate=ESTIMATE, price=CENT)
    assert plan_ingest(ingest_job(approved=True), seen, NOW).actions == ("CreateJob",)


def test_a_worker_that_asks_for_approval_is_stopped_until_there_is_one() -> None:
    asking = run_status(awaiting_approval=True, estimated_tokens=TOKENS)
    seen = observed(tenant=CAREFUL, estimate=ESTIMATE, run=asking, pods=[pod()])
    job, approved = ingest_job(**SOURCE), ingest_job(**SOURCE, approved=True)
    running = replace(seen, job=job_state(job))
    plan = plan_ingest(job, running, NOW)
    assert plan.finding is not None
    assert (plan.finding.phase, plan.actions) == ("AwaitingApproval", ("Suspend",))
    stopped = replace(seen, job=job_state(job, suspended=True), pods=())
    assert plan_ingest(job, stopped, NOW).actions == ()
    assert plan_ingest(approved, stopped, NOW).actions == ("RenewInput", "Resume"), "its order says no hold any more"
    assert plan_ingest(approved, running, NOW).actions == ()


async def test_tokens_are_kept_for_a_job_that_has_a_slot() -> None:
    world = World(ingest_job())
    found = await world.secure()
    assert (found.shortage, world.quotas.kept, world.has_slot) == (None, {"job-uid": TOKENS}, True)


async def test_a_job_that_does_not_fit_gives_its_slot_back() -> None:
    world = World(ingest_job())
    world.quotas.most_tokens, world.quotas.kept = TOKENS, {"other": 1}
    found = await world.secure()
    assert found.shortage is not None
    assert not world.has_slot
    plan = plan_ingest(world.job, found, NOW)
    assert plan.finding is not None
    assert (plan.finding.phase, plan.finding.reason, plan.actions) == ("Queued", "OverBudget", ())
    assert "1 kept for jobs that run" in plan.finding.message


def test_a_job_larger_than_the_plan_waits_for_a_person() -> None:
    hopeless = Shortage("tokensPerMonth", 10, 0, 0, TOKENS, TODAY)
    plan = plan_ingest(ingest_job(), observed(shortage=hopeless, documents=LARGE), NOW)
    assert plan.finding is not None
    assert (plan.finding.phase, plan.finding.reason, plan.actions) == ("Pending", "LargerThanPlan", ())
    assert "spec.plan.tokensPerMonth" in plan.finding.message


@pytest.mark.parametrize(
    "seen",
    [
        {"tenant": ACME},
        {"standing": Standing(place=3)},
        {"estimate": None},
        {"documents": {}},
        {"job": job_state(), "run": run_status()},
    ],
    ids=["no limit", "waits", "unknown", "missing documents", "runs already"],
)
async def test_nothing_is_kept_where_nothing_begins(seen: dict[str, Any]) -> None:
    world = World(ingest_job())
    assert (await world.secure(**seen)).shortage is None
    assert world.quotas.kept == {}


async def test_a_job_whose_documents_have_grown_above_the_threshold_gives_its_slot_back() -> None:
    world = World(ingest_job())
    found = await world.secure(tenant=replace(CAREFUL, limits_tokens=True))
    assert (found.shortage, world.has_slot, world.quotas.kept) == (None, False, {})


def test_a_tenant_says_its_thresholds_as_quantities() -> None:
    body = {
        **tenant_body(),
        "spec": {"approval": {"costAbove": "2500m", "tokensAbove": 7}, "plan": {"tokensPerDay": 1}},
    }
    view = view_tenant(Tenant.model_validate(body))
    assert (view.approval, view.limits_tokens) == (Threshold(7, Decimal("2.5")), True)
    assert view_tenant(Tenant.model_validate(tenant_body())).limits_tokens is False


def test_a_cancelled_job_is_stopped_for_good() -> None:
    plan = plan_ingest(ingest_job(cancel=True), observed(job=job_state(), run=run_status(chunks=5)), NOW)
    assert plan.finding is not None
    assert (plan.finding.phase, plan.finding.reason, plan.again_seconds) == ("Cancelled", "Cancelled", 0)
    status = build_status(ingest_job(cancel=True), plan.finding, "ij-1", NOW)
    assert status.progress is not None
    assert (status.progress.chunks, status.completion_time) == (5, NOW)
    over = ingest_job(dump_status(status), cancel=True)
    assert plan_ingest(over, observed(job=job_state()), NOW).actions == ("Discard",)
    assert plan_ingest(over, observed(), NOW).actions == ()


def test_what_was_done_before_it_was_cancelled_stays_done() -> None:
    plan = plan_ingest(ingest_job(cancel=True), observed(job=job_state(), run=run_status("Succeeded")), NOW)
    assert plan.finding is not None
    assert plan.finding.phase == "Succeeded"


@pytest.mark.parametrize(
    ("job", "costs", "status", "reason"),
    [
        (ingest_job(), Costs(), None, None),
        (ingest_job(), Costs(estimate=ESTIMATE), "True", "ApprovalNotRequired"),
        (ingest_job(), Costs(estimate=ESTIMATE, required=True), "False", "ApprovalRequired"),
        (ingest_job(approved=True), Costs(estimate=ESTIMATE, required=True), "True", "Approved"),
    ],
)
def test_the_condition_says_whether_it_may_cost_that(
    job: IngestJob, costs: Costs, status: str | None, reason: str | None
) -> None:
    found = build_status(job, cancelled(None), None, NOW, costs)
    condition = next((each for each in found.conditions if each.type == "Approved"), None)
    assert (condition and condition.status, condition and condition.reason) == (status, reason)


def test_who_has_approved_is_told_once() -> None:
    job = ingest_job(approved=True)
    named = job.model_copy(update={"metadata": job.metadata.model_copy(update={"annotations": APPROVED})})
    status = build_status(named, cancelled(None), None, NOW)
    told = find_approval(named.status, status)
    assert told is not None
    assert told.message == "approved by petra"
    assert find_approval(status, status) is None


APPROVED = {"dreamhub.dev/approved-by": "petra"}


def test_the_status_says_what_was_used_and_what_it_cost() -> None:
    status = build_status(
        ingest_job(), succeed(run_status("Succeeded", tokens=250_000)), "ij-1", NOW, Costs(CENT, ESTIMATE)
    )
    assert status.usage is not None
    assert (status.usage.tokens, status.usage.cost, status.usage.currency) == (250_000, "0.0025", "EUR")
    assert status.estimate == ESTIMATE
    kept = build_status(ingest_job(dump_status(status)), cancelled(None), "ij-1", NOW)
    assert (kept.estimate, kept.usage) == (ESTIMATE, status.usage)


def test_costs_say_whether_approval_is_required_even_after_it_was_given() -> None:
    seen = observed(tenant=CAREFUL, estimate=ESTIMATE, price=CENT)
    assert find_costs(seen) == Costs(CENT, ESTIMATE, required=True)
    assert not find_costs(replace(seen, tenant=None)).required

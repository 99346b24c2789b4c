"""What to do about an IngestJob, decided from what was observed. Pure: no I/O, no clock, no random.

    Pending ──(tenant ready)──> AwaitingApproval ──(approved)──> Queued ──(slot)──> Job created ──> Running
    Running ──> Succeeded | Failed | Cancelled ──(ttl)──> deleted

Succeeded, Failed and Cancelled are final: nothing that is observed afterwards changes them. The outcome is what the
worker recorded in the database; the Job's own conditions count only where there is no such record.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal

from dreamhub.crd.ingest_job import FINAL_PHASES, IngestEstimate, IngestJob, IngestJobStatus, IngestReason
from dreamhub.domain.cost import NO_PRICE, NO_THRESHOLD, Price, Threshold
from dreamhub.errors import QuotaFigures
from dreamhub.sql.reservations import Shortage
from dreamhub.sql.runs import ResolvedDocument, RunStatus
from dreamhub_operator.desired.job import RENEW_SECONDS, spec_hash
from dreamhub_operator.reconcile.admission import (
    GRANTED,
    Standing,
    explain_kueue,
    explain_outside,
    explain_wait,
)
from dreamhub_operator.reconcile.appraisal import explain_approval, needs_approval
from dreamhub_operator.reconcile.ingest_status import (
    Finding,
    await_approval,
    cancelled,
    fail,
    pend,
    progress_of,
    queue,
    run,
    succeed,
)
from dreamhub_operator.reconcile.job_state import JobState, PodState, find_bad_end, find_trouble
from dreamhub_operator.reconcile.quota_pause import explain_pause

STARTING_SECONDS = 3
"""A Job without a pod for so long is looked into: the quota may refuse it."""
RETRY_SECONDS = 15.0
SHORT_SECONDS = 60.0
"""How soon a job asks again for tokens that a limit had no room for."""
RESUME_SECONDS = 1.0
"""How soon it asks once the limit should have room: the database's clock may be behind."""
TENANT_SECONDS = 5.0
"""How soon a job looks again at a tenant that is not ready: the event that should wake it may have been our own."""
KEEP_SUCCEEDED_SECONDS = 600
"""How long a succeeded Job and its pods stay, for their logs. A failed one stays as long as its IngestJob."""


@dataclass(frozen=True, slots=True)
class TenantView:
    """What an IngestJob needs to know of its tenant."""

    name: str
    ready: bool
    suspended: bool
    message: str
    embedding_model: str
    breach: str | None = None
    """What got through the walls around it when they were last tried. None: nothing that is known."""
    job_limit: int | None = None
    """How many of its IngestJobs may run at once. None: any number."""
    queue_limit: int | None = None
    """How many of its IngestJobs may be unfinished. None: any number."""
    approval: Threshold = NO_THRESHOLD
    """Above which estimate a person has to agree."""
    limits_tokens: bool = False
    """Whether its plan limits the tokens of a day or a month."""

    @property
    def takes_jobs(self) -> bool:
        return self.ready and not self.suspended


@dataclass(frozen=True, slots=True)
class IngestObserved:
    tenant: TenantView | None
    """None: the namespace belongs to no tenant."""
    job: JobState | None = None
    pods: Sequence[PodState] = ()
    run: RunStatus | None = None
    documents: Mapping[str, ResolvedDocument] | None = None
    """Latest versions by document id. None: not asked for, or not needed."""
    refused: str | None = None
    """What the quota says when the Job gets no pod."""
    unavailable: tuple[IngestReason, str] | None = None
    """A dependency that did not answer while observing."""
    queued: bool = True
    """Whether it has a place among the tenant's unfinished IngestJobs."""
    place_outside: int = 1
    """Its place among those that wait for one, when it has none."""
    standing: Standing = GRANTED
    """Whether it has a slot, and where it stands if not."""
    price: Price = NO_PRICE
    """Of the tenant's embedding model."""
    estimate: IngestEstimate | None = None
    """What it will use, as far as that is known."""
    shortage: Shortage | None = None
    """The limit that has no room for its tokens; asked for only when it may start."""
    pause: QuotaFigures | None = None
    """The limit that its workers have met, while it has no room for what they need next."""


ActionKind = Literal["CreateJob", "RenewInput", "Suspend", "Resume", "Finish", "Discard", "Delete"]


@dataclass(frozen=True, slots=True)
class IngestPlan:
    finding: Finding | None
    """What the status shall say. None leaves the status as it is."""
    actions: tuple[ActionKind, ...] = ()
    again_seconds: float | None = None
    keep_job_seconds: int = field(default=KEEP_SUCCEEDED_SECONDS)


def is_final(status: IngestJobStatus) -> bool:
    return status.phase in FINAL_PHASES


def wants_documents(job: IngestJob, observed: IngestObserved) -> bool:
    """Whether the plan depends on which documents exist: only when a Job may be created now."""
    return job.spec.source.documents is not None and observed.job is None and wants_slot(job, observed)


def wants_queueing(job: IngestJob, observed: IngestObserved) -> bool:
    """Whether it needs a place among the tenant's unfinished IngestJobs: one whose Job exists has shown that it had."""
    tenant = observed.tenant
    return not is_final(job.status) and observed.job is None and tenant is not None and tenant.takes_jobs


def wants_slot(job: IngestJob, observed: IngestObserved) -> bool:
    """Whether nothing keeps it from running but others that run."""
    return (
        not is_final(job.status)
        and _find_hold(job, observed) is None
        and observed.queued
        and observed.unavailable is None
        and (observed.job is None or (observed.job.suspended and not observed.job.kueue_queue))
    )


def plan_ingest(job: IngestJob, observed: IngestObserved, now: datetime) -> IngestPlan:
    """It looks again when the limit that keeps it has room again, and not only when it would anyway."""
    plan = _plan(job, observed, now)
    until = plan.finding.resumes_at if plan.finding is not None else None
    if until is None or plan.again_seconds is None:
        return plan
    left = max((until - now).total_seconds(), RESUME_SECONDS)
    return replace(plan, again_seconds=min(plan.again_seconds, left))


def _plan(job: IngestJob, observed: IngestObserved, now: datetime) -> IngestPlan:
    if is_final(job.status):
        return _plan_after(job, observed, now)
    outcome = _outcome(observed)
    if outcome is not None:
        return _finish(outcome)
    if job.spec.cancel:
        return _finish(cancelled(observed.run))
    if observed.unavailable is not None:
        reason, message = observed.unavailable
        kept = run(reason, message, observed.run) if observed.run else pend(reason, message)
        return IngestPlan(kept, again_seconds=RETRY_SECONDS / 5)
    if observed.job is None:
        return _plan_start(job, observed)
    return _plan_watch(job, observed, observed.job, now)


def _plan_after(job: IngestJob, observed: IngestObserved, now: datetime) -> IngestPlan:
    """The outcome is recorded: let go of the Job and its input, and of the IngestJob itself when its time is over."""
    ended = job.status.completion_time or now
    left = (ended + timedelta(seconds=job.spec.ttl_seconds_after_finished) - now).total_seconds()
    if left <= 0:
        return IngestPlan(None, ("Delete",))
    if job.status.phase == "Cancelled":
        return IngestPlan(None, ("Discard",) if observed.job is not None else (), left)
    loose = observed.job is not None and not observed.job.expires
    idle = job.status.reason == IngestReason.WORKER_FAILED and observed.job is not None and observed.job.is_live
    keep = KEEP_SUCCEEDED_SECONDS if job.status.phase == "Succeeded" else job.spec.ttl_seconds_after_finished
    actions: tuple[ActionKind, ...] = (*(("Suspend",) if idle else ()), *(("Finish",) if loose else ()))
    return IngestPlan(None, actions, left, keep_job_seconds=keep)


def _finish(outcome: Finding) -> IngestPlan:
    """Record the outcome now; what is left to do about the Job comes with the next reconcile, at once."""
    return IngestPlan(outcome, again_seconds=0)


def _outcome(observed: IngestObserved) -> Finding | None:
    """How it ended, or None while it has not, or while the database, whose record counts, cannot be asked."""
    if observed.run is not None and observed.run.progress.state == "Succeeded":
        return succeed(observed.run)
    if observed.run is not None and observed.run.progress.state == "Failed":
        return fail(IngestReason.DOCUMENTS_FAILED, _documents_failed(observed.run), observed.run)
    if observed.job is None or observed.unavailable is not None:
        return None
    unread = observed.run is not None and not observed.run.collected
    if observed.job.failure is not None or (observed.job.lost_collector and unread):
        return _job_failed(observed.job, observed)
    if observed.job.complete:
        message = "the worker ended without recording an outcome; create another IngestJob and report this"
        return fail(IngestReason.WORKER_FAILED, message, observed.run)
    return None


def _documents_failed(status: RunStatus) -> str:
    """Of an error of the source itself first: there may be more documents than anybody has seen."""
    counts, errors = status.progress.documents, status.progress.errors
    for error in errors:
        if error.of_source:
            return f"the source was not read to its end: {error.message}"
    first = f": {errors[0].message}" if errors else ""
    return f"{counts.failed} of {counts.total} documents failed{first}"


def _job_failed(job: JobState, observed: IngestObserved) -> Finding:
    end = find_bad_end(observed.pods)
    if job.failure == "DeadlineExceeded":
        return fail(IngestReason.DEADLINE_EXCEEDED, job.failure_message, observed.run)
    if end is not None and end.ended == "OOMKilled":
        message = "the worker ran out of memory; raise its memory limit in the chart's values or split the document"
        return fail(IngestReason.OUT_OF_MEMORY, message, observed.run)
    cause = f"exit code {end.exit_code}: {end.message or end.ended}" if end is not None else job.failure_message
    return fail(IngestReason.WORKER_FAILED, f"the worker failed {max(job.failed, 1)} times; {cause}", observed.run)


def _plan_start(job: IngestJob, observed: IngestObserved) -> IngestPlan:
    """There is no Job. Say why it has to wait, or create it."""
    held = _find_hold(job, observed)
    if held is not None:
        return held
    if observed.tenant is None or not observed.queued:
        limit = observed.tenant.queue_limit if observed.tenant is not None else None
        return IngestPlan(explain_outside(limit), again_seconds=RETRY_SECONDS + observed.place_outside)
    if observed.standing.place:
        return _plan_wait(observed.tenant, observed)
    if observed.shortage is not None:
        return _plan_shortage(observed.shortage, observed)
    missing = find_missing(job, observed)
    if missing:
        return _finish(fail(IngestReason.DOCUMENT_NOT_FOUND, _not_found(missing), None))
    created = pend(IngestReason.WAITING_FOR_POD, "the Job is created; its pod has not started")
    return IngestPlan(created, ("CreateJob",), STARTING_SECONDS)


def _find_hold(job: IngestJob, observed: IngestObserved) -> IngestPlan | None:
    """What keeps it from starting, whatever the tenant's other IngestJobs do."""
    tenant = observed.tenant
    if tenant is None:
        message = "this namespace belongs to no tenant; create IngestJobs in the namespace of a Tenant, such as dh-acme"
        return IngestPlan(pend(IngestReason.NOT_A_TENANT_NAMESPACE, message), again_seconds=RETRY_SECONDS)
    if not tenant.ready:
        message = f"tenant {tenant.name} is not ready: {tenant.message}"
        return IngestPlan(pend(IngestReason.TENANT_NOT_READY, message), again_seconds=TENANT_SECONDS)
    if tenant.breach is not None:
        message = f"the isolation of tenant {tenant.name} failed its last check: {tenant.breach}"
        return IngestPlan(pend(IngestReason.ISOLATION_FAILED, message, observed.run), again_seconds=RETRY_SECONDS)
    if job.spec.suspend:
        return IngestPlan(pend(IngestReason.SUSPENDED, "spec.suspend is true; set it to false to go on"))
    if tenant.suspended:
        message = f"tenant {tenant.name} is suspended by its spec"
        return IngestPlan(pend(IngestReason.TENANT_SUSPENDED, message), again_seconds=RETRY_SECONDS)
    return _find_objection(job, observed, tenant)


def _find_objection(job: IngestJob, observed: IngestObserved, tenant: TenantView) -> IngestPlan | None:
    """What it will use: tokens that there are none of, or that a person has to agree to and has not."""
    if observed.pause is not None:
        return IngestPlan(explain_pause(observed.pause, observed.run), again_seconds=SHORT_SECONDS)
    found = observed.estimate
    if found is None or not needs_approval(job, found, tenant.approval, observed.price):
        return None
    return IngestPlan(await_approval(explain_approval(found, tenant.approval, job.metadata.name), observed.run))


def _plan_shortage(shortage: Shortage, observed: IngestObserved) -> IngestPlan:
    message = shortage.describe()
    if shortage.hopeless:
        return IngestPlan(pend(IngestReason.LARGER_THAN_PLAN, message, observed.run), again_seconds=SHORT_SECONDS)
    return IngestPlan(queue(IngestReason.OVER_BUDGET, message, observed.run), again_seconds=SHORT_SECONDS)


def _plan_wait(tenant: TenantView, observed: IngestObserved) -> IngestPlan:
    """It is woken when it gets a slot; it looks by itself only to tell its place, ever less often further back."""
    standing = observed.standing
    finding = explain_wait(tenant.name, tenant.job_limit, standing, observed.run)
    return IngestPlan(finding, again_seconds=standing.look_seconds or RETRY_SECONDS + standing.place)


def find_missing(job: IngestJob, observed: IngestObserved) -> list[str]:
    """Ids of documents that it names and that do not exist."""
    source = job.spec.source.documents
    if source is None:
        return []
    found = observed.documents or {}
    return [document for document in source.ids if document not in found]


def _not_found(missing: Sequence[str]) -> str:
    more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
    return f"document {missing[0]}{more} does not exist; upload it first, or correct spec.source.documents.ids"


def _plan_watch(job: IngestJob, observed: IngestObserved, state: JobState, now: datetime) -> IngestPlan:
    if state.spec_hash != spec_hash(job):
        message = f"the Job {state.name} exists but was made for another spec; delete it, then create another IngestJob"
        return _finish(fail(IngestReason.JOB_NAME_TAKEN, message, None))
    if job.spec.suspend:
        stands_still = state.suspended and not state.kueue_queue
        actions: tuple[ActionKind, ...] = () if stands_still else ("Suspend",)
        message = "spec.suspend is true; what is stored is kept, and false goes on from there"
        return IngestPlan(pend(IngestReason.SUSPENDED, message, observed.run), actions)
    held = _find_wait(job, observed, state)
    if held is not None:
        return held
    asked = observed.run is not None and observed.run.progress.awaiting_approval
    stale = now.timestamp() - state.signed_at > RENEW_SECONDS or (asked and state.suspended)
    actions = (*(("RenewInput",) if stale else ()), *(("Resume",) if state.suspended and not state.kueue_queue else ()))
    waiting = not observed.pods and not state.active and not is_overdue(state, now)
    if state.suspended and state.kueue_queue:
        return IngestPlan(explain_kueue(state.kueue_queue, observed.run), actions, RETRY_SECONDS)
    return IngestPlan(_watch_finding(observed, state, now), actions, STARTING_SECONDS if waiting else RETRY_SECONDS)


def _find_wait(job: IngestJob, observed: IngestObserved, state: JobState) -> IngestPlan | None:
    """What keeps a suspended Job from going on, or one that asks for approval or lacks tokens."""
    if not state.suspended:
        asked = observed.run is not None and observed.run.progress.awaiting_approval
        held = _find_hold(job, observed) if asked or observed.pause is not None else None
        idles = observed.pause is not None and state.kueue_queue
        return None if held is None else replace(held, actions=() if idles else ("Suspend",))
    held = _find_hold(job, observed)
    if held is None and observed.tenant is not None and observed.standing.place:
        return _plan_wait(observed.tenant, observed)
    if held is None and observed.shortage is not None:
        return _plan_shortage(observed.shortage, observed)
    return held


def _watch_finding(observed: IngestObserved, state: JobState, now: datetime) -> Finding:
    """Why there is no worker, when there is none, counts more than how far an earlier one came."""
    running = any(pod.phase == "Running" for pod in observed.pods)
    trouble = find_trouble(observed.pods)
    if trouble is not None and not running:
        return pend(*trouble, observed.run)
    without = all(pod.phase == "Failed" for pod in observed.pods)
    if without and observed.refused is not None and is_overdue(state, now):
        return pend(IngestReason.OVER_QUOTA, observed.refused, observed.run)
    end = find_bad_end(observed.pods)
    if observed.run is not None and not (without and end is not None):
        return _progress(observed.run, state)
    if running:
        return run(IngestReason.STARTING, "the worker is starting", None)
    if end is not None:
        return _retrying(end, observed)
    return pend(IngestReason.WAITING_FOR_POD, "the Job is created; its pod has not started")


def _progress(status: RunStatus, state: JobState) -> Finding:
    finding = progress_of(status)
    if not state.failed_indexes:
        return finding
    return replace(finding, message=f"{finding.message}; workers that used up their tries: {state.failed_indexes}")


def _retrying(end: PodState, observed: IngestObserved) -> Finding:
    why = end.message or f"its container's end is {end.ended}"
    message = f"a worker ended, and the next one goes on from there; why: {why}"
    return run(IngestReason.RETRYING, message, observed.run)


def is_overdue(state: JobState, now: datetime) -> bool:
    """Whether the Job should have a pod by now and has none."""
    if state.active or state.suspended or not state.created_at:
        return False
    return (now - datetime.fromisoformat(state.created_at)).total_seconds() >= STARTING_SECONDS

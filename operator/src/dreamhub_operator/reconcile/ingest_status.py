"""From a finding about an IngestJob to its status: counters rounded for people, conditions, times. Pure."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from dreamhub.crd.ingest_job import (
    FINAL_PHASES,
    IngestBuild,
    IngestCondition,
    IngestConditionType,
    IngestCounts,
    IngestError,
    IngestEstimate,
    IngestJob,
    IngestJobStatus,
    IngestPhase,
    IngestProgress,
    IngestQueue,
    IngestReason,
    IngestTiming,
    IngestUsage,
)
from dreamhub.domain.conditions import merge_conditions
from dreamhub.domain.cost import NO_PRICE, Price, format_money
from dreamhub.domain.progress import DocumentError, Progress, Stage
from dreamhub.names import APPROVED_BY_ANNOTATION
from dreamhub.sql.runs import RunStatus

MESSAGE_LENGTH = 1024

_STAGES: dict[Stage, IngestReason] = {
    "Starting": IngestReason.STARTING,
    "Fetching": IngestReason.FETCHING,
    "Scanning": IngestReason.SCANNING,
    "Extracting": IngestReason.EXTRACTING,
    "Chunking": IngestReason.CHUNKING,
    "Embedding": IngestReason.EMBEDDING,
    "Storing": IngestReason.STORING,
    "Finished": IngestReason.FINISHING,
}
_STALLED = frozenset(
    {
        IngestReason.NOT_A_TENANT_NAMESPACE,
        IngestReason.IMAGE_UNAVAILABLE,
        IngestReason.CONTAINER_CONFIG_INVALID,
        IngestReason.UNSCHEDULABLE,
        IngestReason.CLUSTER_REFUSED,
        IngestReason.LARGER_THAN_PLAN,
    }
)
"""Reasons to wait that do not pass without a person."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Where an IngestJob is, as a plan concludes it."""

    phase: IngestPhase
    reason: IngestReason
    message: str
    run: RunStatus | None = None
    queue: IngestQueue | None = None
    """Where it stands, while it waits for a slot."""
    resumes_at: datetime | None = None
    """When a limit that is used up has room again."""


@dataclass(frozen=True, slots=True)
class Costs:
    """What an IngestJob costs, beside how it goes."""

    price: Price = NO_PRICE
    estimate: IngestEstimate | None = None
    """None: not known (any more); the status keeps what it says."""
    required: bool = False
    """Whether the estimate is above the tenant's threshold."""


def pend(reason: IngestReason, message: str, status: RunStatus | None = None) -> Finding:
    return Finding("Pending", reason, message, status)


def queue(
    reason: IngestReason, message: str, status: RunStatus | None = None, standing: IngestQueue | None = None
) -> Finding:
    return Finding("Queued", reason, message, status, standing)


def await_approval(message: str, status: RunStatus | None) -> Finding:
    return Finding("AwaitingApproval", IngestReason.APPROVAL_REQUIRED, message, status)


def cancelled(status: RunStatus | None) -> Finding:
    message = "spec.cancel is true; what was searchable stays so"
    return Finding("Cancelled", IngestReason.CANCELLED, message, status)


def run(reason: IngestReason, message: str, status: RunStatus | None) -> Finding:
    return Finding("Running", reason, message, status)


def progress_of(status: RunStatus) -> Finding:
    counts, reading = status.progress.documents, status.progress.reading
    more = " so far; the source is still being read, and nobody knows how many there will be" if reading else ""
    waiting = f"; waiting: {status.progress.waiting}" if status.progress.waiting else ""
    message = f"{counts.done + counts.failed} of {_count(counts.total)}{more}{waiting}"
    return run(_STAGES[status.progress.stage], message, status)


def succeed(status: RunStatus) -> Finding:
    counts = status.progress.documents
    unchanged = f", {counts.skipped} of them unchanged" if counts.skipped else ""
    told = (f"{counts.unread} not read", counts.unread), (f"{counts.deleted} deleted", counts.deleted)
    beside = ", ".join(words for words, count in told if count)
    message = f"{_count(counts.done)} searchable{unchanged}" + (f"; in the source: {beside}" if beside else "")
    return Finding("Succeeded", IngestReason.INGESTED, message, status)


def _count(documents: int) -> str:
    return "1 document" if documents == 1 else f"{documents} documents"


def fail(reason: IngestReason, message: str, status: RunStatus | None) -> Finding:
    return Finding("Failed", reason, message, status)


_NO_COSTS = Costs()


def build_status(
    job: IngestJob, finding: Finding, job_name: str | None, now: datetime, costs: Costs = _NO_COSTS
) -> IngestJobStatus:
    """The whole status. What is not known any more (a worker between two tries) is kept from the old one."""
    old = job.status
    progress = finding.run.progress if finding.run is not None else None
    started = old.start_time or (now if finding.phase == "Running" or progress is not None else None)
    ended = finding.phase in FINAL_PHASES
    return IngestJobStatus(
        observed_generation=job.metadata.generation,
        phase=finding.phase,
        reason=finding.reason,
        message=finding.message[:MESSAGE_LENGTH],
        estimate=costs.estimate or old.estimate,
        queue=finding.queue,
        resume_time=finding.resumes_at,
        progress=_progress(progress, ended=ended) if progress else _waiting_progress(job),
        usage=_usage(progress, costs.price) if progress else old.usage,
        timing=_timing(progress, _queued_seconds(job, started)) if progress else old.timing,
        build=IngestBuild(name=finding.run.build) if finding.run is not None else old.build,
        errors=tuple(_error(error) for error in progress.errors[:10]) if progress else old.errors,
        job_name=job_name or old.job_name,
        start_time=started,
        completion_time=(old.completion_time or now) if ended else None,
        conditions=merge_conditions(
            old.conditions,
            [*_conditions(job, finding, now, admitted=job_name is not None), *_approval(job, costs, now)],
        ),
    )


def _usage(progress: Progress, price: Price) -> IngestUsage:
    cost = price.of(progress.tokens)
    return IngestUsage(
        tokens=progress.tokens,
        cost=None if cost is None else format_money(cost),
        currency=None if cost is None else price.currency,
    )


def _waiting_progress(job: IngestJob) -> IngestProgress:
    documents = job.spec.source.documents
    total = len(documents.ids) if documents is not None else 1
    return job.status.progress or IngestProgress(documents=IngestCounts(total=total))


def _progress(progress: Progress, *, ended: bool) -> IngestProgress:
    counts = progress.documents
    return IngestProgress(
        documents=IngestCounts.model_validate(counts, from_attributes=True),
        pages=progress.pages,
        chunks=progress.chunks,
        percent=progress.percent,
        chunks_per_second=round(progress.chunks_per_second),
        eta_seconds=None if ended else progress.eta_seconds,
    )


def _timing(progress: Progress, queued: float) -> IngestTiming:
    timing = progress.timing
    return IngestTiming(
        queued_seconds=queued,
        parse_seconds=round(timing.parse_seconds, 2),
        embed_seconds=round(timing.embed_seconds, 2),
        embed_wait_seconds=round(timing.embed_wait_seconds, 2),
        store_seconds=round(timing.store_seconds, 2),
    )


def _queued_seconds(job: IngestJob, started: datetime | None) -> float:
    created = job.metadata.creation_timestamp
    if started is None or created is None:
        return 0
    return max(0.0, round((started - datetime.fromisoformat(created)).total_seconds(), 1))


def _error(error: DocumentError) -> IngestError:
    return IngestError(
        document=error.document_id,
        error_class=error.error_class,
        reason=error.reason,
        message=error.message[:MESSAGE_LENGTH],
    )


def _conditions(job: IngestJob, finding: Finding, now: datetime, *, admitted: bool) -> list[IngestCondition]:
    """kstatus: exactly one of Ready, Reconciling and Stalled is True."""
    succeeded, failed = finding.phase == "Succeeded", finding.phase == "Failed"
    stalled = failed or finding.phase == "Cancelled" or finding.reason in _STALLED
    holds: dict[IngestConditionType, bool] = {
        "Ready": succeeded,
        "Reconciling": not succeeded and not stalled,
        "Stalled": stalled,
        "Admitted": admitted or job.status.job_name is not None,
        "Complete": succeeded,
        "Failed": failed,
    }
    return [_condition(kind, "True" if holding else "False", job, finding, now) for kind, holding in holds.items()]


def _approval(job: IngestJob, costs: Costs, now: datetime) -> list[IngestCondition]:
    """None while nobody knows what it will use. What was said of a job whose estimate is forgotten stays."""
    who = job.metadata.annotations.get(APPROVED_BY_ANNOTATION, "")
    if job.spec.approved:
        why = Finding("Pending", IngestReason.APPROVED, f"approved by {who}" if who else "approved")
    elif costs.estimate is None:
        return []
    elif costs.required:
        why = Finding("Pending", IngestReason.APPROVAL_REQUIRED, "the estimate is above the tenant's threshold")
    else:
        why = Finding("Pending", IngestReason.APPROVAL_NOT_REQUIRED, "the estimate is not above any threshold")
    return [_condition("Approved", "False" if costs.required and not job.spec.approved else "True", job, why, now)]


def find_approval(before: IngestJobStatus, after: IngestJobStatus) -> IngestCondition | None:
    """What tells that somebody has approved, when that is new."""
    known = any(condition.reason is IngestReason.APPROVED for condition in before.conditions)
    told = next((condition for condition in after.conditions if condition.reason is IngestReason.APPROVED), None)
    return None if known else told


def _condition(
    kind: IngestConditionType,
    status: Literal["True", "False"],
    job: IngestJob,
    finding: Finding,
    now: datetime,
) -> IngestCondition:
    return IngestCondition(
        type=kind,
        status=status,
        reason=finding.reason,
        message=finding.message[:MESSAGE_LENGTH],
        observed_generation=job.metadata.generation,
        last_transition_time=now,
    )

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
    IngestJob,
    IngestJobStatus,
    IngestPhase,
    IngestProgress,
    IngestReason,
    IngestTiming,
    IngestUsage,
)
from dreamhub.domain.conditions import merge_conditions
from dreamhub.domain.progress import DocumentError, Progress, Stage
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


def pend(reason: IngestReason, message: str, status: RunStatus | None = None) -> Finding:
    return Finding("Pending", reason, message, status)


def run(reason: IngestReason, message: str, status: RunStatus | None) -> Finding:
    return Finding("Running", reason, message, status)


def progress_of(status: RunStatus) -> Finding:
    counts = status.progress.documents
    return run(_STAGES[status.progress.stage], f"{counts.done + counts.failed} of {_count(counts.total)}", status)


def succeed(status: RunStatus) -> Finding:
    counts = status.progress.documents
    unchanged = f", {counts.skipped} of them unchanged" if counts.skipped else ""
    message = f"{_count(counts.done)} searchable{unchanged}"
    return Finding("Succeeded", IngestReason.INGESTED, message, status)


def _count(documents: int) -> str:
    return "1 document" if documents == 1 else f"{documents} documents"


def fail(reason: IngestReason, message: str, status: RunStatus | None) -> Finding:
    return Finding("Failed", reason, message, status)


def build_status(job: IngestJob, finding: Finding, job_name: str | None, now: datetime) -> IngestJobStatus:
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
        progress=_progress(progress, ended=ended) if progress else _waiting_progress(job),
        usage=IngestUsage(tokens=progress.tokens) if progress else old.usage,
        timing=_timing(progress, _queued_seconds(job, started)) if progress else old.timing,
        build=IngestBuild(name=finding.run.build) if finding.run is not None else old.build,
        errors=tuple(_error(error) for error in progress.errors[:10]) if progress else old.errors,
        job_name=job_name or old.job_name,
        start_time=started,
        completion_time=(old.completion_time or now) if ended else None,
        conditions=merge_conditions(old.conditions, _conditions(job, finding, now, admitted=job_name is not None)),
    )


def _waiting_progress(job: IngestJob) -> IngestProgress:
    documents = job.spec.source.documents
    total = len(documents.ids) if documents is not None else 1
    return job.status.progress or IngestProgress(documents=IngestCounts(total=total))


def _progress(progress: Progress, *, ended: bool) -> IngestProgress:
    counts = progress.documents
    return IngestProgress(
        documents=IngestCounts(total=counts.total, done=counts.done, skipped=counts.skipped, failed=counts.failed),
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
        document=error.document,
        error_class=error.error_class,
        reason=error.reason,
        message=error.message[:MESSAGE_LENGTH],
    )


def _conditions(job: IngestJob, finding: Finding, now: datetime, *, admitted: bool) -> list[IngestCondition]:
    """kstatus: exactly one of Ready, Reconciling and Stalled is True."""
    succeeded, failed = finding.phase == "Succeeded", finding.phase == "Failed"
    stalled = failed or finding.reason in _STALLED
    holds: dict[IngestConditionType, bool] = {
        "Ready": succeeded,
        "Reconciling": not succeeded and not stalled,
        "Stalled": stalled,
        "Admitted": admitted or job.status.job_name is not None,
        "Complete": succeeded,
        "Failed": failed,
    }
    return [_condition(kind, "True" if holding else "False", job, finding, now) for kind, holding in holds.items()]


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

"""From what the database and the cluster hold to what callers read. Pure."""

from datetime import UTC, datetime
from typing import TypeVar

from pydantic import BaseModel

from dreamhub import names
from dreamhub.crd.ingest_job import FINAL_PHASES, IngestError, IngestJobStatus, IngestProgress, IngestReason
from dreamhub.crd.ingest_job import IngestJob as IngestJobResource
from dreamhub.crd.tenant import Usage as StatusUsage
from dreamhub.domain.progress import DocumentError, Progress
from dreamhub.ids import is_id
from dreamhub.sql import documents as sql
from dreamhub.sql.runs import RunItem
from dreamhub.sql.search import Hit as StoredHit
from dreamhub_client.costs import JobApproval, JobEstimate, JobQueue
from dreamhub_client.messages import JobUpdate
from dreamhub_client.models import (
    Chunk,
    Document,
    DocumentCounts,
    DocumentVersion,
    Hit,
    IngestJob,
    JobDocument,
    JobError,
    JobProgress,
    JobTiming,
    Stage,
)
from dreamhub_client.sources import JobSourceView
from dreamhub_client.tenants import TenantUsage
from dreamhub_client.wire import Wire

W = TypeVar("W", bound=Wire)

STAGE_BY_REASON: dict[str, Stage] = {
    "Starting": "Starting",
    "Fetching": "Fetching",
    "Scanning": "Scanning",
    "Extracting": "Extracting",
    "Chunking": "Chunking",
    "Embedding": "Embedding",
    "Storing": "Storing",
    "Finishing": "Finished",
}


def document_view(document: sql.Document) -> Document:
    latest = document.latest
    return Document(
        id=document.id,
        name=document.name,
        media_type=document.media_type,
        source=document.source,
        tags=document.tags,
        active_version=document.active_version_id,
        latest_version=latest.id,
        state=latest.state,
        size_bytes=latest.size,
        pages=latest.pages,
        chunks=latest.chunks,
        created_at=document.created_at,
        updated_at=document.updated_at,
    )


def version_view(version: sql.Version) -> DocumentVersion:
    return DocumentVersion(
        id=version.id,
        document_id=version.document_id,
        number=version.number,
        state=version.state,
        size_bytes=version.size,
        pages=version.pages,
        chunks=version.chunks,
        worker_build=version.worker_build,
        generation=version.generation,
        error_class=version.error_class,
        error_reason=version.error_reason,
        error_message=version.error_message,
        created_at=version.created_at,
        activated_at=version.activated_at,
    )


def chunk_view(chunk: sql.StoredChunk) -> Chunk:
    return Chunk.model_validate(chunk, from_attributes=True)


def hit_view(hit: StoredHit) -> Hit:
    return Hit.model_validate(hit, from_attributes=True)


def job_view(job: IngestJobResource) -> IngestJob:
    spec, status = job.spec, job.status
    source = spec.source.model_dump(mode="json", by_alias=True, exclude_none=True)
    return IngestJob(
        name=job.metadata.name,
        uid=job.metadata.uid,
        source=JobSourceView.model_validate(source),
        force=spec.force,
        tags=spec.tags,
        priority=spec.priority,
        parallelism=spec.parallelism,
        phase=status.phase,
        reason=status.reason,
        message=status.message or None,
        estimate=_view(JobEstimate, status.estimate),
        approval=_approval(job),
        queue=_view(JobQueue, status.queue),
        resumes_at=status.resume_time,
        cost=status.usage.cost if status.usage else None,
        currency=status.usage.currency if status.usage else None,
        progress=_status_progress(status),
        errors=tuple(_status_error(error) for error in status.errors),
        build=status.build.name if status.build else None,
        created_at=created_at(job),
        started_at=status.start_time,
        finished_at=status.completion_time,
    )


def _view(model: type[W], found: BaseModel | None) -> W | None:
    return None if found is None else model.model_validate(found, from_attributes=True)


def _approval(job: IngestJobResource) -> JobApproval | None:
    """As the operator has judged; an approval that it has not seen yet counts already."""
    condition = next((each for each in job.status.conditions if each.type == "Approved"), None)
    if condition is None and not job.spec.approved:
        return None
    needless = condition is not None and condition.reason is IngestReason.APPROVAL_NOT_REQUIRED
    by = job.metadata.annotations.get(names.APPROVED_BY_ANNOTATION)
    return JobApproval(required=not needless, approved=job.spec.approved, by=by if job.spec.approved else None)


def created_at(job: IngestJobResource) -> datetime:
    stamp = job.metadata.creation_timestamp
    return datetime.fromisoformat(stamp) if stamp else datetime.fromtimestamp(0, UTC)


def job_update(job: IngestJobResource, live: Progress | None) -> JobUpdate:
    """What a watcher of the job sees: the resource's phase, with the worker's own progress while that is ahead of it.

    The operator writes the resource a moment after the worker reports, so the live figures are the newer ones; once the
    resource says that it is finished, it has the last word. So it has when it says that the job waits for others.
    """
    status = job.status
    told = live is None or status.phase in FINAL_PHASES or status.phase in {"Queued", "AwaitingApproval"}
    if live is None or status.phase in FINAL_PHASES:
        progress, errors = _status_progress(status), tuple(_status_error(error) for error in status.errors)
    else:
        progress, errors = live_progress(live), tuple(live_error(error) for error in live.errors)
    return JobUpdate(
        name=job.metadata.name,
        phase=status.phase if told else "Running",
        reason=status.reason if live is None or told else live.stage,
        message=status.message or None,
        progress=progress,
        errors=errors,
    )


def live_progress(live: Progress) -> JobProgress:
    return JobProgress(
        stage=live.stage,
        waiting=live.waiting,
        documents=DocumentCounts.model_validate(live.documents, from_attributes=True),
        pages=live.pages,
        chunks=live.chunks,
        tokens=live.tokens,
        percent=live.percent,
        chunks_per_second=live.chunks_per_second,
        eta_seconds=live.eta_seconds,
        timing=JobTiming.model_validate(live.timing, from_attributes=True),
    )


def usage_view(usage: StatusUsage | None) -> TenantUsage | None:
    return None if usage is None else TenantUsage.model_validate(usage, from_attributes=True)


def live_error(error: DocumentError) -> JobError:
    return JobError(
        document=error.document_id, error_class=error.error_class, reason=error.reason, message=error.message
    )


def run_document_view(item: RunItem, name: str | None) -> JobDocument:
    known = is_id("doc", item.document_id)
    return JobDocument(
        document_id=item.document_id if known else None,
        name=name,
        version_id=item.version_id if known else None,
        outcome=item.outcome,
        pages=item.pages,
        chunks=item.chunks,
        tokens=item.tokens,
        attempts=item.attempts,
        finished_at=item.finished_at,
        error=live_error(item.error) if item.error else None,
    )


def _status_progress(status: IngestJobStatus) -> JobProgress:
    found = status.progress or IngestProgress()
    finished = status.phase in FINAL_PHASES
    return JobProgress(
        stage="Finished" if finished else STAGE_BY_REASON.get(status.reason),
        documents=DocumentCounts.model_validate(found.documents, from_attributes=True),
        pages=found.pages,
        chunks=found.chunks,
        tokens=status.usage.tokens if status.usage else 0,
        percent=found.percent,
        chunks_per_second=found.chunks_per_second,
        eta_seconds=found.eta_seconds,
        timing=JobTiming.model_validate(status.timing, from_attributes=True) if status.timing else JobTiming(),
    )


def _status_error(error: IngestError) -> JobError:
    return JobError.model_validate(error, from_attributes=True)

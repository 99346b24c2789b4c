"""What a worker writes: runs here, items in `work_items`, claims and chunks in `landing`. Its login is the tenant.

A run is one IngestJob, worked on by as many workers as its Job has indexes. Each start of an index takes its next
attempt, and an attempt that was overtaken gets FencedError `Overtaken`.
"""

from dataclasses import dataclass
from typing import Literal

import structlog

from dreamhub.domain.progress import DocumentCounts, DocumentError, Progress, RunState
from dreamhub.domain.run_totals import MAX_ERRORS, RunTotals, WorkerReport, WorkerShare, sum_up
from dreamhub.errors import BugError
from dreamhub.sql.connections import Connection, Record
from dreamhub.sql.landing import (
    LOST_SECONDS,
    Chunk,
    Claim,
    ClaimedVersion,
    EmbeddingSpace,
    RunAttempt,
    SealedBatch,
    activate_version,
    claim_version,
    ensure_generation,
    fail_version,
    overtaken,
    release_version,
    seal_chunks,
    store_batch,
)
from dreamhub.sql.queries import load_queries

__all__ = [
    "Chunk",
    "Claim",
    "ClaimedVersion",
    "EmbeddingSpace",
    "NewRun",
    "OpenWork",
    "Reading",
    "RunAttempt",
    "RunDocument",
    "RunOutcome",
    "RunStart",
    "SealedBatch",
    "activate_version",
    "claim_version",
    "count_open",
    "count_refill",
    "ensure_generation",
    "fail_version",
    "fetch_finished_documents",
    "find_reading",
    "finish_run",
    "hold_run",
    "mark_collected",
    "overtaken",
    "read_run_document",
    "release_version",
    "save_report",
    "seal_chunks",
    "start_run",
    "store_batch",
    "sum_up_run",
    "take_reading",
    "touch_run",
]

log = structlog.get_logger()

_SQL = load_queries("ingest")
_ITEMS = load_queries("work_items")

SUMMARY_SECONDS = 1.0
"""A run's progress is summed up at most so often, whatever the number of its workers."""

_COUNTS = ("done", "skipped", "failed", "unread", "deleted", "chunks", "pages", "weight", "alive")

RunOutcome = Literal["Done", "Skipped", "Failed"]


@dataclass(frozen=True, slots=True)
class NewRun:
    uid: str
    """UID of the IngestJob."""
    job: str
    build: str
    holder: str
    """Pod name: for people who read the table, never for a decision."""
    documents_total: int = 0
    worker: int = 0
    """Completion index of the pod."""


@dataclass(frozen=True, slots=True)
class RunStart:
    """What a worker finds."""

    run: RunAttempt
    report: WorkerReport
    """The last one of this index."""
    collected: bool
    finished: bool
    """The run has ended: there is nothing to do."""


@dataclass(frozen=True, slots=True)
class OpenWork:
    items: int
    """By the counters, which do not see an item that is being added."""
    collected: bool
    finished: bool


@dataclass(frozen=True, slots=True)
class Reading:
    """Of a run's source."""

    is_over: bool
    is_under_way: bool
    """Another worker that lives is at it."""
    first_alive: int
    """The lowest number of a worker that lives."""


@dataclass(frozen=True, slots=True)
class RunDocument:
    """How one document of a run ended."""

    document_id: str
    version_id: str
    outcome: RunOutcome
    chunks: int = 0
    pages: int = 0
    tokens: int = 0
    error: DocumentError | None = None


async def start_run(conn: Connection, new: NewRun) -> RunStart:
    """Begin a run, join it, or take over from an earlier attempt of this worker, whose writes fail from now on."""
    first = Progress(documents=DocumentCounts(total=new.documents_total)).model_dump_json(by_alias=True)
    async with conn.transaction():
        run = await conn.fetchrow(_SQL["open_run"], new.uid, new.job, new.holder, new.build, first, new.worker)
        worker = await conn.fetchrow(_SQL["open_worker"], new.uid, new.worker, new.holder)
    if run is None or worker is None:
        raise BugError(f"run {new.uid} could not be opened")
    return RunStart(
        run=RunAttempt(new.uid, worker["attempt"], new.worker),
        report=WorkerReport.model_validate_json(worker["report"]),
        collected=run["collected"],
        finished=run["finished"],
    )


async def hold_run(conn: Connection, run: RunAttempt) -> int:
    """Let no later attempt of this worker begin until the caller's transaction is over; returns the run's total.

    Raises FencedError `Overtaken` when one has begun, or the run has ended.
    """
    total: int | None = await conn.fetchval(_SQL["lock_run"], run.uid)
    if total is None or not await conn.fetchval(_SQL["is_current"], run.uid, run.worker, run.attempt):
        raise overtaken(run)
    return total


async def mark_collected(conn: Connection, run: RunAttempt) -> None:
    """No item comes to the run any more: it ends when none is open. Raises FencedError `Overtaken`."""
    async with conn.transaction():
        await hold_run(conn, run)
        await conn.execute(_SQL["mark_collected"], run.uid)


async def count_open(conn: Connection, uid: str) -> OpenWork:
    """What is left to do, as the run's workers see it while they have nothing in hand. A run that is gone is over."""
    row = await conn.fetchrow(_SQL["fetch_open_count"], uid)
    return (
        OpenWork(row["open"], row["collected"], row["finished"]) if row else OpenWork(0, collected=True, finished=True)
    )


async def find_reading(conn: Connection, run: RunAttempt) -> Reading:
    """Who reads the run's source, as one of its workers sees it."""
    open_work = await count_open(conn, run.uid)
    rows = await conn.fetch(_SQL["fetch_workers"], run.uid, LOST_SECONDS)
    alive = {row["worker"]: _read_share(row).report for row in rows if row["alive"]}
    return Reading(
        is_over=open_work.collected or open_work.finished,
        is_under_way=any(report.reading for worker, report in alive.items() if worker != run.worker),
        first_alive=min(alive, default=run.worker),
    )


async def take_reading(conn: Connection, run: RunAttempt) -> bool:
    """Make this worker the one that reads the source. False while another one that lives does.

    One that was lost over it writes nothing more should it come back. Raises FencedError `Overtaken`.
    """
    async with conn.transaction():
        await hold_run(conn, run)
        if await conn.fetchval(_SQL["is_read_by_others"], run.uid, run.worker, LOST_SECONDS):
            return False
        lost = await conn.fetch(_SQL["end_lost_readers"], run.uid, run.worker)
        await conn.execute(_SQL["begin_reading"], run.uid, run.worker)
    if lost:
        log.warning("reading_taken_over", worker=run.worker, lost=[row["worker"] for row in lost])
    return True


async def count_refill(conn: Connection, uid: str) -> None:
    await conn.execute(_SQL["count_refill"], uid)


async def touch_run(conn: Connection, run: RunAttempt) -> None:
    """Show that this attempt lives, so that its claims hold. Raises FencedError when a later attempt runs."""
    if await conn.fetchval(_SQL["touch_worker"], run.uid, run.worker, run.attempt) is None:
        raise overtaken(run)


async def save_report(conn: Connection, run: RunAttempt, report: WorkerReport) -> None:
    """Keep what this worker is at; a heartbeat as well. Raises FencedError when a later attempt runs."""
    document = report.model_dump_json(by_alias=True, exclude_defaults=True)
    if await conn.fetchval(_SQL["save_report"], run.uid, run.worker, run.attempt, document) is None:
        raise overtaken(run)


async def sum_up_run(conn: Connection, uid: str, *, at_least_seconds: float = SUMMARY_SECONDS) -> Progress | None:
    """The run's next snapshot, stored; None when another worker has just made one, or the run is over."""
    async with conn.transaction():
        row = await conn.fetchrow(_SQL["lock_for_summary"], uid, at_least_seconds)
        if row is None:
            return None
        progress = await _sum_up(conn, uid, row)
        await conn.execute(_SQL["save_progress"], uid, progress.model_dump_json(by_alias=True), False)
    return progress


async def finish_run(conn: Connection, uid: str) -> Progress | None:
    """End the run if nothing is left to do; returns its last snapshot, or None while something is.

    Succeeded when no document failed. A run that another worker has ended gives the snapshot that this one stored.
    """
    async with conn.transaction():
        row = await conn.fetchrow(_SQL["lock_for_finish"], uid)
        if row is None:
            return None
        if row["finished"]:
            return Progress.model_validate_json(row["progress"])
        if not row["collected"] or await conn.fetchval(_ITEMS["has_open_items"], uid):
            return None
        progress = await _sum_up(conn, uid, row, final=True)
        await conn.execute(_SQL["save_progress"], uid, progress.model_dump_json(by_alias=True), True)
    return progress


async def _sum_up(conn: Connection, uid: str, row: Record, *, final: bool = False) -> Progress:
    workers = [_read_share(found) for found in await conn.fetch(_SQL["fetch_workers"], uid, LOST_SECONDS)]
    errors = [_read_error(found) for found in await conn.fetch(_ITEMS["fetch_errors"], uid, MAX_ERRORS)]
    totals = RunTotals(row["total"], row["weight"], row["collected"])
    failed = any(worker.failed for worker in workers)
    state: RunState = ("Failed" if failed else "Succeeded") if final else "Running"
    before = Progress.model_validate_json(row["progress"])
    return sum_up(totals, workers, before, errors, state)


def _read_share(row: Record) -> WorkerShare:
    return WorkerShare(**{name: row[name] for name in _COUNTS}, report=WorkerReport.model_validate_json(row["report"]))


async def fetch_finished_documents(conn: Connection, uid: str) -> tuple[RunDocument, ...]:
    """How the documents that this run is through with have ended."""
    return tuple(read_run_document(row) for row in await conn.fetch(_SQL["fetch_finished_documents"], uid))


def read_run_document(row: Record) -> RunDocument:
    return RunDocument(
        document_id=row["document_id"],
        version_id=row["version_id"],
        outcome=row["outcome"],
        chunks=row["chunks"],
        pages=row["pages"],
        tokens=row["tokens"],
        error=_read_error(row) if row["error_class"] is not None else None,
    )


def _read_error(row: Record) -> DocumentError:
    return DocumentError(
        document=row["document_id"],
        error_class=row["error_class"],
        reason=row["error_reason"],
        message=row["error_message"],
    )

"""What a worker writes: runs here, claims and chunks in `dreamhub.sql.landing`. Its login is the tenant.

A run is one IngestJob; each start of it takes the next attempt, and an attempt that was overtaken gets FencedError.
"""

from dataclasses import dataclass
from typing import Literal

from dreamhub.domain.progress import DocumentCounts, DocumentError, Progress
from dreamhub.errors import FencedError
from dreamhub.sql.connections import Connection, Record
from dreamhub.sql.landing import (
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
    "RunAttempt",
    "RunDocument",
    "RunOutcome",
    "SealedBatch",
    "activate_version",
    "claim_version",
    "ensure_generation",
    "fail_version",
    "fetch_finished_documents",
    "finish_run",
    "read_run_document",
    "record_run_document",
    "release_version",
    "save_progress",
    "seal_chunks",
    "start_run",
    "store_batch",
    "touch_run",
]

_SQL = load_queries("ingest")

RunOutcome = Literal["Done", "Skipped", "Failed"]


@dataclass(frozen=True, slots=True)
class NewRun:
    uid: str
    """UID of the IngestJob."""
    job: str
    build: str
    holder: str
    """Pod name: for people who read the table, never for a decision."""
    documents_total: int


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


async def start_run(conn: Connection, run: NewRun) -> int:
    """Begin or take over a run; returns its attempt (1, 2, ...), which fences all later writes of this run."""
    progress = Progress(documents=DocumentCounts(total=run.documents_total))
    attempt: int = await conn.fetchval(
        _SQL["start_run"], run.uid, run.job, run.holder, run.build, progress.model_dump_json(by_alias=True)
    )
    return attempt


async def record_run_document(conn: Connection, uid: str, attempt: int, document: RunDocument) -> None:
    """Record how a document ended; a repeated call replaces the row. Raises FencedError."""
    error = document.error
    async with conn.transaction():
        if await conn.fetchval(_SQL["lock_run"], uid, attempt) is None:
            raise _overtaken(uid, attempt)
        await conn.execute(
            _SQL["record_run_document"],
            uid,
            document.document_id,
            document.version_id,
            document.outcome,
            document.chunks,
            document.pages,
            document.tokens,
            error.error_class if error else None,
            error.reason if error else None,
            error.message if error else None,
        )


async def touch_run(conn: Connection, uid: str, attempt: int) -> None:
    """Show that this attempt lives, so that its claims hold. Raises FencedError when a later attempt runs."""
    if await conn.fetchval(_SQL["touch_run"], uid, attempt) is None:
        raise _overtaken(uid, attempt)


async def save_progress(conn: Connection, uid: str, attempt: int, progress: Progress) -> None:
    """Keep the last snapshot. Raises FencedError when a later attempt runs."""
    await _write_progress(conn, uid, attempt, progress)


async def finish_run(conn: Connection, uid: str, attempt: int, progress: Progress) -> None:
    """Keep the final snapshot (`state` is Succeeded or Failed). Raises FencedError."""
    await _write_progress(conn, uid, attempt, progress)


async def _write_progress(conn: Connection, uid: str, attempt: int, progress: Progress) -> None:
    finished = progress.state != "Running"
    document = progress.model_dump_json(by_alias=True)
    if await conn.fetchval(_SQL["save_progress"], uid, attempt, document, finished) is None:
        raise _overtaken(uid, attempt)


def _overtaken(uid: str, attempt: int) -> FencedError:
    return FencedError(f"attempt {attempt} of run {uid} was overtaken by a later one")


async def fetch_finished_documents(conn: Connection, uid: str) -> tuple[RunDocument, ...]:
    """What earlier attempts of this run have finished (so that counts go on, never back)."""
    return tuple(read_run_document(row) for row in await conn.fetch(_SQL["fetch_finished_documents"], uid))


def read_run_document(row: Record) -> RunDocument:
    error = None
    if row["error_class"] is not None:
        error = DocumentError(
            document=row["document_id"],
            error_class=row["error_class"],
            reason=row["error_reason"],
            message=row["error_message"],
        )
    return RunDocument(
        document_id=row["document_id"],
        version_id=row["version_id"],
        outcome=row["outcome"],
        chunks=row["chunks"],
        pages=row["pages"],
        tokens=row["tokens"],
        error=error,
    )

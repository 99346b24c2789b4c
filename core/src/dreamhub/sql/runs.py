"""Runs as others read them: the operator of all tenants (schema-qualified, granted by table), the API as one tenant."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from operator import itemgetter
from typing import Literal

import asyncpg
import structlog
from pydantic import ValidationError

from dreamhub import ids, names
from dreamhub.domain.progress import SOURCE, DocumentError, Progress
from dreamhub.errors import InvalidInputError, NotFoundError
from dreamhub.sql.connections import Connection, Record
from dreamhub.sql.documents import Page
from dreamhub.sql.ingest import read_run_document
from dreamhub.sql.queries import load_queries

_SQL = load_queries("runs")

log = structlog.get_logger()

_CURSOR = re.compile(f"(doc|item)_[0-9a-f]{{32}}|{SOURCE}")
"""What a page may end with."""


@dataclass(frozen=True, slots=True)
class RunStatus:
    progress: Progress
    attempt: int
    build: str
    collected: bool = True
    """Whether nothing comes to it any more: its source was read to the end."""


@dataclass(frozen=True, slots=True)
class ResolvedDocument:
    """What a job should ingest for a document id."""

    version_id: str
    """The latest version."""
    active: bool
    """Whether that version is searchable already."""
    size: int = 0
    """Bytes of its original."""
    media_type: str = ""
    read_at: datetime | None = None
    """By the database's clock."""


ItemOutcome = Literal["Queued", "Done", "Skipped", "Failed", "Unread", "Deleted"]


@dataclass(frozen=True, slots=True)
class RunItem:
    """One document of a run, or an item of its source that is none."""

    document_id: str
    version_id: str
    outcome: ItemOutcome
    """Queued while it has none."""
    chunks: int
    pages: int
    tokens: int
    attempts: int
    """How often a passing error was met, of one that has no outcome."""
    error: DocumentError | None
    finished_at: datetime | None
    name_ct: bytes | None = field(default=None, repr=False)
    """For `open_name`, where no document tells its name."""


@dataclass(frozen=True, slots=True)
class RunFilter:
    outcomes: Collection[ItemOutcome] | None = None
    """None: any."""
    reason: str | None = None
    """Of its error."""


ALL = RunFilter()


async def fetch_progress(conn: Connection, tenant: str, uids: Collection[str]) -> dict[str, RunStatus]:
    """For the operator: the runs that exist among `uids` (an empty collection reads nothing).

    Raises NotFoundError when the tenant has no schema yet.
    """
    read = {row["uid"]: _read_status(row) for row in await _fetch_of_tenant(conn, "fetch_runs", tenant, uids)}
    found = {uid: status for uid, status in read.items() if status is not None}
    if len(found) < len(read):
        log.warning("progress makes no sense; its runs count as not begun", tenant=tenant, runs=len(read) - len(found))
    return found


async def resolve_documents(
    conn: Connection, tenant: str, document_ids: Collection[str], as_of: datetime | None = None
) -> Mapping[str, ResolvedDocument]:
    """For the operator: the latest version of each document that exists; absent ids are absent from the result.

    `as_of`: the latest at that moment, which an earlier call has told as `read_at`.

    So are versions whose id is none: the tenant's login may have written anything, and URLs are signed for these ids.

    Raises NotFoundError when the tenant has no schema yet.
    """
    rows = await _fetch_of_tenant(conn, "resolve_documents", tenant, document_ids, as_of)
    return {
        row["document_id"]: ResolvedDocument(
            row["id"], row["active"], row["size_bytes"], row["media_type"], row["read_at"]
        )
        for row in rows
        if ids.is_id("ver", row["id"])
    }


async def _fetch_of_tenant(
    conn: Connection, query: str, tenant: str, wanted: Collection[str], *more: object
) -> list[Record]:
    absent = NotFoundError(f"tenant {tenant} has no tables yet", code="TenantNotFound")
    if not names.is_tenant_name(tenant):
        raise absent
    sql = _SQL[query].format(schema=f'"{names.database_role(tenant)}"')
    try:
        rows: list[Record] = await conn.fetch(sql, list(wanted), *more)
    except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError) as error:
        raise absent from error
    return rows


async def fetch_run(conn: Connection, uid: str) -> RunStatus | None:
    """For the API, as the tenant: one run, or None before its worker has started and when it tells nonsense."""
    row = await conn.fetchrow(_SQL["fetch_run"], uid)
    return None if row is None else _read_status(row)


async def list_run_documents(
    conn: Connection, uid: str, *, cursor: str | None = None, limit: int = 50, only: RunFilter = ALL
) -> Page[RunItem]:
    """For the API, as the tenant: how the run's documents stand, in order of document id."""
    if cursor is not None and not _CURSOR.fullmatch(cursor):
        raise InvalidInputError("this cursor did not come from a listing; start without one", code="InvalidCursor")
    wanted = None if only.outcomes is None else list(only.outcomes)
    rows = await conn.fetch(_SQL["list_run_documents"], uid, cursor, limit + 1, wanted, only.reason)
    if wanted is None or "Queued" in wanted:
        rows += await conn.fetch(_SQL["list_open_documents"], uid, cursor, limit + 1, only.reason)
        rows.sort(key=itemgetter("document_id"))
    items = tuple(_read_item(row) for row in rows[:limit])
    return Page(items, items[-1].document_id if len(rows) > limit else None)


def _read_item(row: Record) -> RunItem:
    return RunItem(
        document_id=row["document_id"],
        version_id=row["version_id"],
        outcome=row["outcome"],
        chunks=row["chunks"],
        pages=row["pages"],
        tokens=row["tokens"],
        attempts=row["attempts"],
        error=read_run_document(row).error,
        finished_at=row["finished_at"],
        name_ct=row["name_ct"],
    )


def _read_status(row: Record) -> RunStatus | None:
    """None for what makes no sense: the tenant's own login may write it. Its content is told to nobody."""
    try:
        progress = Progress.model_validate_json(row["progress"] or "")
    except ValidationError:
        return None
    return RunStatus(progress, row["attempt"], row["worker_build"], row["collected"])

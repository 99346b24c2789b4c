"""Dead letters: items of runs that failed, until a person replays or purges them. For the API, as the tenant."""

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from dreamhub.domain.progress import DocumentError
from dreamhub.errors import InvalidInputError
from dreamhub.sql.connections import Connection, Record
from dreamhub.sql.documents import Page
from dreamhub.sql.queries import load_queries

_SQL = load_queries("dead_letters")


@dataclass(frozen=True, slots=True)
class DeadLetter:
    uid: str
    """UID of the IngestJob."""
    job: str
    version_id: str
    attempts: int
    """How many passing errors it met before it was given up; 0 where the first error was final."""
    failed_at: datetime
    error: DocumentError
    name_ct: bytes | None = field(default=None, repr=False)
    """For `open_name`, where no document tells its name."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Which dead letters. Nothing named is all of them."""

    job: str | None = None
    versions: Sequence[str] | None = None


@dataclass(frozen=True, slots=True)
class Chosen:
    uid: str
    version_id: str
    document_id: str


async def list_dead_letters(
    conn: Connection, job: str | None = None, *, cursor: str | None = None, limit: int = 50
) -> Page[DeadLetter]:
    """In the order in which they failed. Raises InvalidInputError `InvalidCursor`."""
    after = _parse_cursor(cursor) if cursor is not None else (None, None, None)
    rows = await conn.fetch(_SQL["list_dead_letters"], job, *after, limit + 1)
    items = tuple(map(_read, rows[:limit]))
    return Page(items, _build_cursor(items[-1]) if len(rows) > limit else None)


async def choose_dead_letters(conn: Connection, choice: Choice, limit: int) -> tuple[Chosen, ...]:
    """Those that can be replayed, because their document is there still."""
    rows = await conn.fetch(_SQL["choose_dead_letters"], choice.job, _list(choice.versions), limit)
    return tuple(Chosen(row["uid"], row["version_id"], row["document_id"]) for row in rows)


async def mark_replayed(conn: Connection, chosen: Sequence[Chosen], job: str) -> None:
    """They are no dead letters any more: the job named takes them up."""
    if chosen:
        uids, versions = [item.uid for item in chosen], [item.version_id for item in chosen]
        await conn.execute(_SQL["mark_replayed"], job, uids, versions)


async def find_unanswered(conn: Connection) -> tuple[str, ...]:
    """Names of the jobs that were to take up letters, and have recorded nothing of at least one of them (yet)."""
    return tuple(row["replayed_by"] for row in await conn.fetch(_SQL["find_unanswered"]))


async def reopen(conn: Connection, jobs: Sequence[str]) -> None:
    """These jobs record nothing any more: what they left unanswered are dead letters again."""
    if jobs:
        await conn.execute(_SQL["reopen"], list(jobs))


async def purge_dead_letters(conn: Connection, choice: Choice) -> int:
    """Forget them, those of replays too; returns how many were listed. What the job tells of its documents stays."""
    rows = await conn.fetch(_SQL["purge_dead_letters"], choice.job, _list(choice.versions))
    return sum(row["listed"] for row in rows)


def _list(versions: Sequence[str] | None) -> list[str] | None:
    return None if versions is None else list(versions)


def _read(row: Record) -> DeadLetter:
    return DeadLetter(
        uid=row["uid"],
        job=row["job"],
        version_id=row["version_id"],
        attempts=row["attempts"],
        failed_at=row["settled_at"],
        error=DocumentError(
            document=row["document_id"],
            error_class=row["error_class"],
            reason=row["error_reason"],
            message=row["error_message"],
        ),
        name_ct=row["name_ct"],
    )


def _build_cursor(last: DeadLetter) -> str:
    place = json.dumps([last.failed_at.isoformat(), last.uid, last.version_id])
    return base64.urlsafe_b64encode(place.encode()).decode()


def _parse_cursor(cursor: str) -> tuple[datetime, str, str]:
    try:
        failed_at, uid, version = json.loads(base64.urlsafe_b64decode(cursor.encode()))
        return datetime.fromisoformat(failed_at), str(uid), str(version)
    except (ValueError, TypeError, binascii.Error) as error:
        raise InvalidInputError(
            "this cursor did not come from a listing; start without one", code="InvalidCursor"
        ) from error

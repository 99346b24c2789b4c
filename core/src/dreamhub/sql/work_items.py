"""The items of a run: what is to be done, once each. PostgreSQL is the truth; the stream in Redis only hands them out.

An item is delivered at least once and settled exactly once: whatever a worker does for it is committed together with
the change of its state, and the later of two finds it settled and writes nothing.
"""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from dreamhub.domain.cost import OTHERWISE, TYPICAL
from dreamhub.domain.progress import DocumentError
from dreamhub.domain.run_totals import ITEM_WEIGHT, WorkerReport
from dreamhub.errors import FencedError
from dreamhub.sql.connections import Connection, Record
from dreamhub.sql.ingest import RunAttempt, RunDocument, hold_run, overtaken
from dreamhub.sql.queries import load_queries

_SQL = load_queries("work_items")
_RUNS = load_queries("ingest")
_RATIOS = json.dumps(dict(TYPICAL))


@dataclass(frozen=True, slots=True)
class NewItem:
    version_id: str
    """The item's key within its run."""
    document_id: str
    size: int = 0
    """Bytes; of a version that is registered, what stands there counts."""
    tokens: int | None = None
    """Estimated. None: by its size and type."""


@dataclass(frozen=True, slots=True)
class Begun:
    deliveries: int
    """How many workers in a row have begun the item and got no further, this one among them."""
    weight: int


@dataclass(frozen=True, slots=True)
class OpenItem:
    version_id: str
    document_id: str
    position: int


async def enqueue(conn: Connection, run: RunAttempt, items: Sequence[NewItem]) -> int:
    """Add items to a run; returns how many are new. Repeating it changes nothing. Raises FencedError `Overtaken`."""
    unique = {item.version_id: item for item in items}
    if not unique:
        return 0
    async with conn.transaction():
        total = await hold_run(conn, run)
        added = await conn.fetch(
            _SQL["enqueue"],
            run.uid,
            list(unique),
            [item.document_id for item in unique.values()],
            [item.size for item in unique.values()],
            [item.tokens for item in unique.values()],
            ITEM_WEIGHT,
            _RATIOS,
            total,
            OTHERWISE,
        )
        if added:
            await conn.execute(_RUNS["add_to_run"], run.uid, len(added), sum(row["weight"] for row in added))
    return len(added)


async def fetch_collected(conn: Connection, uid: str) -> dict[str, int] | None:
    """Bytes of the documents that a run has to do, by media type; None before its source was read to the end."""
    rows = await conn.fetch(_SQL["fetch_collected"], uid)
    return {row["media_type"]: row["bytes"] for row in rows if row["media_type"] is not None} if rows else None


async def begin_item(conn: Connection, run: RunAttempt, version_id: str, *, stored: int, again: bool) -> Begun:
    """Note that a worker begins an item.

    `stored` is the checkpoint that it goes on from, `again` whether this same worker comes back to it. Raises
    FencedError `ItemSettled` when there is nothing left to do.
    """
    row = await conn.fetchrow(_SQL["begin_item"], run.uid, version_id, stored, again)
    if row is None:
        raise _settled(version_id)
    return Begun(row["deliveries"], row["weight"])


async def return_item(conn: Connection, run: RunAttempt, version_id: str) -> None:
    """The worker was asked to stop, or its document was taken though it lives: it was not lost over the item."""
    await conn.execute(_SQL["return_item"], run.uid, version_id)


async def count_attempt(conn: Connection, run: RunAttempt, version_id: str, error: DocumentError) -> int:
    """Note a passing error; returns how many there were. Raises FencedError `ItemSettled` or `Overtaken`."""
    attempts: int | None = await conn.fetchval(
        _SQL["count_attempt"],
        run.uid,
        version_id,
        error.error_class,
        error.reason,
        error.message,
        run.worker,
        run.attempt,
    )
    if attempts is None and not await conn.fetchval(_RUNS["is_current"], run.uid, run.worker, run.attempt):
        raise overtaken(run)
    if attempts is None:
        raise _settled(version_id)
    return attempts


async def settle_item(
    conn: Connection, run: RunAttempt, version_id: str, document: RunDocument, report: WorkerReport | None = None
) -> None:
    """Give an item its outcome. `document` tells of the version that it turned out to be, which may be another one.

    `report` is what the worker is at afterwards: kept with the outcome, so that the run's last figures are whole.

    Wrap this and what was done for the item in one transaction. Raises FencedError: `ItemSettled` when it has an
    outcome, `Overtaken` when a later attempt of this worker runs. The transaction must not be committed then.
    """
    error = document.error
    async with conn.transaction():
        row = await conn.fetchrow(
            _SQL["settle_item"],
            run.uid,
            run.worker,
            run.attempt,
            version_id,
            document.outcome,
            document.document_id,
            document.version_id,
            document.chunks,
            document.pages,
            document.tokens,
            error.error_class if error else None,
            error.reason if error else None,
            error.message if error else None,
            report.model_dump_json(by_alias=True, exclude_defaults=True) if report else None,
        )
        if row is None or not row["open"]:
            raise _settled(version_id)
        if not row["counted"]:
            raise overtaken(run)


async def skip_unchanged(
    conn: Connection, run: RunAttempt, versions: Collection[str], generation: int
) -> frozenset[str]:
    """Settle as skipped those of `versions` that are searchable in this generation; returns them.

    One statement for all, because there is nothing to commit any of them together with. An overtaken worker skips none.
    """
    rows = await conn.fetch(_SQL["skip_unchanged"], run.uid, run.worker, run.attempt, list(versions), generation)
    return frozenset(row["version_id"] for row in rows)


async def give_up_items(conn: Connection, run: RunAttempt, error: DocumentError) -> int:
    """Fail all open items with one error that would meet each of them; returns how many. Raises FencedError."""
    async with conn.transaction():
        count: int | None = await conn.fetchval(
            _SQL["give_up_items"], run.uid, run.worker, run.attempt, error.error_class, error.reason, error.message
        )
        if count is None:
            raise overtaken(run)
    return count


async def count_unchanged(conn: Connection, run: RunAttempt, count: int) -> None:
    """Count documents that a source told to be as they were: of them there are no items. Raises FencedError."""
    weight = count * ITEM_WEIGHT
    async with conn.transaction():
        await conn.execute(_RUNS["add_to_run"], run.uid, count, weight)
        if await conn.fetchval(_SQL["count_unchanged"], run.uid, run.worker, run.attempt, count, weight) is None:
            raise overtaken(run)


async def list_open_items(conn: Connection, uid: str, *, after: int = -1, limit: int = 1000) -> tuple[OpenItem, ...]:
    """In the run's order, after a position."""
    return tuple(map(_read, await conn.fetch(_SQL["list_open_items"], uid, after, limit)))


async def list_free_items(
    conn: Connection, run: RunAttempt, lease_seconds: float, *, after: int = -1, limit: int = 1000
) -> tuple[OpenItem, ...]:
    """Open items after a position that no other worker of the run is at: one that was silent for the lease is not."""
    found = await conn.fetch(_SQL["list_free_items"], run.uid, after, limit, run.worker, lease_seconds)
    return tuple(map(_read, found))


async def fetch_open_items(conn: Connection, uid: str, versions: Sequence[str]) -> tuple[OpenItem, ...]:
    """Those of `versions` that are open still, in the run's order."""
    found = map(_read, await conn.fetch(_SQL["fetch_open_items"], uid, list(versions)))
    return tuple(sorted(found, key=lambda item: item.position))


def _read(row: Record) -> OpenItem:
    return OpenItem(row["version_id"], row["document_id"], row["position"])


def _settled(version_id: str) -> FencedError:
    return FencedError(f"the work on {version_id} was done already", code="ItemSettled")

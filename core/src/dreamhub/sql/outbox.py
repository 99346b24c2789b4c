"""Originals that may be nobody's, as the tenant's outbox lists them; the current role is the tenant.

The object store and the database cannot change at once, so whoever touches both says so here first, in the transaction
that decides:

- bytes are about to be stored: `announce_object`; registering the version takes the announcement away;
- the bytes turn out to be known, or their document is deleted: `doom_objects`.

A sweeper takes what is due, deletes or moves the objects, and settles the rows. Whatever dies in between, each object
ends under a standing version or not at all, and none is deleted under a version that stands.
"""

from collections.abc import Collection
from dataclasses import dataclass

from dreamhub.errors import UnavailableError
from dreamhub.sql.connections import Connection
from dreamhub.sql.queries import load_queries

_SQL = load_queries("outbox")

UPLOAD_SECONDS = 6 * 3600
"""How long bytes may be on their way. An upload that takes longer is refused at its end, for they may be gone."""

RETRY_SECONDS = 60
"""When an object that could not be settled is tried again."""


@dataclass(frozen=True, slots=True)
class DueObject:
    version_id: str
    stands: bool
    """There is such a version: its object stays, whatever the outbox says."""
    duplicate_of: str | None
    """A standing version with the same bytes, whose object this one replaces should that be lost."""


async def announce_object(conn: Connection, version_id: str, seconds: float = UPLOAD_SECONDS) -> None:
    """Before bytes are stored under this id. Raises UnavailableError while an earlier object of it is being deleted."""
    if await conn.fetchval(_SQL["announce_object"], version_id, float(seconds)) is None:
        raise UnavailableError("an earlier try is still being cleared away; the next try may succeed")


async def take_announcement(conn: Connection, version_id: str) -> bool:
    """In the registering transaction: whether the bytes are still safe."""
    return await conn.fetchval(_SQL["take_announcement"], version_id) is not None


async def withdraw_object(conn: Connection, version_id: str) -> None:
    """The upload came to nothing: its object is due at once. A version that was registered is not touched."""
    await conn.execute(_SQL["withdraw_object"], version_id)


async def doom_objects(conn: Connection, version_ids: Collection[str], duplicate_of: str | None = None) -> None:
    """These objects are nobody's once this transaction commits. No ids: nothing."""
    await conn.execute(_SQL["doom_objects"], list(version_ids), duplicate_of)


async def take_due_objects(conn: Connection, limit: int) -> tuple[DueObject, ...]:
    """What to settle now. Commit before touching the store: from then on no registration can want these objects."""
    rows = await conn.fetch(_SQL["take_due_objects"], limit, float(RETRY_SECONDS))
    return tuple(DueObject(row["version_id"], row["stands"], row["duplicate_of"]) for row in rows)


async def settle_objects(conn: Connection, version_ids: Collection[str], healed: Collection[str] = ()) -> None:
    """Forget objects that are gone. A version in `healed` that was deleted meanwhile has its new object doomed."""
    async with conn.transaction():
        absent = [row["id"] for row in await conn.fetch(_SQL["find_absent_versions"], list(healed))]
        await doom_objects(conn, absent)
        await conn.execute(_SQL["settle_objects"], [name for name in version_ids if name not in absent])

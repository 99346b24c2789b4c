"""Bringing a tenant's content under another data key, while everybody goes on reading and writing.

A ciphertext names its key, so a row is done when it begins with the new key's header: whoever comes back, after a crash
or because rows were written under the old key meanwhile, sees what is left. Rows are locked in small batches and never
waited for; those that somebody else holds are left to the next pass.
"""

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from dreamhub.domain.keys import DataKeys, key_header
from dreamhub.sql.bodies import checkpoint_identity, chunk_identity, document_identity, finding_identity, item_identity
from dreamhub.sql.connections import Connection, Record
from dreamhub.sql.queries import load_queries

_SQL = load_queries("rekey")

_FIRST = uuid.UUID(int=0)

BATCH_ROWS = 200
"""Locked at once, for some 10 ms."""
COUNT_SECONDS = 600.0
"""Counting reads a page of every row of the tenant."""


@dataclass(frozen=True, slots=True)
class DocumentPlace:
    """Behind the last document that was looked at."""

    id: str = ""


@dataclass(frozen=True, slots=True)
class ChunkPlace:
    """Behind the last chunk that was looked at."""

    landing: uuid.UUID = _FIRST
    ordinal: int = -1


@dataclass(frozen=True, slots=True)
class CheckpointPlace:
    """Behind the last source that was looked at."""

    source: bytes = b""


@dataclass(frozen=True, slots=True)
class ItemPlace:
    """Behind the last item of a source that was looked at."""

    source: bytes = b""
    item: bytes = b""


@dataclass(frozen=True, slots=True)
class NamePlace:
    """Behind the last name that a run has kept and that was looked at."""

    run: str = ""
    document: str = ""


Place = DocumentPlace | ChunkPlace | CheckpointPlace | ItemPlace | NamePlace
START: Place = DocumentPlace()


@dataclass(frozen=True, slots=True)
class Step:
    """One batch: how many rows it brought under the key, and where to go on; None at the end of a pass."""

    rows: int
    place: Place | None


async def count_outdated(conn: Connection, key_id: str) -> int:
    """Rows that are under another key than this one."""
    header = key_header(key_id)
    counted: int = await conn.fetchval(_SQL["count_outdated"], header, len(header), timeout=COUNT_SECONDS)
    return counted


async def begin_rekey(conn: Connection, key_id: str) -> int:
    """Open the run, or go on with it; returns how many rows are left."""
    left = await count_outdated(conn, key_id)
    await conn.execute(_SQL["begin_rekey"], key_id, left)
    return left


async def finish_rekey(conn: Connection, key_id: str) -> None:
    await conn.execute(_SQL["finish_rekey"], key_id)


async def rekey_batch(conn: Connection, keys: DataKeys, place: Place, *, limit: int = BATCH_ROWS) -> Step:
    """Bring the next rows under the active key of `keys`, all or none of them, and count them."""
    async with conn.transaction():
        match place:
            case DocumentPlace():
                step = await _rekey_documents(conn, keys, place, limit)
            case ChunkPlace():
                step = await _rekey_chunks(conn, keys, place, limit)
            case CheckpointPlace():
                step = await _rekey_checkpoints(conn, keys, place, limit)
            case ItemPlace():
                step = await _rekey_items(conn, keys, place, limit)
            case NamePlace():
                step = await _rekey_names(conn, keys, place, limit)
        if step.rows:
            await conn.execute(_SQL["advance_rekey"], keys.active, step.rows)
    return step


async def _rekey_documents(conn: Connection, keys: DataKeys, place: DocumentPlace, limit: int) -> Step:
    header = key_header(keys.active)
    rows = await conn.fetch(_SQL["lock_documents"], place.id, header, len(header), limit)
    sealed = [(row["meta_ct"], document_identity(row["id"])) for row in rows]
    fresh = await _reseal(keys, sealed)
    await conn.execute(_SQL["update_documents"], [row["id"] for row in rows], fresh)
    return Step(len(rows), DocumentPlace(rows[-1]["id"]) if len(rows) == limit else ChunkPlace())


async def _rekey_chunks(conn: Connection, keys: DataKeys, place: ChunkPlace, limit: int) -> Step:
    header = key_header(keys.active)
    rows: list[Record] = await conn.fetch(_SQL["lock_chunks"], place.landing, place.ordinal, header, len(header), limit)
    sealed = [(row["body_ct"], chunk_identity(row["landing"], row["ordinal"])) for row in rows]
    fresh = await _reseal(keys, sealed)
    landings, ordinals = [row["landing"] for row in rows], [row["ordinal"] for row in rows]
    await conn.execute(_SQL["update_chunks"], landings, ordinals, fresh)
    return Step(len(rows), ChunkPlace(landings[-1], ordinals[-1]) if len(rows) == limit else CheckpointPlace())


async def _rekey_checkpoints(conn: Connection, keys: DataKeys, place: CheckpointPlace, limit: int) -> Step:
    header = key_header(keys.active)
    rows = await conn.fetch(_SQL["lock_checkpoints"], place.source, header, len(header), limit)
    fresh = await _reseal(keys, [(row["state_ct"], checkpoint_identity(row["source_key"])) for row in rows])
    await conn.execute(_SQL["update_checkpoints"], [row["source_key"] for row in rows], fresh)
    return Step(len(rows), CheckpointPlace(rows[-1]["source_key"]) if len(rows) == limit else ItemPlace())


async def _rekey_items(conn: Connection, keys: DataKeys, place: ItemPlace, limit: int) -> Step:
    header = key_header(keys.active)
    rows: list[Record] = await conn.fetch(_SQL["lock_items"], place.source, place.item, header, len(header), limit)
    sealed = [(row["revision_ct"], item_identity(row["source_key"], row["item_key"])) for row in rows]
    fresh = await _reseal(keys, sealed)
    sources, items = [row["source_key"] for row in rows], [row["item_key"] for row in rows]
    await conn.execute(_SQL["update_items"], sources, items, fresh)
    return Step(len(rows), ItemPlace(sources[-1], items[-1]) if len(rows) == limit else NamePlace())


async def _rekey_names(conn: Connection, keys: DataKeys, place: NamePlace, limit: int) -> Step:
    header = key_header(keys.active)
    rows: list[Record] = await conn.fetch(_SQL["lock_names"], place.run, place.document, header, len(header), limit)
    runs, documents = [row["uid"] for row in rows], [row["document_id"] for row in rows]
    fresh = await _reseal(keys, [(row["name_ct"], finding_identity(row["uid"], row["document_id"])) for row in rows])
    await conn.execute(_SQL["update_names"], runs, documents, fresh)
    return Step(len(rows), NamePlace(runs[-1], documents[-1]) if len(rows) == limit else None)


async def _reseal(keys: DataKeys, sealed: Sequence[tuple[bytes, bytes]]) -> list[bytes]:
    return await asyncio.to_thread(lambda: [keys.reseal(body, identity) for body, identity in sealed])

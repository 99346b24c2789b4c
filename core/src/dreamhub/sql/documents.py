"""Documents and their versions, as the current role sees them. No function takes a tenant: the role is the tenant.

Names and tags are stored encrypted, with keyed hashes beside them for equality.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Generic, Literal, TypeVar

from dreamhub import ids
from dreamhub.domain.keys import DataKeys
from dreamhub.domain.places import Unit
from dreamhub.errors import InvalidInputError, NotFoundError, UnavailableError
from dreamhub.sql.bodies import Meta, blind_name, blind_tags, open_body, open_meta, read_unit, seal_meta
from dreamhub.sql.connections import Connection, Record
from dreamhub.sql.outbox import doom_objects, take_announcement
from dreamhub.sql.queries import load_queries

_SQL = load_queries("documents")
_INDEX = load_queries("index")

T = TypeVar("T")
VersionState = Literal["uploaded", "landing", "active", "failed"]
Source = Literal["upload", "inline", "s3", "web", "mail", "calendar", "plugin"]


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a listing; `next_cursor` is None on the last one and opaque to callers."""

    items: tuple[T, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class NewUpload:
    """Bytes that lie in the object store under `version_id` already, about to be registered."""

    document_id: str
    """Used when the name is new; otherwise the existing document keeps its id."""
    version_id: str
    name: str
    media_type: str
    size: int
    sha256: bytes
    tags: tuple[str, ...] = ()
    source: Source = "upload"
    announced: bool = False
    """The bytes were announced in the outbox: they count only while the announcement stands."""
    item_key: bytes | None = None
    """Of an item upstream: the document is found again by it, and not by its name, which need not be unique."""


@dataclass(frozen=True, slots=True)
class UploadOutcome:
    document_id: str
    version_id: str
    duplicate: bool
    """The document's latest version has these very bytes: nothing was stored. An announced object is doomed."""


@dataclass(frozen=True, slots=True)
class Version:
    id: str
    document_id: str
    number: int
    """1, 2, 3 ... within the document."""
    media_type: str
    state: VersionState
    size: int
    pages: int | None
    chunks: int
    """Chunks stored so far; all of them when active."""
    worker_build: str | None
    generation: int | None
    """Of the index that its chunks are in."""
    error_class: str | None
    error_reason: str | None
    error_message: str | None
    created_at: datetime
    activated_at: datetime | None


@dataclass(frozen=True, slots=True)
class Document:
    id: str
    name: str
    source: Source
    tags: tuple[str, ...]
    active_version_id: str | None
    """What readers find; None until the first ingestion has finished."""
    latest: Version
    created_at: datetime
    updated_at: datetime

    @property
    def media_type(self) -> str:
        return self.latest.media_type


@dataclass(frozen=True, slots=True)
class StoredChunk:
    ordinal: int
    page: int | None
    unit: Unit | None
    """What `page` counts."""
    char_start: int
    char_end: int
    tokens: int
    title: str
    heading_path: tuple[str, ...]
    text: str
    worker_build: str
    """Which build has made it."""
    generation: int
    """Of the index that it is in."""
    strategy: str
    """How its text was cut."""


async def register_upload(conn: Connection, keys: DataKeys, upload: NewUpload) -> UploadOutcome:
    """Register a document (new name) or a further version (known name, other bytes). Same name and bytes: the same ids.

    A further version replaces the tags when it brings some, and the name of an item that its source calls otherwise by
    now. Idempotent for a given `version_id`, so a retry after a
    lost answer adds nothing. Raises UnavailableError `UploadExpired` when the announced bytes may be gone.
    """
    async with conn.transaction():
        safe = not upload.announced or await take_announcement(conn, upload.version_id)
        registered = await conn.fetchval(_SQL["fetch_version_owner"], upload.version_id)
        if registered is not None:
            return UploadOutcome(registered, upload.version_id, duplicate=False)
        if not safe:
            raise UnavailableError("the upload took too long to be kept; send it again", code="UploadExpired")
        if await _create_document(conn, keys, upload):
            await _create_version(conn, keys, upload, upload.document_id, 1)
            return UploadOutcome(upload.document_id, upload.version_id, duplicate=False)
        outcome = await _add_version(conn, keys, upload)
        if upload.announced and outcome.version_id != upload.version_id:
            await doom_objects(conn, [upload.version_id], outcome.version_id)
        return outcome


async def _create_document(conn: Connection, keys: DataKeys, upload: NewUpload) -> bool:
    """Whether the name was new. A concurrent upload of the same name is waited for."""
    meta = seal_meta(keys, upload.document_id, Meta(upload.name, upload.tags))
    name_key, tag_keys = _name_key(keys, upload), blind_tags(keys, upload.tags)
    created = await conn.fetchval(_SQL["create_document"], upload.document_id, meta, name_key, tag_keys, upload.source)
    return created is not None


async def _add_version(conn: Connection, keys: DataKeys, upload: NewUpload) -> UploadOutcome:
    document = await conn.fetchrow(_SQL["lock_document_by_name"], _name_key(keys, upload))
    if document is None:
        raise NotFoundError("the document was deleted while this upload was registered; upload it again")
    latest = await conn.fetchrow(_SQL["fetch_latest_version"], document["id"])
    if latest is not None and latest["content_key"] == _content_key(keys, upload):
        return UploadOutcome(document["id"], latest["id"], duplicate=True)
    await _create_version(conn, keys, upload, document["id"], 1 if latest is None else latest["number"] + 1)
    tags = upload.tags
    if not tags and upload.item_key is not None:
        tags = (await fetch_document(conn, keys, document["id"])).tags
    if tags or upload.item_key is not None:
        meta = seal_meta(keys, document["id"], Meta(upload.name, tags))
        await conn.execute(_SQL["update_document"], document["id"], meta, blind_tags(keys, tags))
    else:
        await conn.execute(_SQL["touch_document"], document["id"])
    return UploadOutcome(document["id"], upload.version_id, duplicate=False)


async def _create_version(conn: Connection, keys: DataKeys, upload: NewUpload, document_id: str, number: int) -> None:
    content_key = _content_key(keys, upload)
    await conn.execute(
        _SQL["create_version"], upload.version_id, document_id, number, upload.media_type, content_key, upload.size
    )


def _name_key(keys: DataKeys, upload: NewUpload) -> bytes:
    return blind_name(keys, upload.name) if upload.item_key is None else upload.item_key


def _content_key(keys: DataKeys, upload: NewUpload) -> bytes:
    return keys.blind("content", upload.sha256)


async def fetch_document(conn: Connection, keys: DataKeys, document_id: str) -> Document:
    """Raises NotFoundError."""
    row = await conn.fetchrow(_SQL["fetch_document"], document_id)
    if row is None:
        raise _absent(document_id)
    return _read_document(keys, row)


async def list_documents(
    conn: Connection, keys: DataKeys, *, cursor: str | None = None, limit: int = 50
) -> Page[Document]:
    """Newest first. Raises InvalidInputError for a cursor that is not one."""
    if cursor is not None and not ids.is_id("doc", cursor):
        raise _bad_cursor()
    rows = await conn.fetch(_SQL["list_documents"], cursor, limit + 1)
    items = tuple(_read_document(keys, row) for row in rows[:limit])
    return Page(items, items[-1].id if len(rows) > limit else None)


async def list_versions(conn: Connection, document_id: str) -> tuple[Version, ...]:
    """Newest first. Raises NotFoundError when the document is absent."""
    rows = await conn.fetch(_SQL["list_versions"], document_id)
    if not rows:
        raise _absent(document_id)
    return tuple(_read_version(row) for row in rows)


async def list_chunks(
    conn: Connection, keys: DataKeys, document_id: str, *, cursor: str | None = None, limit: int = 50
) -> Page[StoredChunk]:
    """The active version's chunks in order. Empty before the first ingestion. Raises NotFoundError."""
    if cursor is not None and not (cursor.isascii() and cursor.isdigit() and len(cursor) < 10):
        raise _bad_cursor()
    document = await conn.fetchrow(_SQL["fetch_shown"], document_id)
    if document is None:
        raise _absent(document_id)
    after = -1 if cursor is None else int(cursor)
    rows = await conn.fetch(_SQL["list_chunks"], document["shown"], after, limit + 1)
    items = tuple(_read_chunk(keys, row) for row in rows[:limit])
    return Page(items, str(items[-1].ordinal) if len(rows) > limit else None)


async def delete_document(conn: Connection, document_id: str) -> tuple[str, ...]:
    """Delete a document with its versions and chunks, and doom its objects; returns the ids of its versions.

    An ingestion in flight gets FencedError at its next batch. Raises NotFoundError.
    """
    async with conn.transaction():
        if await conn.fetchval(_SQL["lock_document"], document_id) is None:
            raise _absent(document_id)
        versions = await conn.fetch(_SQL["lock_versions"], document_id)
        shown = [version["shown"] for version in versions if version["shown"] is not None]
        await conn.execute(_INDEX["count_terms"], None, shown)
        for version in versions:
            if version["shown"] is not None:
                await conn.execute(_INDEX["count_chunks"], version["generation"], -version["chunks"])
        landings = [version["landing"] for version in versions if version["landing"] is not None]
        await conn.execute(_SQL["delete_chunks"], shown + landings)
        deleted = tuple(row["id"] for row in await conn.fetch(_SQL["delete_versions"], document_id))
        await doom_objects(conn, deleted)
        await conn.execute(_SQL["forget_items"], document_id)
        await conn.execute(_SQL["delete_document"], document_id)
    return deleted


def _absent(document_id: str) -> NotFoundError:
    return NotFoundError(f"there is no document {document_id}", code="DocumentNotFound")


def _bad_cursor() -> InvalidInputError:
    return InvalidInputError("this cursor did not come from a listing; start without one", code="InvalidCursor")


def _read_document(keys: DataKeys, row: Record) -> Document:
    meta = open_meta(keys, row["doc_id"], row["meta_ct"])
    return Document(
        id=row["doc_id"],
        name=meta.name,
        source=row["source"],
        tags=meta.tags,
        active_version_id=row["active_version"],
        latest=_read_version(row),
        created_at=row["doc_created_at"],
        updated_at=row["updated_at"],
    )


def _read_version(row: Record) -> Version:
    return Version(
        id=row["id"],
        document_id=row["document_id"],
        number=row["number"],
        media_type=row["media_type"],
        state=row["state"],
        size=row["size_bytes"],
        pages=row["pages"],
        chunks=row["chunks"] if row["state"] == "active" else row["chunks_stored"],
        worker_build=row["worker_build"],
        generation=row["generation"],
        error_class=row["error_class"],
        error_reason=row["error_reason"],
        error_message=row["error_message"],
        created_at=row["created_at"],
        activated_at=row["activated_at"],
    )


def _read_chunk(keys: DataKeys, row: Record) -> StoredChunk:
    body = open_body(keys, row["landing"], row["ordinal"], row["body_ct"])
    return StoredChunk(
        ordinal=row["ordinal"],
        page=row["page"],
        unit=read_unit(row),
        char_start=row["char_start"],
        char_end=row["char_end"],
        tokens=row["tokens"],
        title=body.title,
        heading_path=body.heading_path,
        text=body.text,
        worker_build=row["worker_build"],
        generation=row["generation"],
        strategy=row["strategy"],
    )

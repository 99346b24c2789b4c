"""Documents and their versions, as the current role sees them. No function takes a tenant: the role is the tenant.

Names and tags are stored encrypted, with keyed hashes beside them for equality.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, Literal, TypeVar


from dreamhub.domain.keys import DataKeys

T = TypeVar("T")
VersionState = Literal["uploaded", "landing", "active", "failed"]
Source = Literal["upload", "inline"]


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


@dataclass(frozen=True, slots=True)
class UploadOutcome:
    document_id: str
    version_id: str
    duplicate: bool
    """The document's latest version has these very bytes: nothing was stored, the caller deletes its object."""


@dataclass(frozen=True, slots=True)
class Version:
    id: str
    document_id: str
    number: int
    """1, 2, 3 ... within the document."""
    state: VersionState
    size: int
    pages: int | None
    chunks: int
    """Chunks stored so far; all of them when active."""
    worker_build: str | None
    error_class: str | None
    error_reason: str | None
    error_message: str | None
    created_at: datetime
    activated_at: datetime | None


@dataclass(frozen=True, slots=True)
class Document:
    id: str
    name: str
    media_type: str
    source: Source
    tags: tuple[str, ...]
    active_version_id: str | None
    """What readers find; None until the first ingestion has finished."""
    latest: Version
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class StoredChunk:
    ordinal: int
    page: int | None
    char_start: int
    char_end: int
    tokens: int
    title: str
    heading_path: tuple[str, ...]
    text: str


async def register_upload(conn: Connection, keys: DataKeys, upload: NewUpload) -> UploadOutcome:
    """Register a document (new name) or a further version (known name, other bytes). Same name and bytes: the same ids.

    Idempotent for a given `version_id`, so a retry after a lost answer adds nothing.
    """
    raise NotImplementedError


async def fetch_document(conn: Connection, keys: DataKeys, document_id: str) -> Document:
    """Raises NotFoundError."""
    raise NotImplementedError


async def list_documents(
    conn: Connection, keys: DataKeys, *, cursor: str | None = None, limit: int = 50
) -> Page[Document]:
    """Newest first. Raises InvalidInputError for a cursor that is not one."""
    raise NotImplementedError


async def list_versions(conn: Connection, document_id: str) -> tuple[Version, ...]:
    """Newest first. Raises NotFoundError when the document is absent."""
    raise NotImplementedError


async def list_chunks(
    conn: Connection, keys: DataKeys, document_id: str, *, cursor: str | None = None, limit: int = 50
) -> Page[StoredChunk]:
    """The active version's chunks in order. Empty before the first ingestion. Raises NotFoundError."""
    raise NotImplementedError


async def delete_document(conn: Connection, document_id: str) -> tuple[str, ...]:
    """Delete a document with its versions and chunks; returns the version ids whose objects the caller deletes.

    An ingestion in flight gets FencedError at its next batch. Raises NotFoundError.
    """
    raise NotImplementedError

"""A tenant's documents: list, read, delete. Uploading has its own module."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from dreamhub import names
from dreamhub.errors import NotFoundError
from dreamhub.ids import is_id
from dreamhub.sql import documents as sql
from dreamhub.storage.objects import ObjectStore
from dreamhub_api.services.originals import OriginalsService
from dreamhub_api.services.sessions import Sessions
from dreamhub_api.views import chunk_view, document_view, version_view
from dreamhub_client.models import ChunkPage, Document, DocumentPage, DocumentVersionPage


@dataclass(frozen=True)
class Content:
    """The original bytes of a document's latest version."""

    name: str
    media_type: str
    size: int
    pieces: AsyncIterator[bytes]


class DocumentsService:
    def __init__(self, sessions: Sessions, originals: OriginalsService, objects: ObjectStore) -> None:
        self._sessions = sessions
        self._originals = originals
        self._objects = objects

    async def page(self, tenant: str, cursor: str | None, limit: int) -> DocumentPage:
        async with self._sessions.open(tenant, readonly=True) as session:
            page = await sql.list_documents(session.conn, session.keys, cursor=cursor, limit=limit)
        return DocumentPage(items=tuple(document_view(item) for item in page.items), next_cursor=page.next_cursor)

    async def get(self, tenant: str, document_id: str) -> Document:
        return document_view(await self._fetch(tenant, document_id))

    async def versions(self, tenant: str, document_id: str) -> DocumentVersionPage:
        check_document_id(document_id)
        try:
            async with self._sessions.open(tenant, readonly=True) as session:
                versions = await sql.list_versions(session.conn, document_id)
        except NotFoundError as error:
            raise missing_document() from error
        return DocumentVersionPage(items=tuple(version_view(item) for item in versions))

    async def chunks(self, tenant: str, document_id: str, cursor: str | None, limit: int) -> ChunkPage:
        check_document_id(document_id)
        try:
            async with self._sessions.open(tenant, readonly=True) as session:
                page = await sql.list_chunks(session.conn, session.keys, document_id, cursor=cursor, limit=limit)
        except NotFoundError as error:
            raise missing_document() from error
        return ChunkPage(items=tuple(chunk_view(item) for item in page.items), next_cursor=page.next_cursor)

    async def open_content(self, tenant: str, document_id: str) -> Content:
        document = await self._fetch(tenant, document_id)
        pieces = self._objects.get_stream(names.object_key(tenant, document.latest.id))
        return Content(document.name, document.media_type, document.latest.size, pieces)

    async def delete(self, tenant: str, document_id: str) -> None:
        """Rows first: a document that is half gone is never found. Its objects go now, or when S3 is back."""
        check_document_id(document_id)
        try:
            async with self._sessions.open(tenant) as session:
                await sql.delete_document(session.conn, document_id)
        except NotFoundError as error:
            raise missing_document() from error
        await self._originals.settle_soon(tenant)

    async def _fetch(self, tenant: str, document_id: str) -> sql.Document:
        check_document_id(document_id)
        try:
            async with self._sessions.open(tenant, readonly=True) as session:
                return await sql.fetch_document(session.conn, session.keys, document_id)
        except NotFoundError as error:
            raise missing_document() from error


def check_document_id(value: str) -> None:
    """What cannot be an id is treated as one that nobody has."""
    if not is_id("doc", value):
        raise missing_document()


def missing_document() -> NotFoundError:
    """The one answer for absent, deleted and foreign documents."""
    return NotFoundError("there is no such document", code="DocumentNotFound")

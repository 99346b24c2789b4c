"""Handlers of /documents."""

import hashlib
from collections.abc import AsyncIterator
from urllib.parse import quote

from aiohttp import BodyPartReader, ClientError, hdrs, web
from aiohttp.http_exceptions import HttpProcessingError

from dreamhub.errors import DreamHubError, InvalidInputError
from dreamhub_api.calls import Call, NoBody, NoQuery, PageQuery, Reply, UploadQuery
from dreamhub_api.handlers.idempotency import attempt_of, replay_headers
from dreamhub_api.services.idempotency import Created
from dreamhub_api.services.uploads import Upload
from dreamhub_client.wire import MAX_NAME_CHARACTERS

READ_BYTES = 262_144


async def upload_document(call: Call[NoBody, UploadQuery]) -> Reply:
    """Upload a document: its bytes as the body, or as the field `file` of a form.

    A name that is known becomes a new version of its document. The same bytes again change nothing (200).
    """
    upload = await _read_upload(call)
    keys = call.services.sessions.keys(call.tenant)

    async def create() -> Created:
        uploaded = await call.services.uploads.store(call.tenant, upload)
        digest = keys.blind("content", uploaded.digest).hex()
        return Created(uploaded.document_id, 200 if uploaded.duplicate else 201, digest)

    async def read_digest() -> str:
        return keys.blind("content", await call.services.uploads.digest(upload)).hex()

    described = "\n".join((upload.name, upload.declared, *upload.tags)).encode()
    attempt = attempt_of(call, hashlib.sha256(described).digest())
    created = await call.services.idempotency.run(attempt, create, read_digest)
    document = await call.services.documents.get(call.tenant, created.ref)
    body = document.model_copy(update={"duplicate": created.status == 200})
    return Reply(created.status, body, replay_headers(created))


async def list_documents(call: Call[NoBody, PageQuery]) -> Reply:
    """The tenant's documents, newest first."""
    return Reply(200, await call.services.documents.page(call.tenant, call.query.cursor, call.query.limit))


async def get_document(call: Call[NoBody, NoQuery]) -> Reply:
    """One document with the state of its latest version."""
    return Reply(200, await call.services.documents.get(call.tenant, call.path["document_id"]))


async def delete_document(call: Call[NoBody, NoQuery]) -> Reply:
    """Delete a document with all versions and chunks. A job that is ingesting it stops with an error."""
    await call.services.documents.delete(call.tenant, call.path["document_id"])
    return Reply(204)


async def list_versions(call: Call[NoBody, NoQuery]) -> Reply:
    """Every version of a document, newest first."""
    return Reply(200, await call.services.documents.versions(call.tenant, call.path["document_id"]))


async def list_chunks(call: Call[NoBody, PageQuery]) -> Reply:
    """The chunks that searches find, in the document's order. Empty before the first ingestion."""
    page = await call.services.documents.chunks(
        call.tenant, call.path["document_id"], call.query.cursor, call.query.limit
    )
    return Reply(200, page)


async def get_content(call: Call[NoBody, NoQuery]) -> web.StreamResponse:
    """The original bytes of the latest version, as a download: a browser must never render a tenant's HTML here."""
    content = await call.services.documents.open_content(call.tenant, call.path["document_id"])
    first = await anext(content.pieces, b"")
    response = web.StreamResponse(
        headers={
            hdrs.CONTENT_TYPE: content.media_type,
            hdrs.CONTENT_LENGTH: str(content.size),
            hdrs.CONTENT_DISPOSITION: f"attachment; filename*=UTF-8''{quote(content.name, safe='')}",
            "Content-Security-Policy": "sandbox; default-src 'none'",
            "X-Content-Type-Options": "nosniff",
        }
    )
    await response.prepare(call.request)
    await response.write(first)
    try:
        async for piece in content.pieces:
            await response.write(piece)
    except DreamHubError as error:  # the status is out already: a cut connection is the only honest sign left
        raise ConnectionResetError("the object store stopped in the middle of a download") from error
    await response.write_eof()
    return response


async def _read_upload(call: Call[NoBody, UploadQuery]) -> Upload:
    request = call.request
    if request.content_type.startswith("multipart/"):
        part = await _file_part(request)
        name = call.query.name or _base_name(part.filename)
        declared, size, chunks = part.headers.get(hdrs.CONTENT_TYPE, ""), None, _part_chunks(part)
    else:
        name = call.query.name
        declared = request.headers.get(hdrs.CONTENT_TYPE, "")
        size, chunks = request.content_length, _body_chunks(request)
    if not name:
        raise InvalidInputError("the document needs a name: add ?name=<file name>", code="NameMissing")
    return Upload(name, declared, call.query.tags, size, chunks)


async def _file_part(request: web.Request) -> BodyPartReader:
    try:
        part = await (await request.multipart()).next()
    except (ValueError, ClientError, HttpProcessingError) as error:
        raise InvalidInputError("the form is not valid multipart/form-data", code="BadMultipart") from error
    if not isinstance(part, BodyPartReader) or part.name != "file":
        raise InvalidInputError("the form's first field must be `file`", code="BadMultipart")
    return part


def _base_name(filename: str | None) -> str | None:
    """A form's file name may carry the sender's folders, and bytes that no name may have: they are refused."""
    name = (filename or "").replace("\\", "/").rpartition("/")[2][:MAX_NAME_CHARACTERS]
    if not name.isprintable():
        raise InvalidInputError("the file name holds control characters or is not UTF-8; rename it", code="BadName")
    return name or None


async def _body_chunks(request: web.Request) -> AsyncIterator[bytes]:
    try:
        async for chunk in request.content.iter_chunked(READ_BYTES):
            yield chunk
    except (ClientError, ConnectionError) as error:
        raise _interrupted() from error


async def _part_chunks(part: BodyPartReader) -> AsyncIterator[bytes]:
    try:
        while chunk := await part.read_chunk(READ_BYTES):
            yield chunk
    except (ClientError, ConnectionError, ValueError, HttpProcessingError) as error:
        raise _interrupted() from error


def _interrupted() -> InvalidInputError:
    return InvalidInputError("the upload ended before all of it had come; send it again", code="UploadInterrupted")

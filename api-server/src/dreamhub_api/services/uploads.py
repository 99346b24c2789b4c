"""From a stream of bytes to a registered document, never whole in memory, nothing left behind when it fails.

The bytes are announced before they are stored (see `originals`): whatever ends an upload, its object goes, unless its
version was registered after all.
"""

import hashlib
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass

from dreamhub import names
from dreamhub.domain.media_types import HEAD_BYTES, claimed_type, needs_tail, sniff
from dreamhub.domain.office_files import TAIL_BYTES
from dreamhub.errors import InvalidInputError, UnavailableError
from dreamhub.ids import new_id
from dreamhub.sql import documents as sql
from dreamhub.sql.quota import check_storage
from dreamhub.storage.objects import ObjectStore
from dreamhub_api.metrics import Metrics
from dreamhub_api.problems import UploadTooLargeError
from dreamhub_api.services.originals import OriginalsService
from dreamhub_api.services.sessions import Sessions


@dataclass(frozen=True)
class Upload:
    """What a request brings. `declared` is its Content-Type, or empty."""

    name: str
    declared: str
    tags: tuple[str, ...]
    size: int | None
    """As announced; None for a chunked request."""
    chunks: AsyncIterator[bytes]


@dataclass(frozen=True)
class Uploaded:
    document_id: str
    duplicate: bool
    digest: bytes
    """SHA-256 of the content."""


class MeteredStream:
    """Counts, hashes and limits what flows through it, and remembers its end."""

    def __init__(self, chunks: AsyncIterator[bytes], limit: int) -> None:
        self._chunks = chunks
        self._limit = limit
        self._hash = hashlib.sha256()
        self._last: deque[bytes] = deque()
        self._kept = 0
        self.size = 0

    @property
    def tail(self) -> bytes:
        """The last bytes, for sniffing."""
        return b"".join(self._last)[-TAIL_BYTES:]

    def digest(self) -> bytes:
        return self._hash.digest()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Raises UploadTooLargeError in the middle, at the first byte above the limit."""
        async for chunk in self._chunks:
            self.size += len(chunk)
            if self.size > self._limit:
                raise UploadTooLargeError(self._limit)
            self._hash.update(chunk)
            self._remember(chunk)
            yield chunk

    def _remember(self, chunk: bytes) -> None:
        """Chunks may be of any size: whole ones are dropped once those behind them are enough."""
        self._last.append(chunk)
        self._kept += len(chunk)
        while self._kept - len(self._last[0]) >= TAIL_BYTES:
            self._kept -= len(self._last.popleft())


class UploadService:
    def __init__(
        self, sessions: Sessions, originals: OriginalsService, objects: ObjectStore, limit: int, metrics: Metrics
    ) -> None:
        self._sessions = sessions
        self._originals = originals
        self._objects = objects
        self._limit = limit
        self._metrics = metrics

    async def store(self, tenant: str, upload: Upload) -> Uploaded:
        """Raises UploadTooLargeError, UnsupportedTypeError, InvalidInputError `EmptyFile`, UnavailableError.

        And CapacityExceededError when the plan has no room for it, ForbiddenError `TenantSuspended`.
        """
        claimed_type(upload.name, upload.declared)
        if upload.size is not None and upload.size > self._limit:
            raise UploadTooLargeError(self._limit)
        await self._check_room(tenant, upload.size)
        version_id = new_id("ver")
        await self._originals.announce(tenant, version_id)
        metered = MeteredStream(upload.chunks, self._limit)
        try:
            outcome = await self._keep(tenant, version_id, upload, metered)
        except BaseException:  # whatever ends the upload, a cancelled request too
            await self._originals.withdraw(tenant, version_id)
            raise
        if outcome.version_id != version_id:
            await self._originals.settle_soon(tenant)
        self._metrics.uploaded_bytes.inc(metered.size)
        return Uploaded(outcome.document_id, outcome.duplicate, metered.digest())

    async def digest(self, upload: Upload) -> bytes:
        """Read a stream only to hash it: an upload repeated under its idempotency key must be the same one."""
        metered = MeteredStream(upload.chunks, self._limit)
        async for _ in metered:
            pass
        return metered.digest()

    async def _check_room(self, tenant: str, size: int | None) -> None:
        """Before any byte is taken: what registering would refuse anyway. The last word is the database's."""
        async with self._sessions.open(tenant, readonly=True) as session:
            await check_storage(session.conn, size or 1)

    async def _keep(self, tenant: str, version_id: str, upload: Upload, metered: MeteredStream) -> sql.UploadOutcome:
        stream = aiter(metered)
        head = await _read_head(stream)
        key = names.object_key(tenant, version_id)
        if needs_tail(head):  # kept first: what a zip is, it says at its end
            await self._objects.put_stream(key, _joined(head, stream))
            media_type = sniff(head[:HEAD_BYTES], upload.name, upload.declared, metered.tail)
        else:
            media_type = sniff(head[:HEAD_BYTES], upload.name, upload.declared)
            await self._objects.put_stream(key, _joined(head, stream))
        return await self._register(tenant, _describe(upload, media_type, version_id, metered))

    async def _register(self, tenant: str, new: sql.NewUpload) -> sql.UploadOutcome:
        """Tried twice: when an answer was lost, the second call finds what the first has done (same version id)."""
        try:
            async with self._sessions.open(tenant) as session:
                return await sql.register_upload(session.conn, session.keys, new)
        except UnavailableError:
            async with self._sessions.open(tenant) as session:
                return await sql.register_upload(session.conn, session.keys, new)


def _describe(upload: Upload, media_type: str, version_id: str, metered: MeteredStream) -> sql.NewUpload:
    return sql.NewUpload(
        document_id=new_id("doc"),
        version_id=version_id,
        name=upload.name,
        media_type=media_type,
        size=metered.size,
        sha256=metered.digest(),
        tags=upload.tags,
        announced=True,
    )


async def _read_head(stream: AsyncIterator[bytes]) -> bytes:
    """The first bytes, enough to sniff; all of a shorter stream. May hold more than asked for."""
    head = b""
    while len(head) < HEAD_BYTES:
        piece = await anext(stream, None)
        if piece is None:
            break
        head += piece
    if not head:
        raise InvalidInputError("the file is empty; upload one with content", code="EmptyFile")
    return head


async def _joined(head: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield head
    async for piece in rest:
        yield piece

"""Originals by presigned URL, to and from the object store.

The standard library's HTTP client in a thread: two plain requests a document need no more, and a worker starts a third
of a second sooner without a client framework.
"""

import asyncio
import hashlib
import http.client
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO, TypeVar
from urllib.parse import urlsplit

import stamina

from dreamhub.domain.media_types import HEAD_BYTES
from dreamhub.errors import BugError, DreamHubError, InvalidInputError, NotFoundError, TooLargeError, UnavailableError

T = TypeVar("T")

_TIMEOUT_SECONDS = 30
_PIECE = 1 << 18
_ATTEMPTS = 4
_BUDGET_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Original:
    size: int
    sha256: bytes
    head: bytes
    """The first bytes, for sniffing."""


async def download(url: str, path: Path, limit: int) -> Original:
    """Stream an object to `path`, never whole in memory.

    Raises TooLargeError above `limit`, NotFoundError `DocumentDeleted`, InvalidInputError `LinkExpired`, and
    UnavailableError after several tries.
    """
    return await _retry(lambda: _download(url, path, limit))


async def keep(data: bytes, path: Path) -> Original:
    """The same for an original that is in memory already."""
    await asyncio.to_thread(path.write_bytes, data)
    return Original(len(data), hashlib.sha256(data).digest(), data[:HEAD_BYTES])


async def upload(url: str, data: bytes | Path, media_type: str) -> None:
    """Put an object; a file is streamed. Raises InvalidInputError `LinkExpired` or UnavailableError."""
    await _retry(lambda: _upload(url, data, media_type))


async def examine(path: Path) -> Original:
    """What a download tells, of a file that is here already."""
    return await asyncio.to_thread(_examine, path)


async def _retry(action: Callable[[], T]) -> T:
    async for attempt in stamina.retry_context(on=UnavailableError, attempts=_ATTEMPTS, timeout=_BUDGET_SECONDS):
        with attempt:
            return await asyncio.to_thread(action)
    raise BugError("a transfer ended without a try")


def _download(url: str, path: Path, limit: int) -> Original:
    with _exchange("GET", url) as response:
        announced = response.length
        if announced is not None and announced > limit:
            raise _too_large(limit)
        digest, size, first = hashlib.sha256(), 0, b""
        with path.open("wb") as file:
            while piece := response.read(_PIECE):
                size += len(piece)
                if size > limit:
                    raise _too_large(limit)
                first = first or piece[:HEAD_BYTES]
                digest.update(piece)
                file.write(piece)
    return Original(size, digest.digest(), first)


def _upload(url: str, data: bytes | Path, media_type: str) -> None:
    with ExitStack() as stack:
        body = stack.enter_context(data.open("rb")) if isinstance(data, Path) else data
        size = data.stat().st_size if isinstance(data, Path) else len(data)
        headers = {"Content-Type": media_type, "Content-Length": str(size)}
        stack.enter_context(_exchange("PUT", url, body, headers)).read()


def _examine(path: Path) -> Original:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").digest()
        file.seek(0)
        return Original(path.stat().st_size, digest, file.read(HEAD_BYTES))


@contextmanager
def _exchange(
    method: str, url: str, body: bytes | BinaryIO | None = None, headers: Mapping[str, str] = MappingProxyType({})
) -> Iterator[http.client.HTTPResponse]:
    """One request and its successful answer; every failure, also while reading, as ours."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or parts.hostname is None:
        raise InvalidInputError("the job's link to the object store is not an HTTP URL", code="BadJobInput")
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    with closing(kind(parts.hostname, parts.port, timeout=_TIMEOUT_SECONDS)) as connection:
        try:
            connection.request(method, f"{parts.path}?{parts.query}", body, dict(headers))
            response = connection.getresponse()
            if response.status != http.client.OK:
                raise status_error(response.status)
            yield response
        except (OSError, http.client.HTTPException) as error:
            raise _away(f"does not answer ({type(error).__name__})") from error


def status_error(status: int) -> DreamHubError:
    if status == http.client.NOT_FOUND:
        return NotFoundError("the document's original is gone: it was deleted", code="DocumentDeleted")
    if status in {http.client.FORBIDDEN, http.client.UNAUTHORIZED, http.client.BAD_REQUEST}:
        return InvalidInputError(
            f"the object store refused the job's link (HTTP {status}): it has expired; create a new ingest job",
            code="LinkExpired",
        )
    return _away(f"answered HTTP {status}")


def _away(how: str) -> UnavailableError:
    return UnavailableError(f"the object store {how}; the next try may succeed", code="ObjectStoreUnavailable")


def _too_large(limit: int) -> TooLargeError:
    return TooLargeError(f"the document is above the limit of {limit} bytes; split it")

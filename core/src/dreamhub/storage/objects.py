"""The original bytes of documents, in any S3."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http.client import HTTPConnection, HTTPSConnection
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import obstore
import structlog
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import S3Store

from dreamhub.errors import BugError, InvalidInputError, NotFoundError, UnavailableError

if TYPE_CHECKING:
    from obstore.store import ClientConfig  # which is there for type checkers only

_PART_BYTES = 5 * 1024 * 1024
"""S3's smallest part: what one upload holds in memory, times the parts in flight."""

_PARTS_IN_FLIGHT = 2

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ObjectKeys:
    """A login to the store. While one takes over from another, a store accepts both."""

    access_key: str
    secret_key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ObjectStoreSettings:
    endpoint: str
    """Such as `http://dreamhub-s3:8333`; presigned URLs carry this host, so it must be reachable by workers."""
    bucket: str
    region: str
    access_key: str
    secret_key: str = field(repr=False)
    proxy: str = ""
    """Through which every connection goes, where there is one."""

    @property
    def keys(self) -> ObjectKeys:
        return ObjectKeys(self.access_key, self.secret_key)


@dataclass(frozen=True, slots=True)
class StoredObject:
    key: str
    size: int
    etag: str
    modified: datetime


@contextmanager
def _translate_failures() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise NotFoundError("the stored original is not there", code="ObjectNotFound") from error
    except (PermissionDeniedError, UnauthenticatedError) as error:
        raise UnavailableError(
            "the object store refuses the keys; put present ones into the Secret, or give them their rights back",
            code="ObjectStoreUnavailable",
        ) from error
    except (BaseError, OSError) as error:
        raise UnavailableError(
            f"the object store does not answer ({type(error).__name__}); the next try may succeed",
            code="ObjectStoreUnavailable",
        ) from error


def _open_client(settings: ObjectStoreSettings, keys: ObjectKeys) -> S3Store:
    options: ClientConfig = {
        "allow_http": settings.endpoint.startswith("http://"),
        "timeout": timedelta(seconds=60),
    }
    if settings.proxy:
        options["proxy_url"] = settings.proxy
    return S3Store(
        settings.bucket,
        endpoint=settings.endpoint,
        region=settings.region,
        access_key_id=keys.access_key,
        secret_access_key=keys.secret_key,
        virtual_hosted_style_request=False,
        client_options=options,
        retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=20)},
    )


class ObjectStore:
    """One bucket. Keys come from `names.object_key`.

    Every method raises UnavailableError when the store does not answer.
    """

    def __init__(self, settings: ObjectStoreSettings, read_keys: Callable[[], ObjectKeys] | None = None) -> None:
        """`read_keys` is asked before each operation, so that changed keys are taken over."""
        self._settings = settings
        self._read = read_keys or (lambda: settings.keys)
        self._keys = settings.keys
        self._client = _open_client(settings, self._keys)

    @property
    def _store(self) -> S3Store:
        """The client for the keys as they are now; operations that have begun end with theirs."""
        keys = self._read_keys()
        if keys != self._keys:
            self._keys, self._client = keys, _open_client(self._settings, keys)
        return self._client

    def _read_keys(self) -> ObjectKeys:
        try:
            return self._read()
        except InvalidInputError as error:
            log.warning("the keys of the object store cannot be read; those before stay in use", error=error.message)
            return self._keys

    async def put_stream(self, key: str, chunks: AsyncIterable[bytes]) -> int:
        """Store a stream without holding it (multipart); returns its size.

        An error of the iterator leaves no object and is raised as it is.
        """
        counted = _Counted(chunks)
        with _translate_failures():
            try:
                await obstore.put_async(
                    self._store, key, counted, chunk_size=_PART_BYTES, max_concurrency=_PARTS_IN_FLIGHT
                )
            except BaseException:
                if counted.error is not None:
                    raise counted.error from None
                raise
        return counted.size

    async def put(self, key: str, data: bytes) -> None:
        with _translate_failures():
            await obstore.put_async(self._store, key, data)

    async def get_stream(self, key: str) -> AsyncIterator[bytes]:
        """Pieces of the object. Raises NotFoundError."""
        with _translate_failures():
            result = await obstore.get_async(self._store, key)
            async for piece in result.stream(min_chunk_size=256 * 1024):
                yield bytes(piece)

    async def exists(self, key: str) -> bool:
        try:
            with _translate_failures():
                await obstore.head_async(self._store, key)
        except NotFoundError:
            return False
        return True

    async def move(self, key: str, target: str) -> None:
        """Rename within the bucket; what was at `target` is replaced. Raises NotFoundError."""
        with _translate_failures():
            await obstore.copy_async(self._store, key, target)
            await obstore.delete_async(self._store, key)

    async def delete(self, *keys: str) -> None:
        """Delete objects; an absent one is fine. No keys: nothing."""
        if not keys:
            return
        with _translate_failures():
            await obstore.delete_async(self._store, list(keys))

    async def delete_prefix(self, prefix: str) -> int:
        """Delete every object whose key begins so; returns how many there were. An empty prefix is refused as a bug."""
        if not prefix:
            raise BugError("deleting by an empty prefix would empty the bucket")
        deleted = 0
        with _translate_failures():
            async for listed in obstore.list(self._store, prefix=prefix, chunk_size=1000):
                keys = [entry["path"] for entry in listed]
                await obstore.delete_async(self._store, keys)
                deleted += len(keys)
        return deleted

    async def list_page(self, prefix: str, after: str | None, limit: int) -> tuple[StoredObject, ...]:
        """The next objects in order of their keys, `prefix` being a folder: whole parts of a path."""
        with _translate_failures():
            listing = obstore.list(self._store, prefix=prefix, offset=after, chunk_size=limit)
            async for found in listing:
                return tuple(
                    StoredObject(item["path"], item["size"], (item["e_tag"] or "").strip('"'), item["last_modified"])
                    for item in found
                )
        return ()

    async def presign_get(self, key: str, expires_seconds: int) -> str:
        return await obstore.sign_async(self._store, "GET", key, timedelta(seconds=expires_seconds))

    async def presign_put(self, key: str, expires_seconds: int) -> str:
        return await obstore.sign_async(self._store, "PUT", key, timedelta(seconds=expires_seconds))

    async def ping(self) -> None:
        """For readiness: the bucket answers. Raises UnavailableError."""
        with _translate_failures():
            await obstore.list_with_delimiter_async(self._store, prefix="readiness-probe")

    async def ensure_bucket(self) -> None:
        """Create the bucket when absent. obstore has no call for it: a signed PUT on the bucket itself does."""
        url = await obstore.sign_async(self._store, "PUT", "", timedelta(seconds=60))
        with _translate_failures():
            status = await asyncio.to_thread(_put_empty, url)
        if status not in {200, 409}:  # 409: it is there
            raise UnavailableError(
                f"the bucket {self._settings.bucket} could not be created (HTTP {status}); create it by hand",
                code="ObjectStoreUnavailable",
            )


def _put_empty(url: str) -> int:
    parts = urlsplit(url)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = kind(parts.netloc, timeout=10)
    try:
        connection.request("PUT", f"{parts.path}?{parts.query}")
        return connection.getresponse().status
    finally:
        connection.close()


class _Counted:
    """Counts the bytes that pass, and keeps the source's own error, which the store would wrap."""

    def __init__(self, chunks: AsyncIterable[bytes]) -> None:
        self._chunks = chunks
        self.size = 0
        self.error: BaseException | None = None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._chunks:
                self.size += len(chunk)
                yield chunk
        except BaseException as error:
            self.error = error
            raise

"""The original bytes of documents, in any S3."""

from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ObjectStoreSettings:
    endpoint: str
    """Such as `http://dreamhub-s3:8333`; presigned URLs carry this host, so it must be reachable by workers."""
    bucket: str
    region: str
    access_key: str
    secret_key: str


class ObjectStore:
    """One bucket. Keys come from `names.object_key`.

    Every method raises UnavailableError when the store does not answer.
    """

    def __init__(self, settings: ObjectStoreSettings) -> None:
        self._settings = settings

    async def put_stream(self, key: str, chunks: AsyncIterable[bytes]) -> int:
        """Store a stream without holding it (multipart); returns its size. An error of the iterator leaves no object."""
        raise NotImplementedError

    async def put(self, key: str, data: bytes) -> None:
        raise NotImplementedError

    def get_stream(self, key: str) -> AsyncIterator[bytes]:
        """Pieces of the object. Raises NotFoundError."""
        raise NotImplementedError

    async def delete(self, *keys: str) -> None:
        """Delete objects; an absent one is fine. No keys: nothing."""
        raise NotImplementedError

    async def presign_get(self, key: str, expires_seconds: int) -> str:
        raise NotImplementedError

    async def presign_put(self, key: str, expires_seconds: int) -> str:
        raise NotImplementedError

    async def ping(self) -> None:
        """For readiness: the bucket answers. Raises UnavailableError."""
        raise NotImplementedError

    async def ensure_bucket(self) -> None:
        """Create the bucket when absent (embedded S3, tests)."""
        raise NotImplementedError

"""Objects below a prefix: of the tenant's import folder in the platform's bucket, or of an S3 of the tenant's own.

Listing is cheap and tells a revision of each object, so every reading lists all, fetches what is new, and ends with
Complete: what is not there any more is gone. There is no checkpoint to keep.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from dreamhub.crd.ingest_source import S3Source as Config
from dreamhub.domain.link_messages import PAGE_OBJECTS
from dreamhub.errors import InvalidInputError, NotFoundError, TooLargeError
from dreamhub.ids import new_id
from dreamhub.storage.objects import ObjectStore, ObjectStoreSettings
from dreamhub_worker.fetch_guard import AddressRefusedError, FetchGuard
from dreamhub_worker.sources.source import Checkpoint, Complete, Event, Found, ObjectEntry, ObjectLinks, SourceContext


class S3Reader:
    """The factory of the kind `s3`."""

    def __init__(self, config: Mapping[str, Any], context: SourceContext) -> None:
        self._config = Config.model_validate(config)
        self._context = context

    async def read(self, checkpoint: Checkpoint | None) -> AsyncIterator[Event]:  # noqa: ARG002 - the protocol's
        objects: ObjectLinks = self._context.links
        if self._config.endpoint is not None:
            objects = OwnBucket(self._config, self._context)
        async for entry in objects.list(self._config.prefix):
            if entry.size == 0 or entry.key.endswith("/"):  # what some tools make in place of folders
                continue
            yield Found(
                key=entry.key,
                name=entry.key.rpartition("/")[2],
                media_type="",
                data=partial(self._fetch, objects, entry),
                revision=f"{entry.etag or entry.modified.isoformat()} {entry.size}",
                modified=entry.modified,
            )
        yield Complete()

    async def _fetch(self, objects: ObjectLinks, entry: ObjectEntry) -> Path:
        limit = self._context.size_limit
        if entry.size > limit:
            raise TooLargeError(f"the document is above the limit of {limit} bytes; split it")
        path = self._context.folder / f"object-{new_id('ver')}"
        try:
            await objects.download(entry.key, path, limit)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return path


class OwnBucket:
    """A bucket that is not the platform's, with keys from the tenant's Secret."""

    def __init__(self, config: Config, context: SourceContext) -> None:
        """Raises InvalidInputError for a Secret without keys."""
        self._endpoint = config.endpoint or ""
        self._guard = FetchGuard(tuple(context.private_networks))
        missing = [name for name in ("access-key", "secret-key") if not context.secret.get(name)]
        if missing:
            raise InvalidInputError(
                f"the source's Secret has no {' and no '.join(missing)}; put the bucket's keys into it",
                code="SecretMissing",
            )
        self._store = ObjectStore(
            ObjectStoreSettings(
                endpoint=self._endpoint,
                bucket=config.bucket or "",
                region=config.region or "us-east-1",
                access_key=context.secret["access-key"],
                secret_key=context.secret["secret-key"],
            )
        )

    async def list(self, prefix: str) -> AsyncIterator[ObjectEntry]:
        await asyncio.to_thread(self._check_address)
        folder = prefix.rpartition("/")[0]
        after: str | None = None
        while True:
            page = await self._store.list_page(folder, after, PAGE_OBJECTS)
            for item in page:
                if item.key.startswith(prefix):
                    yield ObjectEntry(item.key, item.size, item.etag, item.modified)
            if len(page) < PAGE_OBJECTS:
                return
            after = page[-1].key

    async def download(self, key: str, path: Path, limit: int) -> int:
        size = 0
        with path.open("wb") as file:
            async for piece in self._store.get_stream(key):
                size += len(piece)
                if size > limit:
                    raise TooLargeError(f"the document is above the limit of {limit} bytes; split it")
                file.write(piece)
        return size

    def _check_address(self) -> None:
        """Every address of the endpoint's name, before its client resolves it again.

        The client cannot be made to connect to what was checked, so the tenant's NetworkPolicy has the last word.
        Raises InvalidInputError `AddressRefused`, NotFoundError for a name without addresses.
        """
        parts = urlsplit(self._endpoint)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        try:
            found = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise NotFoundError("the endpoint's name has no address; correct it", code="SourceNotFound") from error
        try:
            for *_, target in found:
                self._guard.check(str(target[0]), port)
        except AddressRefusedError as error:
            raise InvalidInputError(
                f"the endpoint is refused: {error}; ask the platform to open its network (sources.privateNetworks)",
                code="AddressRefused",
            ) from error

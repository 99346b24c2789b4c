"""Objects below a prefix: of the tenant's import folder in the platform's bucket, or of an S3 of the tenant's own.

Listing is cheap and tells a revision of each object, so every reading lists all, fetches what is new, and ends with
Complete: what is not there any more is gone. There is no checkpoint to keep.
"""

import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from obstore.exceptions import PermissionDeniedError, UnauthenticatedError

from dreamhub.crd.ingest_source import S3Source as Config
from dreamhub.domain.link_messages import PAGE_OBJECTS
from dreamhub.errors import InvalidInputError, TooLargeError, UnavailableError
from dreamhub.ids import new_id
from dreamhub.storage.objects import ObjectStore, ObjectStoreSettings
from dreamhub_worker.fetch_guard import AddressRefusedError, FetchGuard
from dreamhub_worker.sources.guarded_proxy import GuardedProxy, open_proxy
from dreamhub_worker.sources.source import Checkpoint, Complete, Event, Found, ObjectEntry, ObjectLinks, SourceContext
from dreamhub_worker.sources.web_fetch import away, is_unknown_host, refused, unknown_host

_REFUSED = re.compile(r"status code: 40[13]\b")
"""What the client says of a list; of an object it says it by a type."""


class S3Reader:
    """The factory of the kind `s3`."""

    def __init__(self, config: Mapping[str, Any], context: SourceContext) -> None:
        self._config = Config.model_validate(config)
        self._context = context

    async def read(self, checkpoint: Checkpoint | None) -> AsyncIterator[Event]:  # noqa: ARG002 - the protocol's
        async with self._open() as objects:
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

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[ObjectLinks]:
        if self._config.endpoint is None:
            yield self._context.links
            return
        async with open_proxy(FetchGuard(tuple(self._context.private_networks))) as proxy:
            yield OwnBucket(self._config, self._context.secret, proxy)

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

    def __init__(self, config: Config, secret: Mapping[str, str], proxy: GuardedProxy) -> None:
        """Raises InvalidInputError for a Secret without keys."""
        missing = [name for name in ("access-key", "secret-key") if not secret.get(name)]
        if missing:
            raise InvalidInputError(
                f"the source's Secret has no {' and no '.join(missing)}; put the bucket's keys into it",
                code="SecretMissing",
            )
        self._proxy = proxy
        self._store = ObjectStore(
            ObjectStoreSettings(
                endpoint=config.endpoint or "",
                bucket=config.bucket or "",
                region=config.region or "us-east-1",
                access_key=secret["access-key"],
                secret_key=secret["secret-key"],
                proxy=proxy.url,
            )
        )

    async def list(self, prefix: str) -> AsyncIterator[ObjectEntry]:
        folder = prefix.rpartition("/")[0]
        after: str | None = None
        while True:
            with self._translated():
                page = await self._store.list_page(folder, after, PAGE_OBJECTS)
            for item in page:
                if item.key.startswith(prefix):
                    yield ObjectEntry(item.key, item.size, item.etag, item.modified)
            if len(page) < PAGE_OBJECTS:
                return
            after = page[-1].key

    async def download(self, key: str, path: Path, limit: int) -> int:
        size = 0
        with self._translated(), path.open("wb") as file:
            async for piece in self._store.get_stream(key):
                size += len(piece)
                if size > limit:
                    raise TooLargeError(f"the document is above the limit of {limit} bytes; split it")
                file.write(piece)
        return size

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """What goes wrong, by what the proxy knows of it: its client hears of nothing but a refusal.

        Raises InvalidInputError `AddressRefused`, `UnknownHost`, `LoginRefused` or `NoSuchBucket`, and UnavailableError
        for what may pass.
        """
        try:
            yield
        except UnavailableError as error:
            failure = self._proxy.failure
            if isinstance(failure, AddressRefusedError):
                raise refused() from error
            if failure is not None:
                raise unknown_host() if is_unknown_host(failure) else away(failure) from error
            cause = error.__cause__
            if isinstance(cause, PermissionDeniedError | UnauthenticatedError) or _REFUSED.search(str(cause)):
                raise InvalidInputError(
                    "the bucket refuses the login, or there is none; correct access-key and secret-key in the source's "
                    "Secret, their right to list and read it, or spec.source.s3.bucket",
                    code="LoginRefused",
                ) from error
            if "NoSuchBucket" in str(cause):
                raise InvalidInputError(
                    "there is no such bucket at the source's endpoint; correct spec.source.s3.bucket",
                    code="NoSuchBucket",
                ) from error
            raise

"""Asks the API server for links to originals, with the token of the run. Plain HTTP in a thread, as for transfers.

The token opens nothing but originals of this run's tenant, so a link is asked for when it is used and
never kept.
"""

import asyncio
import http.client
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import stamina
from pydantic import BaseModel

from dreamhub.domain.job_input import InputLinks
from dreamhub.domain.link_messages import MAX_LINKS, ImportsPage, ImportsRequest, LinksReply, LinksRequest
from dreamhub.errors import BugError, DreamHubError, InvalidInputError, NotFoundError, UnavailableError
from dreamhub_worker.sources.source import ObjectEntry
from dreamhub_worker.transfer import Original, download

M = TypeVar("M", bound=BaseModel)

_TIMEOUT_SECONDS = 30
_ATTEMPTS = 8
_BUDGET_SECONDS = 120
"""An API server is restarted within it."""


@dataclass(frozen=True, slots=True)
class Links:
    """The versions of one run, and the import folder of its tenant."""

    service: InputLinks = field(repr=False)

    async def sign_get(self, versions: Sequence[str]) -> dict[str, str]:
        """URLs by version. One that is no item of the run, or was deleted meanwhile, is absent."""
        found: dict[str, str] = {}
        for start in range(0, len(versions), MAX_LINKS):
            wanted = LinksRequest(get=tuple(versions[start : start + MAX_LINKS]))
            found |= (await self._ask("/internal/v1/links", wanted, LinksReply)).get
        return found

    async def sign_put(self, version: str) -> str:
        """A URL for an original that was announced. Raises UnavailableError when the announcement has lapsed."""
        reply = await self._ask("/internal/v1/links", LinksRequest(put=(version,)), LinksReply)
        if version not in reply.put:
            raise UnavailableError("the upload took too long to begin; the next try may succeed", code="UploadExpired")
        return reply.put[version]

    async def list(self, prefix: str) -> AsyncIterator[ObjectEntry]:
        """Objects of the import folder whose keys begin so, in order."""
        after: str | None = None
        while True:
            page = await self._ask("/internal/v1/imports", ImportsRequest(prefix=prefix, after=after), ImportsPage)
            for item in page.objects:
                yield ObjectEntry(item.key, item.size, item.etag, item.modified)
            after = page.next
            if after is None:
                return

    async def download(self, key: str, path: Path, limit: int) -> int:
        """An object of the import folder into a file; returns its size. Raises NotFoundError and TooLargeError."""
        return (await self.fetch(key, path, limit)).size

    async def fetch(self, key: str, path: Path, limit: int) -> Original:
        reply = await self._ask("/internal/v1/links", LinksRequest(imports=(key,)), LinksReply)
        return await download(reply.imports[key], path, limit)

    async def _ask(self, path: str, wanted: BaseModel, reply: type[M]) -> M:
        body = wanted.model_dump_json(by_alias=True, exclude_none=True).encode()
        async for attempt in stamina.retry_context(on=UnavailableError, attempts=_ATTEMPTS, timeout=_BUDGET_SECONDS):
            with attempt:
                answer = await asyncio.to_thread(partial(_post, self.service, path, body))
                return reply.model_validate_json(answer)
        raise BugError("a request for links ended without a try")


def _post(service: InputLinks, path: str, body: bytes) -> bytes:
    """Raises InvalidInputError `LinkExpired` for a token that is not taken, UnavailableError for what may pass."""
    parts = urlsplit(service.url)
    if parts.scheme not in {"http", "https"} or parts.hostname is None:
        raise InvalidInputError("the job's address for links is not an HTTP URL", code="BadJobInput")
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {service.token}"}
    with closing(kind(parts.hostname, parts.port, timeout=_TIMEOUT_SECONDS)) as connection:
        try:
            connection.request("POST", parts.path.rstrip("/") + path, body, headers)
            response = connection.getresponse()
            answer = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise _away(f"does not answer ({type(error).__name__})") from error
    if response.status != http.client.OK:
        raise status_error(response.status, answer)
    return answer


def status_error(status: int, answer: bytes) -> DreamHubError:
    """What an answer other than 200 means to the run."""
    told = _problem(answer)
    if status == http.client.UNAUTHORIZED:
        return InvalidInputError(
            f"the API server does not take the job's token: {told}; create a new ingest job", code="LinkExpired"
        )
    if status == http.client.NOT_FOUND:
        return NotFoundError(told)
    if status == http.client.BAD_REQUEST:
        return InvalidInputError(told, code="BadImportKey")
    return _away(f"answered HTTP {status}")


def _problem(answer: bytes) -> str:
    """What the problem document says; the server's sentences hold no content."""
    try:
        detail = json.loads(answer).get("detail")
    except (ValueError, AttributeError):
        detail = None
    return detail if isinstance(detail, str) else "it gives no reason"


def _away(how: str) -> UnavailableError:
    return UnavailableError(f"the API server {how}; the next try may succeed", code="LinksUnavailable")

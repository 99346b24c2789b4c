"""One page asked for once: what the answer means, before anyone decides what follows from it."""

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import partial
from pathlib import Path
from typing import Literal
from uuid import uuid4

import aiohttp
import stamina
from yarl import URL

from dreamhub.domain.media_types import claimed_type
from dreamhub.errors import BugError, UnavailableError
from dreamhub_worker.sources.web_fetch import (
    PERMANENT,
    REDIRECTS,
    Fetcher,
    read_body,
    redirect_target,
    save_body,
)
from dreamhub_worker.sources.web_links import PageSays, read_page

MAX_HTML = 16 * 2**20
"""Bytes of a page. Larger ones are data, or a trap."""
MAX_PAUSE = 60.0
"""Seconds that a busy site may ask for, and another try be worth waiting for."""
_ATTEMPTS = 3

Outcome = Literal["Read", "Unchanged", "Gone", "Moved", "Refused"]


@dataclass(frozen=True, slots=True)
class Answer:
    outcome: Outcome
    status: int
    says: PageSays = field(default_factory=PageSays)
    data: bytes | Path = field(default=b"", repr=False)
    media_type: str = ""
    revision: str = ""
    modified: datetime | None = None
    target: URL | None = None
    """Of a redirect."""

    @property
    def is_permanent(self) -> bool:
        return self.status in PERMANENT


class BusyError(UnavailableError):
    """The site asks to come back later, perhaps with a time."""

    default_code = "PageUnavailable"

    def __init__(self, status: int, pause: float | None) -> None:
        super().__init__(f"the page cannot be had at present (HTTP {status}); the next run asks again")
        self.pause = pause


@dataclass(frozen=True, slots=True)
class Visitor:
    fetcher: Fetcher
    folder: Path
    size_limit: int

    async def visit(self, url: URL, revision: str) -> Answer:
        """Ask, if `revision` is known only for what has changed since.

        Raises BusyError or another UnavailableError after three tries, TooLargeError, UnsupportedTypeError, and
        InvalidInputError for an answer that nobody can use.
        """
        async for attempt in stamina.retry_context(on=_pause, attempts=_ATTEMPTS, timeout=3 * MAX_PAUSE):
            with attempt:
                async with self.fetcher.send("GET", url, conditions(revision)) as response:
                    return await self._understand(response)
        raise BugError("a page was visited without a try")

    async def _understand(self, response: aiohttp.ClientResponse) -> Answer:
        status = response.status
        if status in REDIRECTS:
            return Answer("Moved", status, target=redirect_target(response))
        if status == 304:
            return Answer("Unchanged", status)
        if status in {404, 410}:
            return Answer("Gone", status)
        if status == 429 or status >= 500:
            raise BusyError(status, retry_after(response.headers))
        if status != 200:
            return Answer("Refused", status)
        return await self._read(response)

    async def _read(self, response: aiohttp.ClientResponse) -> Answer:
        media_type = response.content_type if "Content-Type" in response.headers else ""
        claimed = claimed_type(response.url.name, media_type)
        tag = ",".join(response.headers.getall("X-Robots-Tag", ()))
        answer = partial(
            Answer,
            "Read",
            response.status,
            media_type=media_type,
            revision=revision_of(response.headers),
            modified=_modified(response.headers),
        )
        if claimed == "text/html" or not media_type:
            html = await read_body(response, min(MAX_HTML, self.size_limit))
            text = html.decode(_charset(response), errors="replace")
            return answer(says=await asyncio.to_thread(read_page, text, response.url, tag), data=html)
        says = read_page("", response.url, tag)
        return answer(says=says, data=await self._save(response) if says.index else b"")

    async def _save(self, response: aiohttp.ClientResponse) -> Path:
        path = self.folder / f"page-{uuid4().hex}"
        try:
            await save_body(response, path, self.size_limit)
        except BaseException:
            await asyncio.to_thread(path.unlink, missing_ok=True)
            raise
        return path


def revision_of(headers: Mapping[str, str]) -> str:
    """What the site calls this state of a page: ETag and Last-Modified. Empty when it calls it nothing."""
    found = {name: headers[name] for name in ("ETag", "Last-Modified") if headers.get(name)}
    return json.dumps(found, sort_keys=True) if found else ""


def conditions(revision: str) -> dict[str, str]:
    """The headers that ask for a page only if it is in another state."""
    if not revision:
        return {}
    found = json.loads(revision)
    asked = {"If-None-Match": found.get("ETag"), "If-Modified-Since": found.get("Last-Modified")}
    return {name: value for name, value in asked.items() if value}


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds; None without a number, dates included: clocks differ, and our own pauses do."""
    value = headers.get("Retry-After", "").strip()
    return float(value) if value.isdecimal() and len(value) < 7 else None


def _pause(error: Exception) -> bool | float:
    """Whether to try again, and after how many seconds if the site has said so."""
    if isinstance(error, BusyError) and error.pause is not None:
        return error.pause if error.pause <= MAX_PAUSE else False
    return isinstance(error, UnavailableError)


def _modified(headers: Mapping[str, str]) -> datetime | None:
    with suppress(ValueError, TypeError, OverflowError):
        return parsedate_to_datetime(headers.get("Last-Modified", ""))
    return None


def _charset(response: aiohttp.ClientResponse) -> str:
    """For links alone, which are ASCII in every encoding that pages come in."""
    try:
        "".encode(response.charset or "utf-8")
    except (LookupError, ValueError):
        return "utf-8"
    return response.charset or "utf-8"

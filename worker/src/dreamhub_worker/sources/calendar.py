"""Calendars as a source: a calendar file at a URL, or the calendars of a CalDAV server. One document for each event."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from dreamhub.crd.ingest_source import CalendarSource
from dreamhub.errors import InvalidInputError, UnavailableError
from dreamhub_worker.fetch_guard import FetchGuard
from dreamhub_worker.sources.calendar_dav import CalDav
from dreamhub_worker.sources.calendar_split import MEDIA_TYPE, split_calendar
from dreamhub_worker.sources.credentials import build_authorization, build_tls
from dreamhub_worker.sources.source import Checkpoint, Complete, Event, Found, Source, SourceContext
from dreamhub_worker.sources.web_address import parse_start
from dreamhub_worker.sources.web_fetch import Fetcher, Reply, build_login, open_fetcher
from dreamhub_worker.sources.web_visit import conditions, revision_of


def calendar_source(config: Mapping[str, Any], context: SourceContext) -> Source:
    """The factory of the kind `calendar`."""
    parsed = CalendarSource.model_validate(config)
    server = _Server(parsed.url, context)
    return IcsFeed(server) if parsed.protocol == "ICS" else CalDavCalendars(server)


class _Server:
    def __init__(self, address: str, context: SourceContext) -> None:
        url = parse_start(address)
        if url is None:
            raise InvalidInputError(
                "the calendar's URL is no http or https URL, or has a password in it; correct spec.source.calendar.url "
                "and put credentials into a Secret",
                code="BadUrl",
            )
        self.url = url
        self.context = context
        self._login = build_login(build_authorization(context.secret), [url])
        self._tls = build_tls(context.secret)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Fetcher]:
        guard = FetchGuard(tuple(self.context.private_networks))
        async with open_fetcher(guard, self._tls, self._login) as fetcher:
            yield fetcher


@dataclass(frozen=True)
class CalDavCalendars:
    server: _Server

    async def read(self, checkpoint: Checkpoint | None) -> AsyncIterator[Event]:
        context = self.server.context
        async with self.server.open() as fetcher:
            reading = CalDav(fetcher, context, self.server.url, context.secret.get("username", ""))
            async for event in reading.read(checkpoint):
                yield event


@dataclass(frozen=True)
class IcsFeed:
    server: _Server

    async def read(self, checkpoint: Checkpoint | None) -> AsyncIterator[Event]:
        """Nothing is told when the server says that the file is unchanged."""
        revision = checkpoint.state.get("revision", "") if checkpoint is not None else ""
        async with self.server.open() as fetcher:
            reply = await fetcher.request("GET", self.server.url, self.server.context.size_limit, conditions(revision))
        if reply.status == 304:
            return
        _refuse(reply)
        events = await asyncio.to_thread(split_calendar, reply.body)
        while (event := await asyncio.to_thread(next, events, None)) is not None:
            yield Found(event.key, event.name, MEDIA_TYPE, event.data, event.revision)
        yield Complete({"revision": revision_of(reply.headers)})


def _refuse(reply: Reply) -> None:
    """A file that is missing is an error: a server that is being repaired must not delete every event."""
    status = reply.status
    if status == 200:
        return
    if status == 429 or status >= 500:
        raise UnavailableError(
            f"the calendar's server answers HTTP {status}; the next try may succeed", code="SourceUnavailable"
        )
    if status in {401, 403}:
        raise InvalidInputError(
            f"the calendar's server refuses the login (HTTP {status}); correct the source's Secret", code="LoginRefused"
        )
    raise InvalidInputError(
        f"there is no calendar at the source's URL (HTTP {status}); correct spec.source.calendar.url", code="NoCalendar"
    )

"""CalDAV calendars: what changed since the last reading, by sync tokens (RFC 6578), or else by the collection's tag.

A small client of our own: the library's HTTP stack opens its own connections, and each of ours has to pass the guard.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from yarl import URL

from dreamhub.errors import InvalidInputError, TooLargeError, UnavailableError
from dreamhub_worker.sources.calendar_split import MEDIA_TYPE, name_of
from dreamhub_worker.sources.calendar_xml import (
    PROPFIND_CALENDARS,
    PROPFIND_ETAGS,
    Depth,
    MultiStatus,
    Resource,
    build_multiget,
    build_sync,
    own_path,
    parse_multistatus,
    spelling,
)
from dreamhub_worker.sources.source import Begin, Checkpoint, Complete, Event, Found, Gone, Same, Skipped, SourceContext
from dreamhub_worker.sources.web_fetch import Fetcher, Reply

MAX_ANSWER = 32 * 2**20
"""Bytes of one answer, which is parsed in memory."""
BATCH = 50
"""Events that are fetched together."""
MAX_LISTED = 200_000
"""Entries of all lists of one reading together, which are held in memory; of their bytes, see below."""
MAX_LISTED_BYTES = 4 * MAX_ANSWER
_MAX_ROUNDS = 1_000
"""Of one list that the server gives in parts."""
_XML = {"Content-Type": "application/xml; charset=utf-8"}


@dataclass
class Change:
    """What is different in one calendar, and where its next reading starts."""

    mark: dict[str, str]
    standing: dict[str, str] = field(default_factory=dict)
    """ETags by path: of what is new or changed, or of all."""
    removed: list[str] = field(default_factory=list)


@dataclass
class Tally:
    """What one reading was told in lists."""

    entries: int = 0
    size: int = 0

    def add(self, entries: int, size: int) -> None:
        self.entries += entries
        self.size += size
        if self.entries > MAX_LISTED or self.size > MAX_LISTED_BYTES:
            raise TooLargeError(
                f"the calendars list more than the {MAX_LISTED} entries, or {MAX_LISTED_BYTES} bytes, that are "
                "accepted; read them one by one"
            )


@dataclass(frozen=True, slots=True)
class CalDav:
    """One reading of all calendars at an address."""

    fetcher: Fetcher
    context: SourceContext
    url: URL
    login: str
    """Whose calendars they are, as far as the Secret tells: another login starts afresh."""
    tally: Tally = field(default_factory=Tally)

    async def read(self, checkpoint: Checkpoint | None) -> AsyncIterator[Event]:
        calendars = await self._discover()
        marks = self._marks(checkpoint, calendars)
        changes = await self._changes(calendars, marks) if marks is not None else None
        everything = changes is None
        if changes is None:
            changes = {path: await self._all(calendar) for path, calendar in calendars.items()}
            yield Begin()
        for change in changes.values():
            for path in change.removed:
                yield Gone(path)
            async for event in self._tell(change.standing):
                yield event
        state = {"login": self.login, "calendars": {path: change.mark for path, change in changes.items()}}
        yield Complete(state) if everything else Checkpoint(state)

    def _marks(self, checkpoint: Checkpoint | None, calendars: Mapping[str, Resource]) -> dict[str, Any] | None:
        """Where the last reading stopped; None when it was of other calendars, and all has to be told."""
        state = checkpoint.state if checkpoint is not None else {}
        marks: dict[str, Any] = state.get("calendars", {})
        return marks if state.get("login") == self.login and set(marks) == set(calendars) else None

    async def _discover(self) -> dict[str, Resource]:
        """The calendars at or below the address, by path. Raises InvalidInputError `NoCalendar`."""
        [here, *_] = (await self._propfind(self.url, "0", PROPFIND_CALENDARS)).resources or (Resource("", None),)
        if here.is_calendar:
            return {here.href: here}
        home = here.links.get("calendar-home-set") or await self._home(here.links.get("current-user-principal"))
        found = await self._propfind(self._address(home) if home else self.url, "1", PROPFIND_CALENDARS)
        calendars = {resource.href: resource for resource in found.resources if resource.is_calendar}
        if not calendars:
            raise InvalidInputError(
                "there is no calendar at the source's URL; give the address of a calendar or of a user's calendars",
                code="NoCalendar",
            )
        return calendars

    async def _home(self, principal: str | None) -> str | None:
        if not principal:
            return None
        found = await self._propfind(self._address(principal), "0", PROPFIND_CALENDARS)
        return next((link for each in found.resources if (link := each.links.get("calendar-home-set"))), None)

    def _address(self, href: str) -> URL:
        path = own_path(href, self.url)
        if path is None:
            raise InvalidInputError(
                "the calendars lie on another server than the source's URL; give the address over there",
                code="NoCalendar",
            )
        return self.url.with_path(path, encoded=True)

    async def _changes(self, calendars: Mapping[str, Resource], marks: Mapping[str, Any]) -> dict[str, Change] | None:
        """Of each calendar since its mark; None when one of them cannot tell."""
        changes: dict[str, Change] = {}
        for path, calendar in calendars.items():
            change = await self._since(calendar, marks[path])
            if change is None:
                return None
            changes[path] = change
        return changes

    async def _since(self, calendar: Resource, mark: Mapping[str, str]) -> Change | None:
        if token := mark.get("token"):
            return await self._sync(calendar, token)
        tag = calendar.texts.get("getctag")
        return Change(dict(mark)) if tag and tag == mark.get("tag") else None

    async def _all(self, calendar: Resource) -> Change:
        change = await self._sync(calendar, "")
        if change is not None:
            return change
        listed = await self._propfind(self._address(calendar.href), "1", PROPFIND_ETAGS)
        tag = calendar.texts.get("getctag", "")
        return Change({"tag": tag} if tag else {}, _standing(listed.resources, calendar.href))

    async def _sync(self, calendar: Resource, token: str) -> Change | None:
        """By token, in as many parts as the server likes. None when it does not know the token, or tokens at all."""
        change = Change({})
        for _ in range(_MAX_ROUNDS):
            reply = await self._ask("REPORT", self._address(calendar.href), "0", build_sync(token))
            if reply.status != 207:
                _refuse(reply, passing=400)
                return None
            part = await self._list(reply)
            change.standing |= _standing(part.resources, calendar.href)
            gone = [each.href for each in part.resources if each.status == 404 and each.href != calendar.href]
            change.removed += gone
            for path in gone:
                change.standing.pop(path, None)
            if not part.sync_token:
                return None
            token = part.sync_token
            if not any(each.status == 507 for each in part.resources):
                change.mark = {"token": token}
                return change
        raise UnavailableError("the calendar server never comes to an end of its list", code="SourceUnavailable")

    async def _tell(self, standing: Mapping[str, str]) -> AsyncIterator[Event]:
        wanted: list[str] = []
        for path, etag in standing.items():
            if etag and await self.context.known(path) == etag:
                yield Same(path)
            else:
                wanted.append(path)
        for start in range(0, len(wanted), BATCH):
            async for event in self._fetch(wanted[start : start + BATCH]):
                yield event

    async def _fetch(self, paths: Sequence[str]) -> AsyncIterator[Event]:
        """Each event as an item. A batch that is too large is halved; what is gone meanwhile is told next time."""
        body = build_multiget(paths)
        limit = min(self.context.size_limit, MAX_ANSWER)
        try:
            reply = await self._ask("REPORT", self._address(_folder(paths[0])), "1", body, limit)
        except TooLargeError as error:
            if len(paths) == 1:
                yield Skipped(paths[0], error.code, error.message, name=paths[0])
                return
            for half in (paths[: len(paths) // 2], paths[len(paths) // 2 :]):
                async for event in self._fetch(half):
                    yield event
            return
        _refuse(reply)
        wanted = {spelling(path): path for path in paths}
        for resource in (await self._parse(reply)).resources:
            data = resource.texts.get("calendar-data", "").encode()
            if (data or resource.status == 404) and (path := wanted.pop(spelling(resource.href), None)) and data:
                etag = resource.texts.get("getetag", "")
                yield Found(path, await asyncio.to_thread(name_of, data), MEDIA_TYPE, data, etag)
        for path in wanted.values():
            cause = "the calendar server lists this event and does not give it"
            yield Skipped(path, "EventWithheld", cause, name=path)

    async def _propfind(self, url: URL, depth: Depth, body: bytes) -> MultiStatus:
        reply = await self._ask("PROPFIND", url, depth, body)
        _refuse(reply)
        return await self._list(reply)

    async def _list(self, reply: Reply) -> MultiStatus:
        found = await self._parse(reply)
        self.tally.add(len(found.resources), len(reply.body))
        return found

    async def _parse(self, reply: Reply) -> MultiStatus:
        return await asyncio.to_thread(parse_multistatus, reply.body, self.url)

    async def _ask(self, method: str, url: URL, depth: Depth, body: bytes, limit: int = MAX_ANSWER) -> Reply:
        return await self.fetcher.request(method, url, limit, {**_XML, "Depth": depth}, body)


def _standing(resources: Sequence[Resource], calendar: str) -> dict[str, str]:
    """ETags of the events: neither the calendar itself, nor folders in it, nor what is gone."""
    return {
        each.href: each.texts.get("getetag", "")
        for each in resources
        if each.href.rstrip("/") != calendar.rstrip("/") and each.status is None and "collection" not in each.kinds
    }


def _folder(path: str) -> str:
    return path.rpartition("/")[0] + "/"


def _refuse(reply: Reply, passing: int = 600) -> None:
    """Raises for an answer that is no list; statuses from `passing` to 499 are for the caller to judge."""
    status = reply.status
    if status == 207:
        return
    if status == 401 or (status == 403 and passing > 403):
        raise InvalidInputError(
            f"the calendar server refuses the login (HTTP {status}); correct the source's Secret", code="LoginRefused"
        )
    if status == 429 or (status >= 500 and status != 501):
        raise UnavailableError(
            f"the calendar server answers HTTP {status}; the next try may succeed", code="SourceUnavailable"
        )
    if status < passing and status != 501:
        raise InvalidInputError(
            f"the server does not speak CalDAV at the source's URL (HTTP {status}); correct the URL, or use "
            "protocol: ICS",
            code="NoCalendar",
        )

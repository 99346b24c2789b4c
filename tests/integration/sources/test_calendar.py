"""Calendars of a real Radicale and calendar files of a real web server: what is told, fetched, gone."""

import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer

from dreamhub.errors import InvalidInputError, UnavailableError
from dreamhub_worker.sources.calendar import calendar_source
from dreamhub_worker.sources.calendar_dav import BATCH
from tests.integration.servers import temporary_folder
from tests.integration.sources.certificates import make_certificate
from tests.integration.sources.conftest import LOOPBACK
from tests.integration.sources.library import Library
from tests.integration.sources.radicale import Radicale, event, run_radicale
from tests.integration.sources.site import Site

USERS = tuple(f"user{number}" for number in range(10))


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with temporary_folder() as folder:
        yield folder


@pytest.fixture(scope="module")
def radicale(folder: Path) -> Iterator[Radicale]:
    with run_radicale(folder, make_certificate(folder), USERS) as server:
        yield server


@pytest.fixture(scope="module")
def fresh_users() -> Iterator[str]:
    return iter(USERS)


@pytest.fixture
def user(fresh_users: Iterator[str]) -> str:
    return next(fresh_users)


def calendars(radicale: Radicale, user: str, path: str, folder: Path) -> Library:
    config = {"url": radicale.url(path), "protocol": "CalDAV"}
    return Library(calendar_source, config, folder, secret=radicale.secret(user), networks=LOOPBACK)


async def test_a_calendar_is_read_event_by_event(radicale: Radicale, user: str, tmp_path: Path) -> None:
    path = radicale.make_calendar(user, "work")
    radicale.put(user, f"{path}one.ics", event("1", "Über\\, alles"))
    radicale.put(user, f"{path}two.ics", event("2", "Second"))
    library = calendars(radicale, user, path, tmp_path)
    reading = await library.read()
    found = reading.found[f"{path}one.ics"]
    assert (found.name, found.media_type) == ("Über, alles", "text/calendar")
    assert "SUMMARY:Über\\, alles".encode() in library.items[f"{path}one.ics"]
    assert sorted(reading.opened) == [f"{path}one.ics", f"{path}two.ics"]


async def test_a_second_reading_is_told_changes_only(radicale: Radicale, user: str, tmp_path: Path) -> None:
    path = radicale.make_calendar(user, "work")
    for name in "abc":
        radicale.put(user, f"{path}{name}.ics", event(name, name))
    library = calendars(radicale, user, path, tmp_path)
    await library.read()
    nothing = await library.read()
    assert (nothing.found, nothing.same, nothing.gone, nothing.complete) == ({}, [], [], False)
    radicale.put(user, f"{path}b.ics", event("b", "changed"))
    radicale.put(user, f"{path}d.ics", event("d", "new"))
    radicale.delete(user, f"{path}a.ics")
    reading = await library.read()
    assert sorted(reading.opened) == [f"{path}b.ics", f"{path}d.ics"]
    assert (reading.gone, reading.same, reading.complete) == ([f"{path}a.ics"], [], False)
    assert b"changed" in library.items[f"{path}b.ics"]


async def test_a_forgotten_token_costs_a_list_and_no_event(
    radicale: Radicale, folder: Path, user: str, tmp_path: Path
) -> None:
    path = radicale.make_calendar(user, "work")
    for name in "abc":
        radicale.put(user, f"{path}{name}.ics", event(name, name))
    library = calendars(radicale, user, path, tmp_path)
    await library.read()
    radicale.put(user, f"{path}d.ics", event("d", "told as a change"))
    await library.read()
    radicale.delete(user, f"{path}a.ics")
    radicale.delete(user, f"{path}d.ics")
    shutil.rmtree(folder / "collections/collection-root" / path.strip("/") / ".Radicale.cache/sync-token")
    reading = await library.read()
    assert sorted(reading.same) == [f"{path}b.ics", f"{path}c.ics"]
    assert (reading.opened, sorted(reading.gone), reading.complete) == ([], [f"{path}a.ics", f"{path}d.ics"], True)


@pytest.mark.parametrize("address", ["/", "/{user}/"])
async def test_all_calendars_of_a_user_are_found(radicale: Radicale, user: str, tmp_path: Path, address: str) -> None:
    work, home = radicale.make_calendar(user, "work"), radicale.make_calendar(user, "home")
    radicale.put(user, f"{work}a.ics", event("a", "a"))
    radicale.put(user, f"{home}a.ics", event("a", "b"))
    library = calendars(radicale, user, address.format(user=user), tmp_path)
    assert sorted((await library.read()).opened) == [f"{home}a.ics", f"{work}a.ics"]
    radicale.delete(user, home)
    assert (await library.read()).gone == [f"{home}a.ics"]


async def test_many_events_come_in_batches(radicale: Radicale, user: str, tmp_path: Path) -> None:
    path = radicale.make_calendar(user, "work")
    for number in range(BATCH + 5):
        radicale.put(user, f"{path}{number}.ics", event(f"{number}", "x" * 1000))
    library = calendars(radicale, user, path, tmp_path)
    library.size_limit = 20_000
    assert len((await library.read()).opened) == BATCH + 5


async def test_an_event_too_large_is_left_out(radicale: Radicale, user: str, tmp_path: Path) -> None:
    path = radicale.make_calendar(user, "work")
    radicale.put(user, f"{path}small.ics", event("small", "x"))
    radicale.put(user, f"{path}large.ics", event("large", "x" * 50_000))
    library = calendars(radicale, user, path, tmp_path)
    library.size_limit = 20_000
    reading = await library.read()
    assert (reading.opened, reading.skipped) == ([f"{path}small.ics"], {f"{path}large.ics": "TooLarge"})


async def test_what_a_person_must_mend_is_said(radicale: Radicale, user: str, tmp_path: Path) -> None:
    path = radicale.make_calendar(user, "work")
    codes = []
    for change in (
        {"secret": {**radicale.secret(user), "password": "wrong"}},
        {"secret": {"username": user, "password": "x"}},
        {"networks": ()},
        {"config": {"url": radicale.url(f"{path}nothing/"), "protocol": "CalDAV"}},
    ):
        library = calendars(radicale, user, path, tmp_path)
        for name, value in change.items():
            setattr(library, name, value)
        with pytest.raises(InvalidInputError) as refused:
            await library.read()
        codes.append(refused.value.code)
    assert codes == ["LoginRefused", "BadCertificate", "AddressRefused", "NoCalendar"]


def feed(site: Site, folder: Path) -> Library:
    return Library(calendar_source, {"url": site.address("/team.ics")}, folder, networks=LOOPBACK)


def serve(*events: bytes) -> bytes:
    inner = b"".join(data.partition(b"PRODID:-//test//EN\r\n")[2].partition(b"END:VCALENDAR")[0] for data in events)
    return b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\n" + inner + b"END:VCALENDAR\r\n"


async def test_a_calendar_file_is_one_item_an_event(site: Site, tmp_path: Path) -> None:
    site.pages["/team.ics"] = serve(event("1", "One"), event("2", "Two"))
    library = feed(site, tmp_path)
    first = await library.read()
    assert {key: found.name for key, found in first.found.items()} == {"uid:1": "One", "uid:2": "Two"}
    unchanged = await library.read()
    assert (unchanged.found, site.asked["/team.ics"]) == ({}, 2)
    later = "20260202T000000Z"
    site.pages["/team.ics"] = serve(event("1", "One", later), event("3", "Three", later))
    second = await library.read()
    assert (second.opened, second.gone) == (["uid:3"], ["uid:2"])


async def test_a_calendar_file_that_is_none(site: Site, tmp_path: Path) -> None:
    library = feed(site, tmp_path)

    def answer(status: int) -> Any:
        return lambda _: web.Response(status=status, text="x")

    codes = []
    for page in (answer(404), answer(403), "<html>Sign in</html>", b"", answer(503)):
        site.pages["/team.ics"] = page
        with pytest.raises((InvalidInputError, UnavailableError)) as refused:
            await library.read()
        codes.append(refused.value.code)
    assert codes == ["NoCalendar", "LoginRefused", "NotACalendar", "NotACalendar", "SourceUnavailable"]


def _multistatus(*responses: str, token: str = "") -> web.Response:
    end = f"<D:sync-token>{token}</D:sync-token>" if token else ""
    names = 'xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav" xmlns:S="http://calendarserver.org/ns/"'
    text = f'<?xml version="1.0"?><D:multistatus {names}>{"".join(responses)}{end}</D:multistatus>'
    return web.Response(status=207, text=text, content_type="application/xml")


def _entry(href: str, properties: str = "", status: int = 200) -> str:
    if status != 200:
        return f"<D:response><D:href>{href}</D:href><D:status>HTTP/1.1 {status} x</D:status></D:response>"
    prop = f"<D:propstat><D:prop>{properties}</D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat>"
    return f"<D:response><D:href>{href}</D:href>{prop}</D:response>"


class OldServer:
    """A calendar server without sync tokens, that gives its lists in parts if it has them: as some in the field."""

    def __init__(self) -> None:
        self.events = {"/cal/a.ics": "1", "/cal/b.ics": "1"}
        self.tag = "t1"
        self.parts = False
        self.lists = 0

    async def answer(self, request: web.Request) -> web.Response:
        body = await request.text()
        if request.method == "PROPFIND" and request.headers["Depth"] == "0":
            kinds = "<D:resourcetype><D:collection/><C:calendar/></D:resourcetype>"
            return _multistatus(_entry("/cal/", f"{kinds}<S:getctag>{self.tag}</S:getctag>"))
        if request.method == "PROPFIND":
            self.lists += 1
            folder = _entry("/cal/", "<D:resourcetype><D:collection/></D:resourcetype>")
            return _multistatus(folder, *self._listed(), _entry("http://elsewhere.example/cal/x.ics"))
        if "sync-collection" in body:
            return self._sync(body)
        wanted = [path for path in self.events if f"<D:href>{path}</D:href>" in body]
        return _multistatus(*(_entry(path, self._data(path)) for path in wanted))

    def _listed(self) -> list[str]:
        return [_entry(path, f"<D:getetag>{etag}</D:getetag>") for path, etag in self.events.items()]

    def _sync(self, body: str) -> web.Response:
        if not self.parts:
            return web.Response(status=501)
        if "part-1" in body:
            return _multistatus(*self._listed()[1:], token="end")
        return _multistatus(self._listed()[0], _entry("/cal/", status=507), token="part-1")

    def _data(self, path: str) -> str:
        data = event(path, f"{path} in state {self.events[path]}").decode()
        return f"<D:getetag>{self.events[path]}</D:getetag><C:calendar-data>{data}</C:calendar-data>"


@pytest_asyncio.fixture
async def old_server() -> AsyncIterator[tuple[OldServer, str]]:
    server, app = OldServer(), web.Application()
    app.router.add_route("*", "/cal/", server.answer)
    async with TestServer(app, host="127.0.0.1") as running:
        yield server, str(running.make_url("/cal/"))


async def test_a_server_without_tokens_is_listed_when_its_tag_changes(
    old_server: tuple[OldServer, str], tmp_path: Path
) -> None:
    server, url = old_server
    library = Library(calendar_source, {"url": url, "protocol": "CalDAV"}, tmp_path, networks=LOOPBACK)
    assert sorted((await library.read()).opened) == ["/cal/a.ics", "/cal/b.ics"]
    await library.read()
    assert server.lists == 1
    server.tag, server.events = "t2", {"/cal/b.ics": "2", "/cal/c.ics": "1"}
    reading = await library.read()
    assert (sorted(reading.opened), reading.gone) == (["/cal/b.ics", "/cal/c.ics"], ["/cal/a.ics"])


async def test_a_list_in_parts_is_read_to_its_end(old_server: tuple[OldServer, str], tmp_path: Path) -> None:
    server, url = old_server
    server.parts = True
    library = Library(calendar_source, {"url": url, "protocol": "CalDAV"}, tmp_path, networks=LOOPBACK)
    assert sorted((await library.read()).opened) == ["/cal/a.ics", "/cal/b.ics"]


async def test_an_answer_with_entities_is_refused(site: Site, tmp_path: Path) -> None:
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><D:multistatus xmlns:D="DAV:">&b;</D:multistatus>'
    site.pages["/cal/"] = lambda _: web.Response(status=207, text=bomb, content_type="application/xml")
    config = {"url": site.address("/cal/"), "protocol": "CalDAV"}
    with pytest.raises(InvalidInputError) as refused:
        await Library(calendar_source, config, tmp_path, networks=LOOPBACK).read()
    assert refused.value.code == "UnsafeXML"

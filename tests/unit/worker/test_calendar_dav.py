"""A calendar server that never stops telling."""

import threading
from typing import cast
from unittest.mock import Mock

import pytest
from yarl import URL

from dreamhub.errors import TooLargeError
from dreamhub_worker.sources import calendar_dav
from dreamhub_worker.sources.calendar_dav import CalDav, Tally
from dreamhub_worker.sources.calendar_xml import MultiStatus, parse_multistatus
from dreamhub_worker.sources.source import Event, Found, Skipped, SourceContext
from dreamhub_worker.sources.web_fetch import Fetcher, Reply

ASKED = URL("https://dav.example/cal/")
HERE = """<response><href>/cal/</href><propstat><prop><resourcetype><C:calendar xmlns:C="c"/></resourcetype></prop>
  <status>HTTP/1.1 200 OK</status></propstat></response>"""


class Endless:
    """Gives ten entries and a new token each time, and says that there are more."""

    def __init__(self) -> None:
        self.asked = 0

    async def request(self, method: str, url: URL, *_: object) -> Reply:
        self.asked += 1
        told = HERE
        if method == "REPORT":
            told = "".join(f"<response><href>/cal/{self.asked}-{n}.ics</href></response>" for n in range(10))
            told += "<response><href>/cal/</href><status>HTTP/1.1 507 Full</status></response>"
            told += f"<sync-token>{self.asked}</sync-token>"
        return Reply(url, 207, {}, f'<multistatus xmlns="DAV:">{told}</multistatus>'.encode())


async def read(server: Endless) -> None:
    reading = CalDav(cast("Fetcher", server), Mock(SourceContext), ASKED, "")
    async for _ in reading.read(None):
        pass


@pytest.mark.parametrize(("limit", "value"), [("MAX_LISTED", 50), ("MAX_LISTED_BYTES", 3_000)])
async def test_a_list_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch, limit: str, value: int) -> None:
    monkeypatch.setattr(calendar_dav, limit, value)
    server = Endless()
    with pytest.raises(TooLargeError, match="the calendars list more"):
        await read(server)
    assert 2 < server.asked <= 6


async def test_lists_are_parsed_beside_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calendar_dav, "MAX_LISTED", 50)
    threads: set[int] = set()

    def parse(data: bytes, url: URL) -> MultiStatus:
        threads.add(threading.get_ident())
        return parse_multistatus(data, url)

    monkeypatch.setattr(calendar_dav, "parse_multistatus", parse)
    with pytest.raises(TooLargeError):
        await read(Endless())
    assert threads
    assert threading.get_ident() not in threads


def test_a_tally_takes_what_is_within_its_limits() -> None:
    tally = Tally()
    tally.add(calendar_dav.MAX_LISTED, calendar_dav.MAX_LISTED_BYTES)
    with pytest.raises(TooLargeError):
        tally.add(1, 0)


class Respelling:
    """Lists addresses in one spelling, and answers for them in another."""

    async def request(self, method: str, url: URL, _limit: int, _headers: object, body: bytes) -> Reply:
        told = HERE
        if b"calendar-multiget" in body:
            event = "BEGIN:VCALENDAR\nBEGIN:VEVENT\nSUMMARY:Tea\nEND:VEVENT\nEND:VCALENDAR"
            told = f"""<response><href>/cal/a@b.ics</href><propstat><prop><getetag>1</getetag>
              <C:calendar-data xmlns:C="c">{event}</C:calendar-data></prop></propstat></response>
              <response><href>/cal/gone.ics</href><status>HTTP/1.1 404 Not Found</status></response>"""
        elif method == "REPORT":
            names = ("a%40b", "gone", "withheld")
            told = "".join(
                f"<response><href>/cal/{name}.ics</href><propstat><prop><getetag>1</getetag></prop></propstat></response>"
                for name in names
            )
            told += "<sync-token>1</sync-token>"
        return Reply(url, 207, {}, f'<multistatus xmlns="DAV:">{told}</multistatus>'.encode())


async def test_nothing_is_lost_by_its_spelling() -> None:
    async def known(_: str) -> str | None:
        return None

    context = Mock(SourceContext, known=known, size_limit=2**20)
    reading = CalDav(cast("Fetcher", Respelling()), context, ASKED, "")
    events: list[Event] = [event async for event in reading.read(None)]
    assert [(event.key, event.name) for event in events if isinstance(event, Found)] == [("/cal/a%40b.ics", "Tea")]
    assert [(event.key, event.reason) for event in events if isinstance(event, Skipped)] == [
        ("/cal/withheld.ics", "EventWithheld")
    ]

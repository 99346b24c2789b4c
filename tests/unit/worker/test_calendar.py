"""Calendar files cut into events, and the answers of CalDAV servers."""

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from dreamhub.errors import InvalidInputError, TooLargeError
from dreamhub_worker.sources import calendar_split
from dreamhub_worker.sources.calendar_split import MAX_AROUND, name_of, split_calendar
from dreamhub_worker.sources.calendar_xml import build_multiget, build_sync, own_path, parse_multistatus

FEED = b"""BEGIN:VCALENDAR\r
VERSION:2.0\r
PRODID:-//x//EN\r
BEGIN:VTIMEZONE\r
TZID:Europe/Berlin\r
BEGIN:STANDARD\r
DTSTART:19701025T030000\r
TZOFFSETFROM:+0200\r
TZOFFSETTO:+0100\r
END:STANDARD\r
END:VTIMEZONE\r
BEGIN:VTIMEZONE\r
TZID:Unused\r
END:VTIMEZONE\r
BEGIN:VEVENT\r
UID:one\r
DTSTAMP:20260101T000000Z\r
DTSTART;TZID=Europe/Berlin:20260701T100000\r
RRULE:FREQ=WEEKLY\r
SUMMARY;LANGUAGE="a:b":A long title that is\r
  folded\\, and \\n escaped\r
BEGIN:VALARM\r
SUMMARY:not this\r
END:VALARM\r
END:VEVENT\r
BEGIN:VEVENT\r
UID:two\r
SUMMARY:Two\r
END:VEVENT\r
BEGIN:VEVENT\r
UID:one\r
RECURRENCE-ID:20260708T080000Z\r
SUMMARY:Moved\r
END:VEVENT\r
BEGIN:VEVENT\r
SUMMARY:No UID\r
END:VEVENT\r
BEGIN:VFREEBUSY\r
UID:free\r
END:VFREEBUSY\r
BEGIN:VEVENT\r
UID:cut off\r
"""


def test_a_calendar_is_cut_by_uid() -> None:
    one, two, three = split_calendar(FEED)
    assert (one.key, one.name) == ("uid:one", "A long title that is folded, and escaped")
    assert one.data.count(b"BEGIN:VEVENT") == 2
    assert b"TZID:Europe/Berlin" in one.data
    assert b"Unused" not in one.data + two.data
    assert b"VTIMEZONE" not in two.data
    assert two.data == (
        b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//x//EN\r\n"
        b"BEGIN:VEVENT\r\nUID:two\r\nSUMMARY:Two\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
    )
    assert three.key.startswith("sha256:")


def test_each_event_is_a_calendar_again() -> None:
    for event in split_calendar(FEED):
        [again] = split_calendar(event.data)
        assert (again.key, again.name, again.revision) == (event.key, event.name, event.revision)


def test_a_revision_is_not_the_time_of_the_export() -> None:
    def revision(data: bytes) -> str:
        return next(split_calendar(data)).revision

    assert revision(FEED) == revision(FEED.replace(b"DTSTAMP:20260101", b"DTSTAMP:20270101"))
    assert revision(FEED) != revision(FEED.replace(b"FREQ=WEEKLY", b"FREQ=DAILY"))
    assert revision(FEED) != revision(FEED.replace(b"TZOFFSETTO:+0100", b"TZOFFSETTO:+0200"))


def test_unix_line_ends_and_a_byte_order_mark() -> None:
    plain = b"\xef\xbb\xbf" + FEED.replace(b"\r\n", b"\n")
    assert [event.key for event in split_calendar(plain)] == [event.key for event in split_calendar(FEED)]


def test_several_calendars_in_one_file() -> None:
    second = b"BEGIN:VCALENDAR\nVERSION:2.0\nBEGIN:VEVENT\nUID:late\nEND:VEVENT\nEND:VCALENDAR\n"
    assert [event.key for event in split_calendar(second + second.replace(b"late", b"later"))] == [
        "uid:late",
        "uid:later",
    ]


@pytest.mark.parametrize("data", [b"", b"\n\n", b"<html>", b"BEGIN:VCARD\nEND:VCARD\n", b"PK\x03\x04"])
def test_what_is_no_calendar_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidInputError) as refused:
        split_calendar(data)
    assert refused.value.code == "NotACalendar"


@given(st.lists(st.sampled_from(FEED.splitlines()) | st.binary(max_size=20), max_size=40))
def test_no_order_of_lines_is_too_odd(lines: list[bytes]) -> None:
    for event in split_calendar(b"BEGIN:VCALENDAR\nVERSION:2.0\n" + b"\n".join(lines)):
        assert event.data.startswith(b"BEGIN:VCALENDAR\r\n")
        assert event.name


def test_the_name_of_an_event() -> None:
    assert name_of(list(split_calendar(FEED))[1].data) == "Two"
    assert name_of(b"BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:x\nEND:VEVENT\n") == "(no title)"


def peak(feed: bytes) -> int:
    """Bytes that were held at once while all events were told."""
    tracemalloc.start()
    try:
        for _ in split_calendar(feed):
            pass
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def zone(size: int, name: bytes = b"Z") -> bytes:
    return b"BEGIN:VTIMEZONE\nTZID:" + name + b"\nX:" + b"x" * size + b"\nEND:VTIMEZONE\n"


def zoned_events(count: int) -> bytes:
    return b"".join(b"BEGIN:VEVENT\nUID:%d\nDTSTART;TZID=Z:1\nEND:VEVENT\n" % number for number in range(count))


@pytest.mark.parametrize(
    "feed",
    [
        b"BEGIN:VCALENDAR\n" + zone(100_000) + zoned_events(300),
        b"BEGIN:VCALENDAR\n" + b"ab\n" * 150_000 + zoned_events(2),
        b"BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:a\n" + b"ab\n" * 150_000 + b"END:VEVENT\n",
        b"BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:a\n" + b"\n ab" * 150_000 + b"\nEND:VEVENT\n",
    ],
    ids=["zones", "lines of the calendar", "lines of an event", "folds"],
)
def test_no_feed_takes_much_more_memory_than_it_is_large(feed: bytes) -> None:
    assert peak(feed) < 5 * 2**20


def test_what_is_copied_into_an_event_has_a_size() -> None:
    zones = zone(MAX_AROUND // 2, b"One") + zone(MAX_AROUND // 2, b"Two") + zone(10, b"Three")
    head = b"X-HEAD:" + b"x" * MAX_AROUND + b"\nVERSION:2.0\n"
    event = b"BEGIN:VEVENT\nUID:a\nA;TZID=One:1\nB;TZID=Two:1\nC;TZID=Three:1\nEND:VEVENT\n"
    [told] = split_calendar(b"BEGIN:VCALENDAR\n" + head + zones + event)
    assert [name for name in (b"VERSION", b"X-HEAD", b":One\r", b":Two\r", b":Three\r") if name in told.data] == [
        b"VERSION",
        b":One\r",
        b":Three\r",
    ]
    assert len(told.data) < MAX_AROUND


def test_a_feed_has_a_number_of_events(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calendar_split, "MAX_COMPONENTS", 3)
    assert len(list(split_calendar(b"BEGIN:VCALENDAR\n" + zoned_events(3)))) == 3
    with pytest.raises(TooLargeError, match="more than the 3 events"):
        split_calendar(b"BEGIN:VCALENDAR\n" + zoned_events(4))


def test_all_copies_together_have_a_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calendar_split, "MAX_COPIED", 2_500)
    told = split_calendar(b"BEGIN:VCALENDAR\n" + zone(1000) + zoned_events(3))
    assert [next(told).key, next(told).key] == ["uid:0", "uid:1"]
    with pytest.raises(TooLargeError, match="time zones"):
        next(told)


URL_ASKED = URL("https://dav.example/cal/work/")


@pytest.mark.parametrize(
    ("href", "path"),
    [
        ("/cal/a%20b.ics", "/cal/a%20b.ics"),
        ("https://dav.example/cal/x.ics", "/cal/x.ics"),
        ("https://dav.example:443/cal/x.ics", "/cal/x.ics"),
        ("x.ics", "/cal/work/x.ics"),
        ("https://evil.example/cal/x.ics", None),
        ("http://dav.example:5232/cal/x.ics", "/cal/x.ics"),
        ("//evil.example/x.ics", None),
        ("", None),
    ],
)
def test_addresses_stay_on_the_server(href: str, path: str | None) -> None:
    assert own_path(href, URL_ASKED) == path


def test_an_answer_of_many_parts() -> None:
    answer = b"""<?xml version="1.0"?><multistatus xmlns="DAV:">
      <response><href>/cal/work/a.ics</href>
        <propstat><prop><getetag>"1"</getetag></prop><status>HTTP/1.1 200 OK</status></propstat>
        <propstat><prop><getctag>x</getctag></prop><status>HTTP/1.1 404 Not Found</status></propstat></response>
      <response><href>/cal/work/b.ics</href><status>HTTP/1.1 404 Not Found</status></response>
      <response><href>https://evil.example/c.ics</href><status>HTTP/1.1 200 OK</status></response>
      <sync-token> token </sync-token></multistatus>"""
    found = parse_multistatus(answer, URL_ASKED)
    assert found.sync_token == "token"
    assert [(each.href, each.status, dict(each.texts)) for each in found.resources] == [
        ("/cal/work/a.ics", None, {"getetag": '"1"'}),
        ("/cal/work/b.ics", 404, {}),
    ]


def test_what_is_asked_is_well_formed() -> None:
    assert b"<D:href>/a&amp;b&lt;.ics</D:href>" in build_multiget(["/a&b<.ics"])
    assert b"<D:sync-token>a&amp;b</D:sync-token>" in build_sync("a&b")

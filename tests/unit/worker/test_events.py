"""Calendars: an entry is a section that says when, where and who."""

import pytest

from dreamhub.errors import InvalidInputError
from dreamhub_worker.extract.events import extract_calendar
from tests.unit.worker.office import outline


def calendar(*entries: str, properties: str = "") -> bytes:
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//Acme//EN", properties, *entries, "END:VCALENDAR"]
    return "\n".join(line for line in lines if line).replace("\n", "\r\n").encode()


def event(*lines: str, kind: str = "VEVENT") -> str:
    return "\n".join([f"BEGIN:{kind}", "UID:1@acme", "DTSTAMP:20260101T000000Z", *lines, f"END:{kind}"])


def test_an_event_says_everything_about_itself() -> None:
    data = calendar(
        event(
            "SUMMARY:Plán výroby",
            "DTSTART;TZID=Europe/Prague:20260105T100000",
            "DTEND;TZID=Europe/Prague:20260105T113000",
            "RRULE:FREQ=WEEKLY;BYDAY=MO",
            "LOCATION:Room 1\\, second floor",
            "ORGANIZER;CN=Eva Nová:mailto:eva@acme.cz",
            "ATTENDEE;CN=Jan:MAILTO:jan@acme.cz",
            "ATTENDEE:mailto:petr@acme.cz",
            "CATEGORIES:work,plan",
            "DESCRIPTION:First line\\nsecond line",
            "BEGIN:VALARM\nACTION:DISPLAY\nTRIGGER:-PT15M\nDESCRIPTION:soon\nEND:VALARM",
        ),
        properties="X-WR-CALNAME:Production",
    )
    extracted = extract_calendar(data)
    assert extracted.title == "Production"
    [(path, text)] = outline(extracted)
    assert path == ("Plán výroby",)
    assert text.splitlines() == [
        "When: 2026-01-05 10:00 Europe/Prague to 2026-01-05 11:30 Europe/Prague",
        "Repeats: FREQ=WEEKLY;BYDAY=MO",
        "Where: Room 1, second floor",
        "Categories: work, plan",
        "Organizer: Eva Nová <eva@acme.cz>",
        "Attendees: Jan <jan@acme.cz>, petr@acme.cz",
        "",
        "First line",
        "second line",
    ]


@pytest.mark.parametrize(
    ("lines", "shown"),
    [
        (["DTSTART;VALUE=DATE:20260501", "DTEND;VALUE=DATE:20260502"], "When: 2026-05-01"),
        (["DTSTART;VALUE=DATE:20260501", "DTEND;VALUE=DATE:20260504"], "When: 2026-05-01 to 2026-05-03"),
        (["DTSTART:20260501T090000Z", "DURATION:PT45M"], "When: 2026-05-01 09:00 UTC to 2026-05-01 09:45 UTC"),
        (["DTSTART:20260501T090000"], "When: 2026-05-01 09:00"),
        (["DTSTART:nonsense", "LOCATION:Brno"], "Where: Brno"),
        (["DTSTART;TZID=Nowhere/Never:20260501T090000"], "When: 2026-05-01 09:00"),
        (["DTSTART:20260501T090000Z", "DURATION:P99999999D"], "When: 2026-05-01 09:00 UTC"),
        (["DTSTART;VALUE=DATE:20260501", "DURATION:PT5H"], "When: 2026-05-01"),
        (["DTSTART;VALUE=DATE:00010101", "DTEND;VALUE=DATE:00010101"], "When: 0001-01-01"),
        (["DTSTART;VALUE=TIME:100000", "LOCATION:Brno"], "Where: Brno"),
    ],
)
def test_when_it_is(lines: list[str], shown: str) -> None:
    [(path, text)] = outline(extract_calendar(calendar(event("SUMMARY:Day", *lines))))
    assert (path, text) == (("Day",), shown)


def test_tasks_notes_and_entries_without_a_summary() -> None:
    data = calendar(
        event("SUMMARY:Report", "DUE:20260601T120000Z", "STATUS:NEEDS-ACTION", kind="VTODO"),
        event("DESCRIPTION:<p>In <b>HTML</b></p>", kind="VJOURNAL"),
    )
    assert outline(extract_calendar(data)) == [
        (("Report",), "Due: 2026-06-01 12:00 UTC\nStatus: NEEDS-ACTION"),
        (("Note",), "In **HTML**"),
    ]


def test_a_rule_that_would_never_end_is_only_shown() -> None:
    data = calendar(event("SUMMARY:Tick", "DTSTART:20260501T090000Z", "RRULE:FREQ=SECONDLY;COUNT=2000000000"))
    assert "COUNT=2000000000" in extract_calendar(data).text


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (calendar(), "NoText"),
        (b"BEGIN:VCALENDAR\r\nno property\r\nEND:VCALENDAR\r\n", "BadCalendar"),
        (calendar(event("DTSTART;TZID=Europe:20260105T100000")), "BadCalendar"),
    ],
)
def test_why_a_calendar_is_refused(data: bytes, code: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        extract_calendar(data)
    assert caught.value.code == code

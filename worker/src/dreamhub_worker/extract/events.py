"""Calendars: an entry is a section under its summary: when, where, who, and what it is about."""

from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from icalendar import Calendar, Component

from dreamhub.errors import InvalidInputError, TooLargeError
from dreamhub_worker.extract.draft import Draft
from dreamhub_worker.extract.extracted import Extracted
from dreamhub_worker.extract.html import extract_html
from dreamhub_worker.extract.text import clean, decode

MAX_ENTRIES = 50_000
_KINDS = {"VEVENT": "Event", "VTODO": "Task", "VJOURNAL": "Note"}
_BROKEN = (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError, OSError)
"""What icalendar lets out when it meets what breaks the rules, or a time zone whose name is a folder's."""


def extract_calendar(data: bytes) -> Extracted:
    """Raises InvalidInputError `BadCalendar` or `NoText` (a calendar without entries), TooLargeError."""
    text = clean(decode(data))
    try:
        calendars = Calendar.from_ical(text, multiple=True)
    except _BROKEN as error:
        raise InvalidInputError("the calendar is not valid iCalendar; export it again", code="BadCalendar") from error
    entries = [entry for calendar in calendars for entry in calendar.subcomponents if entry.name in _KINDS]
    if len(entries) > MAX_ENTRIES:
        raise TooLargeError(f"the calendar has {len(entries)} entries; at most {MAX_ENTRIES} are accepted: split it")
    draft = Draft()
    for entry in entries:
        draft.cut()
        draft.heading(1, _value(entry, "SUMMARY") or _KINDS[entry.name or ""])
        draft.block("\n".join(_lines(entry)))
        draft.block(_description(entry))
    name = next(filter(None, (_value(calendar, "X-WR-CALNAME") for calendar in calendars)), None)
    return draft.finish(name, titled=False)


def _lines(entry: Component) -> Iterator[str]:
    when = _when(entry)
    if when:
        yield f"When: {when}"
    for label, name in (("Due", "DUE"), ("Completed", "COMPLETED")):
        moment = _moment(entry, name)
        if moment is not None:
            yield f"{label}: {_show(moment)}"
    if (rule := entry.get("RRULE")) is not None:
        yield f"Repeats: {'; '.join(_rule(item) for item in _each(rule))}"
    for label, name in (("Where", "LOCATION"), ("Status", "STATUS"), ("Categories", "CATEGORIES"), ("Link", "URL")):
        if value := _value(entry, name):
            yield f"{label}: {value}"
    for label, name in (("Organizer", "ORGANIZER"), ("Attendees", "ATTENDEE")):
        people = [person for person in map(_person, _each(entry.get(name))) if person]
        if people:
            yield f"{label}: {', '.join(people)}"


def _when(entry: Component) -> str:
    start = _moment(entry, "DTSTART")
    if start is None:
        return ""
    end = _end(entry, start)
    return _show(start) if end is None or end == start or _day(end) < _day(start) else f"{_show(start)} to {_show(end)}"


def _end(entry: Component, start: date) -> date | None:
    """None as well for a length that leads out of the calendar."""
    end = _moment(entry, "DTEND")
    try:
        if end is None and isinstance(length := _decoded(entry, "DURATION"), timedelta):
            end = start + length
        if end is not None and not isinstance(end, datetime):
            end -= timedelta(days=1)  # the last day of a whole-day entry is written as the day after
    except OverflowError:
        return None
    return end


def _day(moment: date) -> date:
    return moment.date() if isinstance(moment, datetime) else moment


def _show(moment: date) -> str:
    if not isinstance(moment, datetime):
        return moment.isoformat()
    zone = getattr(moment.tzinfo, "key", None) or (moment.tzname() if moment.tzinfo else "")
    return f"{moment:%Y-%m-%d %H:%M} {zone or ''}".strip()


def _moment(entry: Component, name: str) -> date | None:
    """None for a broken value or several: the rest of the entry is worth having."""
    value = _decoded(entry, name)
    return value if isinstance(value, date) else None


def _decoded(entry: Component, name: str) -> Any:
    try:
        return entry.decoded(name, None)
    except _BROKEN:
        return None


def _rule(rule: Any) -> str:
    """As it is written: `FREQ=WEEKLY;BYDAY=MO`. Occurrences are never counted out."""
    written: bytes = rule.to_ical()
    return written.decode()


def _person(value: Any) -> str:
    parameters = getattr(value, "params", {})
    name = str(parameters.get("CN", "")).strip()
    address = str(value).partition(":")[2] if str(value).lower().startswith("mailto:") else str(value)
    return f"{name} <{address}>" if name and name != address else address


def _value(entry: Component, name: str) -> str:
    shown = []
    for value in _each(entry.get(name)):
        inner = getattr(value, "cats", None)
        shown.append(", ".join(map(str, inner)) if inner is not None else str(value))
    return clean(", ".join(shown)).strip()


def _description(entry: Component) -> str:
    """Some programs write HTML where plain text belongs."""
    text = _value(entry, "DESCRIPTION")
    if text.lstrip().startswith("<") and text.rstrip().endswith(">"):
        try:
            return extract_html(text.encode()).text
        except InvalidInputError:
            return text
    return text


def _each(value: Any) -> Sequence[Any]:
    if value is None:
        return ()
    return value if isinstance(value, list) else (value,)

"""A calendar file as one small calendar for each event. Pure.

Split by its lines and not by a parser of values: a feed with one odd property still gives all its events, and what a
document holds is what its server sent. Parsing is for the extraction process.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import dropwhile

from dreamhub.errors import InvalidInputError, TooLargeError

MEDIA_TYPE = "text/calendar"
MAX_COMPONENTS = 100_000
"""Events of one file, exceptions to repetitions counted as well."""
MAX_AROUND = 2**18
"""Bytes of the calendar's own lines and time zones that are copied into one event; what is above is left out."""
MAX_COPIED = 2**29
"""The same for all events of one file together."""
_MAX_ZONES = 1_000
_MAX_NAME = 200
_MAX_VALUE = 2**13
"""Bytes of a line that are searched for a value."""
_WORD = 64
_EVENTS = frozenset({b"VEVENT", b"VTODO", b"VJOURNAL"})
_ZONE = re.compile(rb';TZID="?([^":;]+)', re.IGNORECASE)
_ESCAPED = re.compile(r"\\([\\;,nN])")
_LINE = re.compile(rb"[^\r\n]++(?:(?:\r\n|\r|\n)[ \t][^\r\n]*+)*+")
"""With what is folded under it. Possessive, or else each fold would take memory to come back to."""

_Span = tuple[int, int]
"""Where a component stands in the file. Its lines are made when they are wanted: most files are mostly lines."""


@dataclass(frozen=True, slots=True)
class CalendarEvent:
    key: str
    name: str
    revision: str
    """Changes with the event, and not with the time of the export."""
    data: bytes = field(repr=False)


@dataclass
class _File:
    data: bytes = field(repr=False)
    head: dict[bytes, None] = field(default_factory=dict)
    room: int = MAX_AROUND
    zones: dict[bytes, _Span] = field(default_factory=dict)
    events: dict[str, list[_Span]] = field(default_factory=dict)
    """By UID: an event and the exceptions to its repetition belong together."""
    components: int = 0

    def add_head(self, line: bytes) -> None:
        if line not in self.head and len(line) <= self.room:
            self.head[line] = None
            self.room -= len(line)

    def lines(self, spans: Iterable[_Span]) -> Iterator[bytes]:
        for span in spans:
            yield from _logical_lines(self.data, *span)

    def text(self, span: _Span) -> bytes:
        return _unix_lines(self.data[slice(*span)]).replace(b"\n", b"\r\n")


def split_calendar(data: bytes) -> Iterator[CalendarEvent]:
    """In order, each made when it is asked for. Raises InvalidInputError `NotACalendar`, TooLargeError."""
    file = _File(data.removeprefix(b"\xef\xbb\xbf"))
    first = next(_logical_lines(file.data), b"")
    if first.strip().upper() != b"BEGIN:VCALENDAR":
        raise InvalidInputError(
            "what is at the source's URL is no calendar file; give the address of an .ics file, or protocol: CalDAV",
            code="NotACalendar",
        )
    _sort(file)
    return _events(file)


def _events(file: _File) -> Iterator[CalendarEvent]:
    copied = 0
    for key, spans in file.events.items():
        around = _Around(file, spans)
        copied += around.size
        if copied > MAX_COPIED:
            raise TooLargeError("the calendar's events need more of its time zones than is accepted; split it")
        yield _event(file, key, spans, around)


def event_name(lines: Iterable[bytes]) -> str:
    """The first summary."""
    summary = _value(lines, b"SUMMARY").decode("utf-8", errors="replace")
    summary = _ESCAPED.sub(lambda match: " " if match[1] in "nN" else match[1], summary)
    return " ".join(summary.split())[:_MAX_NAME].strip() or "(no title)"


def name_of(data: bytes) -> str:
    """Of a calendar with one event."""
    return event_name(dropwhile(lambda line: _word(line) != b"BEGIN:VEVENT", _logical_lines(data)))


def _logical_lines(data: bytes, start: int = 0, end: int | None = None) -> Iterator[bytes]:
    """Lines with what is folded under them."""
    for found in _LINE.finditer(data, start, len(data) if end is None else end):
        if (line := _unix_lines(found[0])).strip():
            yield line


def _unix_lines(text: bytes) -> bytes:
    return text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _word(line: bytes) -> bytes:
    return line[:_WORD].strip().upper()


def _sort(file: _File) -> None:
    """Puts each component where it belongs. What is never closed is left out."""
    start, depth = 0, 0
    for found in _LINE.finditer(file.data):
        word = _word(found[0])
        if word in {b"BEGIN:VCALENDAR", b"END:VCALENDAR"}:
            depth = 0
            continue
        if depth == 0:
            start = found.start()
        depth += word.startswith(b"BEGIN:")
        if depth == 0:
            if word:
                file.add_head(_unix_lines(found[0]).replace(b"\n", b"\r\n"))
            continue
        depth -= word.startswith(b"END:")
        if depth == 0:
            _keep(file, (start, found.end()))


def _keep(file: _File, span: _Span) -> None:
    lines = file.lines([span])
    kind = _word(next(lines)).removeprefix(b"BEGIN:")
    if kind == b"VTIMEZONE":
        if len(file.zones) < _MAX_ZONES:
            file.zones.setdefault(_value(lines, b"TZID"), span)
    elif kind in _EVENTS:
        file.components += 1
        if file.components > MAX_COMPONENTS:
            raise TooLargeError(f"the calendar has more than the {MAX_COMPONENTS} events that are accepted; split it")
        uid = _value(lines, b"UID").decode("utf-8", errors="replace")
        key = f"uid:{uid[:400]}" if uid else f"sha256:{_digest(file.lines([span]))}"
        file.events.setdefault(key, []).append(span)


class _Around:
    """What of the calendar an event needs to stand alone: its own lines, and the time zones that it names."""

    def __init__(self, file: _File, spans: Iterable[_Span]) -> None:
        self.size = MAX_AROUND - file.room
        self.zones: list[_Span] = []
        for name in dict.fromkeys(zone for line in file.lines(spans) for zone in _named_zones(line, file)):
            start, end = file.zones[name]
            if self.size + end - start <= MAX_AROUND:
                self.zones.append((start, end))
                self.size += end - start


def _named_zones(line: bytes, file: _File) -> list[bytes]:
    """Of those that the file holds."""
    return [zone for zone in _ZONE.findall(_unfolded(line[:_MAX_VALUE])) if zone in file.zones]


def _event(file: _File, key: str, spans: list[_Span], around: _Around) -> CalendarEvent:
    parts = [b"BEGIN:VCALENDAR", *file.head, *map(file.text, (*around.zones, *spans)), b"END:VCALENDAR", b""]
    revision = _digest(file.lines((*around.zones, *spans)))
    return CalendarEvent(key, event_name(file.lines(spans)), revision, b"\r\n".join(parts))


def _digest(lines: Iterable[bytes]) -> str:
    """Without DTSTAMP, which many servers set to the time of the export."""
    digest = hashlib.sha256()
    for line in lines:
        if not line[:_WORD].upper().startswith(b"DTSTAMP"):
            digest.update(line + b"\n")
    return digest.hexdigest()


def _value(lines: Iterable[bytes], name: bytes) -> bytes:
    """Of the first property of this name; empty without one."""
    for line in lines:
        if line[: len(name)].upper() == name and line[len(name) : len(name) + 1] in {b":", b";"}:
            return _behind_colon(_unfolded(line[:_MAX_VALUE])).strip()
    return b""


def _behind_colon(line: bytes) -> bytes:
    """The value behind the parameters, in whose quotes colons may stand."""
    return re.sub(rb'^(?:[^":]|"[^"]*")*:', b"", line, count=1)


def _unfolded(line: bytes) -> bytes:
    return re.sub(rb"\n[ \t]", b"", line)

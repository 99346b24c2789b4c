"""A calendar file as one small calendar for each event. Pure.

Split by its lines and not by a parser of values: a feed with one odd property still gives all its events, and what a
document holds is what its server sent. Parsing is for the extraction process.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from dreamhub.errors import InvalidInputError

MEDIA_TYPE = "text/calendar"
_MAX_NAME = 200
_EVENTS = frozenset({b"VEVENT", b"VTODO", b"VJOURNAL"})
_ZONE = re.compile(rb';TZID="?([^":;]+)', re.IGNORECASE)
_ESCAPED = re.compile(r"\\([\\;,nN])")


@dataclass(frozen=True, slots=True)
class CalendarEvent:
    key: str
    name: str
    revision: str
    """Changes with the event, and not with the time of the export."""
    data: bytes = field(repr=False)


@dataclass
class _File:
    head: list[bytes] = field(default_factory=list)
    zones: dict[bytes, list[bytes]] = field(default_factory=dict)
    events: dict[str, list[bytes]] = field(default_factory=dict)
    """Lines by UID: an event and the exceptions to its repetition belong together."""


def split_calendar(data: bytes) -> list[CalendarEvent]:
    """In order. Raises InvalidInputError `NotACalendar`."""
    lines = list(_logical_lines(data.removeprefix(b"\xef\xbb\xbf")))
    if not lines or lines[0].strip().upper() != b"BEGIN:VCALENDAR":
        raise InvalidInputError(
            "what is at the source's URL is no calendar file; give the address of an .ics file, or protocol: CalDAV",
            code="NotACalendar",
        )
    file = _sort(lines)
    return [_event(file, key, block) for key, block in file.events.items()]


def event_name(lines: Sequence[bytes]) -> str:
    """The first summary."""
    summary = _value(lines, b"SUMMARY").decode("utf-8", errors="replace")
    summary = _ESCAPED.sub(lambda match: " " if match[1] in "nN" else match[1], summary)
    return " ".join(summary.split())[:_MAX_NAME].strip() or "(no title)"


def name_of(data: bytes) -> str:
    """Of a calendar with one event."""
    lines = list(_logical_lines(data))
    start = next((at for at, line in enumerate(lines) if line.strip().upper() == b"BEGIN:VEVENT"), 0)
    return event_name(lines[start:])


def _logical_lines(data: bytes) -> Iterator[bytes]:
    """Lines with what is folded under them, as they stand in the file."""
    held: list[bytes] = []
    for line in data.splitlines():
        if held and line[:1] in {b" ", b"\t"}:
            held.append(line)
            continue
        if held:
            yield b"\r\n".join(held)
        held = [line] if line.strip() else []
    if held:
        yield b"\r\n".join(held)


def _sort(lines: Sequence[bytes]) -> _File:
    """Puts each component where it belongs. What is never closed is left out."""
    file, block, depth = _File(), list[bytes](), 0
    for line in lines:
        word = line.strip().upper()
        if word in {b"BEGIN:VCALENDAR", b"END:VCALENDAR"}:
            block, depth = [], 0
            continue
        depth += word.startswith(b"BEGIN:")
        if depth == 0:
            file.head.append(line)
            continue
        block.append(line)
        depth -= word.startswith(b"END:")
        if depth == 0:
            _keep(file, block)
            block = []
    return file


def _keep(file: _File, block: list[bytes]) -> None:
    kind = block[0].strip().upper().removeprefix(b"BEGIN:")
    if kind == b"VTIMEZONE":
        file.zones.setdefault(_value(block, b"TZID"), block)
    elif kind in _EVENTS:
        uid = _value(block, b"UID").decode("utf-8", errors="replace")
        key = f"uid:{uid[:400]}" if uid else f"sha256:{_digest(block)}"
        file.events.setdefault(key, []).extend(block)


def _event(file: _File, key: str, block: list[bytes]) -> CalendarEvent:
    wanted = dict.fromkeys(zone for line in block for zone in _ZONE.findall(_unfolded(line)))
    zones = [line for zone in wanted for line in file.zones.get(zone, ())]
    lines = [b"BEGIN:VCALENDAR", *dict.fromkeys(file.head), *zones, *block, b"END:VCALENDAR", b""]
    return CalendarEvent(key, event_name(block), _digest([*zones, *block]), b"\r\n".join(lines))


def _digest(lines: Sequence[bytes]) -> str:
    """Without DTSTAMP, which many servers set to the time of the export."""
    lasting = (line for line in lines if not line.upper().startswith(b"DTSTAMP"))
    return hashlib.sha256(b"\n".join(lasting)).hexdigest()


def _value(lines: Sequence[bytes], name: bytes) -> bytes:
    """Of the first property of this name; empty without one."""
    for line in lines:
        if line[: len(name)].upper() == name and line[len(name) : len(name) + 1] in {b":", b";"}:
            return _behind_colon(_unfolded(line)).strip()
    return b""


def _behind_colon(line: bytes) -> bytes:
    """The value behind the parameters, in whose quotes colons may stand."""
    return re.sub(rb'^(?:[^":]|"[^"]*")*:', b"", line, count=1)


def _unfolded(line: bytes) -> bytes:
    return re.sub(rb"\r\n[ \t]", b"", line)

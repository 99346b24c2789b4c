"""From a flat list of headings to sections with heading paths and a title. Pure, shared by all formats."""

from collections.abc import Sequence
from dataclasses import dataclass

from dreamhub_worker.extract.extracted import Section

_MAX_HEADING = 300
"""Longer "headings" are formatting accidents; they are cut, for the path is repeated in every chunk below."""


@dataclass(frozen=True, slots=True)
class Heading:
    level: int
    """1 is the highest, but for a title's 0. Levels may be skipped."""
    text: str
    """Empty: what follows stands under no heading of this level or a deeper one."""
    start: int
    """Where the heading's line begins."""
    end: int
    """Where the text below it begins."""


def build_sections(
    text: str, headings: Sequence[Heading], *, titled: bool = True
) -> tuple[str | None, tuple[Section, ...]]:
    """The title and the sections of a text whose headings are known, in order of `start`.

    The title is the first heading when it alone has the highest level; it then stands in no path. Unless `titled`, all
    are parts of the document and none is its title. A heading without text of its own becomes a section of its own
    line, unless a deeper heading follows, whose path carries it.
    """
    title = _title(headings) if titled else None
    sections: list[Section] = []
    path: list[Heading] = []
    _add(sections, text, (), 0, headings[0].start if headings else len(text))
    for index, heading in enumerate(headings):
        following = headings[index + 1] if index + 1 < len(headings) else None
        end = following.start if following else len(text)
        if not (heading is headings[0] and title is not None):
            path = [above for above in path if above.level < heading.level] + [heading]
        names = tuple(above.text[:_MAX_HEADING] for above in path if above.text)
        has_own_text = bool(text[heading.end : end].strip())
        if has_own_text:
            _add(sections, text, names, heading.end, end)
        elif following is None or following.level <= heading.level:
            _add(sections, text, names, heading.start, heading.end)
    return title, tuple(sections)


def _title(headings: Sequence[Heading]) -> str | None:
    if not headings or any(other.level <= headings[0].level for other in headings[1:]):
        return None
    return headings[0].text[:_MAX_HEADING] or None


def _add(sections: list[Section], text: str, path: tuple[str, ...], start: int, end: int) -> None:
    if text[start:end].strip():
        sections.append(Section(path, start, end))

"""What every extractor returns, and the way it travels from the child process to the worker."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Self

from dreamhub.domain.places import Unit

_LEAVES: frozenset[Unit] = frozenset({"page", "slide", "sheet"})
"""What a document is said to have so and so many of; rows and lines only say where something stands."""


@dataclass(frozen=True, slots=True)
class Section:
    """A stretch of text under one heading. Sections are in order and never overlap."""

    heading_path: tuple[str, ...]
    """The headings above it, outermost first, without the document's title."""
    start: int
    end: int
    """Character offsets into `Extracted.text`."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the original the text from `start` on comes from, until the next place."""

    start: int
    unit: Unit
    number: int
    """From 1; 0 ends the place before: what follows has none."""


@dataclass(frozen=True, slots=True)
class Extracted:
    text: str
    title: str | None
    """The document's own title; None when it has none."""
    sections: tuple[Section, ...]
    places: tuple[Place, ...] = ()
    """In order of `start`; empty for formats without any."""

    @property
    def pages(self) -> int:
        """How many pages, slides and sheets there are."""
        return sum(place.unit in _LEAVES and place.number > 0 for place in self.places)

    def place_at(self, offset: int) -> Place | None:
        """The place that a character lies on; None where there is none."""
        index = bisect_right(self.places, offset, key=lambda place: place.start)
        place = self.places[index - 1] if index else None
        return place if place is not None and place.number else None

    def to_wire(self) -> dict[str, Any]:
        return {
            "text": self.text,
            "title": self.title,
            "sections": [[section.heading_path, section.start, section.end] for section in self.sections],
            "places": [[place.start, place.unit, place.number] for place in self.places],
        }

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Self:
        return cls(
            text=wire["text"],
            title=wire["title"],
            sections=tuple(Section(tuple(path), start, end) for path, start, end in wire["sections"]),
            places=tuple(Place(start, unit, number) for start, unit, number in wire["places"]),
        )


def join(title: str | None, parts: Iterable[tuple[Sequence[str], Extracted]]) -> Extracted:
    """One document of several, each under headings of its own. The first part's places end with it, and so on."""
    texts: list[str] = []
    sections: list[Section] = []
    places: list[Place] = []
    length = 0
    for path, part in parts:
        if places and places[-1].number:
            places.append(Place(length, places[-1].unit, 0))
        sections += [
            Section((*path, *section.heading_path), section.start + length, section.end + length)
            for section in part.sections
        ]
        places += [replace(place, start=place.start + length) for place in part.places]
        text = part.text.rstrip() + "\n\n"
        texts.append(text)
        length += len(text)
    return Extracted("".join(texts), title, _within(sections, length), tuple(places))


def split_sections(sections: Iterable[Section], cuts: Sequence[int], text: str) -> tuple[Section, ...]:
    """The sections, ended and begun anew at every cut (in order) inside them; white ones are left out."""
    found: list[Section] = []
    for section in sections:
        inside = cuts[bisect_right(cuts, section.start) : bisect_right(cuts, section.end - 1)]
        edges = (section.start, *inside, section.end)
        found += [
            Section(section.heading_path, start, end) for start, end in pairwise(edges) if not text[start:end].isspace()
        ]
    return tuple(found)


def _within(sections: Iterable[Section], length: int) -> tuple[Section, ...]:
    """A last section may have ended in white space that joining took away."""
    return tuple(replace(section, end=min(section.end, length)) for section in sections if section.start < length)

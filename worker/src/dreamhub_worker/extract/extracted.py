"""What every extractor returns, and the way it travels from the child process to the worker."""

from bisect import bisect_right
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Section:
    """A stretch of text under one heading. Sections are in order and never overlap."""

    heading_path: tuple[str, ...]
    """The headings above it, outermost first, without the document's title."""
    start: int
    end: int
    """Character offsets into `Extracted.text`."""


@dataclass(frozen=True, slots=True)
class Extracted:
    text: str
    title: str | None
    """The document's own title; None when it has none."""
    sections: tuple[Section, ...]
    page_starts: tuple[int, ...] = ()
    """Offset of the first character of each page; empty for formats without pages."""

    @property
    def pages(self) -> int:
        return len(self.page_starts)

    def page_at(self, offset: int) -> int | None:
        """The page (from 1) that a character lies on, or None for formats without pages."""
        return max(1, bisect_right(self.page_starts, offset)) if self.page_starts else None

    def to_wire(self) -> dict[str, Any]:
        return {
            "text": self.text,
            "title": self.title,
            "sections": [[section.heading_path, section.start, section.end] for section in self.sections],
            "pageStarts": self.page_starts,
        }

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Self:
        return cls(
            text=wire["text"],
            title=wire["title"],
            sections=tuple(Section(tuple(path), start, end) for path, start, end in wire["sections"]),
            page_starts=tuple(wire["pageStarts"]),
        )

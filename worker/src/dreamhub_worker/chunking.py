"""From sections to chunks of limited size. Pure.

Size is counted in estimated tokens, three UTF-8 bytes each: close to what models count for prose in European languages
(3 to 4 letters a token) and in Chinese (one sign, 3 bytes, about a token), the same for every model, and a hard bound,
since no tokenizer makes more tokens than bytes. Chunks never cross a section, so a citation names exactly one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePath

from semantic_text_splitter import TextSplitter

from dreamhub.domain.places import Unit
from dreamhub_worker.extract.extracted import Extracted

STRATEGY = "heading-tokens/1"
"""Stored with every chunk. Change the number when the same text would be cut differently: it founds a generation."""

FULL_TOKENS = 256
MAX_TOKENS = 384
"""A chunk ends at the best boundary between the two; 384 is about 1.2 kB, what the ranking was measured with."""

_BYTES_PER_TOKEN = 3
_MAX_TITLE = 200


@dataclass(frozen=True, slots=True)
class Piece:
    """A chunk before it has a vector. `text` is `Extracted.text[start:end]`."""

    ordinal: int
    text: str
    heading_path: tuple[str, ...]
    page: int | None
    """The number of the page, slide, sheet, row or line on which it begins; `unit` says which of them."""
    unit: Unit | None
    start: int
    end: int


def estimate_tokens(text: str) -> int:
    return -(-len(text.encode()) // _BYTES_PER_TOKEN)


def split(extracted: Extracted, *, full: int = FULL_TOKENS, limit: int = MAX_TOKENS) -> Iterator[Piece]:
    """Chunks in order: only white space between them is left out. Boundaries: paragraphs, sentences, words, letters."""
    splitter = TextSplitter.from_callback(estimate_tokens, (full, limit))
    ordinal = 0
    for section in extracted.sections:
        for offset, text in splitter.chunk_indices(extracted.text[section.start : section.end]):
            start = section.start + offset
            place = extracted.place_at(start)
            page, unit = (place.number, place.unit) if place else (None, None)
            yield Piece(ordinal, text, section.heading_path, page, unit, start, start + len(text))
            ordinal += 1


def document_title(extracted: Extracted, name: str) -> str:
    """The document's own title, else its file name without the ending."""
    return (extracted.title or PurePath(name).stem or name)[:_MAX_TITLE]


def text_to_embed(title: str, piece: Piece) -> str:
    """Title and headings stand in front: they say what a paragraph alone often does not."""
    return "\n".join((title, *piece.heading_path, piece.text))

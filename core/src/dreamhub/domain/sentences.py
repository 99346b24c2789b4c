"""Where sentences start and end, in Latin and CJK scripts, in prose, lists and headings."""

import re
from collections.abc import Iterator

_BREAK = re.compile(
    r"(?<=[。！？；])"  # noqa: RUF001 - Chinese and Japanese sentences end in full-width marks and need no space
    r"|(?<=[.!?])[\"')\]]?\s+(?=[\"'(\[]?[A-Z0-9\u00c0-\u00de\u3040-\u9fff])"
    r"|\n\s*\n"
    r"|\n(?=\s*(?:[-*+•#>|]|\d{1,3}[.)]\s))"
)
_ABBREVIATION = re.compile(r"(?:\b(?:e\.g|i\.e|cf|vs|Dr|Mr|Mrs|Ms|Prof|No|Fig|Sec|Art|St|approx|etc)|\b[A-Z])\.$")
_MARKUP = re.compile(r"^\s*(?:#{1,6}\s+|[-*+•>]\s+|\d{1,3}[.)]\s+)")
_SPACE = re.compile(r"\s+")


def sentences(text: str) -> Iterator[tuple[int, int]]:
    """Start and end of each sentence, list item or heading, surrounding blanks left out."""
    start = 0
    for match in _BREAK.finditer(text):
        if _ABBREVIATION.search(text, start, match.start()):
            continue
        yield from _trimmed(text, start, match.start())
        start = match.end()
    yield from _trimmed(text, start, len(text))


def _trimmed(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    piece = text[start:end]
    stripped = piece.strip()
    if stripped:
        offset = start + piece.index(stripped[0])
        yield offset, offset + len(stripped)


def plain(text: str) -> str:
    """A sentence for reading: on one line, without the mark of its list item or heading."""
    return _SPACE.sub(" ", _MARKUP.sub("", text)).strip()

"""Tables as text that is read in pieces: every piece repeats the header, so that no value stands without its name.

Pure. A piece is a Markdown table of as many rows as fit; a row too wide for that becomes a list of `name: value`.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import compress, zip_longest

GROUP_BYTES = 900
"""Of text: below the size of a chunk, which then is one whole group."""

Row = Sequence[str]

_TABLE = re.compile(
    r"(?P<head>^[ ]{0,3}\|[^\n]*\n[ ]{0,3}\|(?:[ ]*:?-+:?[ ]*\|?)+[ ]*\n)(?P<rows>(?:[ ]{0,3}\|[^\n]*(?:\n|\Z))+)",
    re.MULTILINE,
)
"""A table of GitHub's Markdown, written with outer bars as every program does."""


@dataclass(frozen=True, slots=True)
class Group:
    text: str
    first: int
    """Index of the first of its rows among the table's body rows."""


def render_table(header: Row, rows: Sequence[Row]) -> Iterator[Group]:
    """Groups of rows in order. An empty header is left out; cells are put on one line. Rows may differ in length."""
    width = max((len(row) for row in (header, *rows)), default=0)
    names = _cells(header, width)
    head = [_line(names), "|" + " --- |" * width] if any(names) else []
    head_bytes = _size(head)
    lines: list[str] = []
    used = first = 0
    for index, row in enumerate(rows):
        cells = _cells(row, width)
        line = _line(cells)
        size = _size([line])
        if lines and (head_bytes + used + size > GROUP_BYTES):
            yield Group("\n".join([*head, *lines]), first)
            lines, used = [], 0
        if head_bytes + size > GROUP_BYTES:
            yield Group(_record(names, cells), index)
            continue
        first = first if lines else index
        lines.append(line)
        used += size
    if lines:
        yield Group("\n".join([*head, *lines]), first)


def repeat_headers(text: str) -> tuple[str, list[int]]:
    """A Markdown text whose long tables are cut into groups under repeated headers, and where the groups begin and end.

    A text without long tables is unchanged.
    """
    parts: list[str] = []
    cuts: list[int] = []
    done = length = 0
    for match in _TABLE.finditer(text):
        if _size([match[0]]) <= GROUP_BYTES:
            continue
        parts.append(text[done : match.start()])
        length += len(parts[-1])
        done = match.end()
        for group in _regroup(match["head"], match["rows"].splitlines()):
            cuts.append(length)
            parts.append(group + "\n\n")
            length += len(parts[-1])
        cuts.append(length)
    return "".join([*parts, text[done:]]), cuts


def _regroup(head: str, rows: Sequence[str]) -> Iterator[str]:
    lines: list[str] = []
    for row in rows:
        if lines and _size([head, *lines, row]) > GROUP_BYTES:
            yield head + "\n".join(lines)
            lines = []
        lines.append(row)
    yield head + "\n".join(lines)


def cut_columns(rows: Sequence[Row]) -> list[list[str]]:
    """The rows without columns that are empty in all of them, and without empty rows."""
    kept = [any(cell.strip() for cell in column) for column in zip_longest(*rows, fillvalue="")]
    cut = [list(compress(row, kept)) for row in rows]
    return [row for row in cut if any(cell.strip() for cell in row)]


def has_header(rows: Sequence[Row]) -> bool:
    """Whether the first row looks like names of columns: words, each once, above something."""
    first = [cell.strip() for cell in rows[0]] if len(rows) > 1 else []
    named = [cell for cell in first if cell]
    return len(named) > 1 and len(set(named)) == len(named) and not any(is_number(cell) for cell in named)


def is_number(cell: str) -> bool:
    digits = cell.strip().lstrip("+-").rstrip("%").replace(",", "").replace(".", "").replace(" ", "")
    return digits.isdecimal()


def _cells(row: Row, width: int) -> list[str]:
    cells = [" ".join(cell.split()) for cell in row]
    return cells + [""] * (width - len(cells))


def _line(cells: Row) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _record(names: Row, cells: Row) -> str:
    pairs = zip(names, cells, strict=True)
    return "\n".join(f"{name}: {cell}" if name else cell for name, cell in pairs if cell)


def _size(lines: Sequence[str]) -> int:
    return sum(len(line.encode(errors="replace")) + 1 for line in lines)

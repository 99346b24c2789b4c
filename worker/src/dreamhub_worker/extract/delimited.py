"""CSV and its relatives: rows under their header, each piece placed by its row."""

import csv
import io
from collections import Counter
from collections.abc import Iterator, Sequence

from dreamhub.errors import InvalidInputError, TooLargeError
from dreamhub_worker.extract.draft import Draft
from dreamhub_worker.extract.extracted import Extracted
from dreamhub_worker.extract.rows import RowWriter
from dreamhub_worker.extract.text import check_length, clean, decode, require_text

MAX_COLUMNS = 2_000
MAX_FIELD = 1_000_000
_DELIMITERS = ",;\t|"
_SAMPLE_LINES = 50


def extract_csv(data: bytes) -> Extracted:
    """Raises InvalidInputError `BadCSV`, TooLargeError."""
    text = clean(decode(data))
    require_text(text)
    check_length(len(text))
    csv.field_size_limit(MAX_FIELD)
    draft = Draft()
    writer = RowWriter(draft, "row")
    for number, row in enumerate(_read(text, find_delimiter(text)), 1):
        if any(cell.strip() for cell in row):
            writer.add(number, row)
    writer.close()
    return draft.finish()


def find_delimiter(text: str) -> str:
    """The one that cuts most of the first lines into the same number of fields, more than one."""
    lines = text.lstrip("\n").split("\n", _SAMPLE_LINES)[:_SAMPLE_LINES]

    def agreement(delimiter: str) -> tuple[int, int]:
        widths = Counter(_widths(lines, delimiter))
        widths.pop(0, None)
        width, times = max(widths.items(), key=lambda item: (item[1], item[0]), default=(1, 0))
        return (times, width) if width > 1 else (0, 0)

    return max(_DELIMITERS, key=agreement)


def _widths(lines: Sequence[str], delimiter: str) -> list[int]:
    try:
        return [len(row) for row in csv.reader(lines, delimiter=delimiter)]
    except csv.Error:
        return []


def _read(text: str, delimiter: str) -> Iterator[list[str]]:
    try:
        for row in csv.reader(io.StringIO(text), delimiter=delimiter):
            if len(row) > MAX_COLUMNS:
                raise TooLargeError(f"the CSV has a row of more than {MAX_COLUMNS:,} fields; split it")
            yield row
    except csv.Error as error:
        raise InvalidInputError(
            "the CSV cannot be read: a quote is never closed, or a field is longer than a million characters; "
            "export it again",
            code="BadCSV",
        ) from error

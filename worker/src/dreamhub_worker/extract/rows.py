"""Long tables, row by row, into a draft: only a few hundred rows are held at a time."""

from collections.abc import Sequence
from itertools import compress, zip_longest

from dreamhub.domain.places import Unit
from dreamhub_worker.extract.draft import Draft
from dreamhub_worker.extract.tables import Row, has_header

_WINDOW = 500


class RowWriter:
    """Finds out which row is the header: the first, when it looks like one. Lone cells above it are captions."""

    def __init__(self, draft: Draft, unit: Unit | None = None) -> None:
        self._draft = draft
        self._unit = unit
        self._rows: list[list[str]] = []
        self._numbers: list[int] = []
        self._header: list[str] | None = None
        self._last: list[str] = []

    def add(self, number: int, cells: Row) -> None:
        """A row that is not empty; `number` is its own in the original."""
        self._rows.append([cell.strip() for cell in cells])
        self._numbers.append(number)
        if len(self._rows) >= _WINDOW:
            self._flush()

    def close(self) -> None:
        """The table ends. A following one without a header, but as wide, goes on under this one's."""
        if self._rows:
            self._flush()
        self._header = None

    def _flush(self) -> None:
        if self._header is None:
            self._begin()
        header, rows = _without_empty_columns(self._header or [], self._rows)
        self._draft.table(header, rows, unit=self._unit, numbers=self._numbers)
        self._rows, self._numbers = [], []

    def _begin(self) -> None:
        while len(self._rows) > 1 and sum(map(bool, self._rows[0])) == 1 and _width(self._rows) > 1:
            self._draft.block(next(filter(None, self._rows[0])))
            self._drop_first()
        self._header = []
        if has_header(self._rows):
            self._header = self._last = self._rows[0]
            self._drop_first()
        elif self._rows and len(self._rows[0]) == len(self._last) > 1:
            self._header = self._last

    def _drop_first(self) -> None:
        del self._rows[0], self._numbers[0]


def _width(rows: Sequence[Row]) -> int:
    return max(sum(map(bool, row)) for row in rows)


def _without_empty_columns(header: Row, rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    kept = [any(column) for column in zip_longest(header, *rows, fillvalue="")]
    return list(compress(header, kept)), [list(compress(row, kept)) for row in rows]

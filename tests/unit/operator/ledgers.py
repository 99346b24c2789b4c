"""The books as the database would keep them, in memory, and a stop before any write."""

from collections.abc import Collection

from dreamhub.domain.fair_books import Books, Entry
from dreamhub.errors import UnavailableError
from dreamhub.sql.fair_books import Moment


class MemoryLedger:
    def __init__(self) -> None:
        self.books = Books(600.0)
        self.entered: list[Entry] = []
        self.down = False

    async def fetch_books(self, half_life: float) -> Books:
        self._check()
        return Books(half_life, dict(self.books.charges), dict(self.books.balances))

    async def enter(self, entry: Entry, moment: Moment) -> None:
        self._check()
        self.entered.append(entry)
        self.books.enter(entry, moment.now)

    async def forget_balances(self, kept: Collection[str]) -> None:
        self._check()
        self.books.forget(kept)

    def _check(self) -> None:
        if self.down:
            raise UnavailableError("the database is away")

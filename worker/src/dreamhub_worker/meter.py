"""What one worker counts about itself, and the reports made of it. Pure: the clock is handed in.

What is settled is counted by the database, with the outcome (`dreamhub.sql.work_items`); here is the rest: the document
in hand, times, tokens, rates, and how long documents take.
"""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from dreamhub.domain.pace import Line, Pace, add_paces
from dreamhub.domain.progress import MOST_LETTERS, Stage, Timing
from dreamhub.domain.run_totals import ITEM_WEIGHT, WorkerReport

Part = Literal["parse", "embed", "embed_wait", "store"]

FETCHED, READ = 0.05, 0.15
"""Share of a document's work that lies behind when it is fetched, and when its text is known."""

RATE_SECONDS = 15.0
"""The rate of chunks is that of the last so many seconds."""

_CALLS = 64
"""Of which the 95th percentile is told."""


@dataclass
class Seconds:
    parse: float = 0.0
    embed: float = 0.0
    embed_wait: float = 0.0
    store: float = 0.0


@dataclass
class Meter:
    """Mutable; owned by one event loop. `earlier` is the last report of the attempt before, if there was one."""

    clock: Callable[[], float]
    earlier: WorkerReport = field(default_factory=WorkerReport)
    stage: Stage | None = "Starting"
    current_chunks: int = 0
    """Of the document in hand, those of earlier attempts included."""
    fraction: float = 0.0
    """How much of the document in hand is done, 0 to 1."""
    tokens: int = 0
    reading: bool = False
    waiting: str = ""
    """What is waited for, in a sentence."""
    awaiting_approval: bool = False
    short_of_tokens: int = 0
    estimated: tuple[int, int] | None = None
    """Tokens and bytes of what was collected."""
    fruitless: int = 0
    """Attempts in a row that waited for the source in vain, earlier ones included."""
    seconds: Seconds = field(default_factory=Seconds)
    skipped: int = 0
    """Documents that stood as they were: they say nothing about the rate."""
    _calls: deque[float] = field(default_factory=lambda: deque(maxlen=_CALLS))
    """Seconds of the last calls of the model."""
    _weight: int = 0
    """Of the document in hand."""
    _reading: bool = True
    _fresh: bool = True
    """Nothing of it was stored by this attempt."""
    _mark: float = 0.0
    """When the last step ended."""
    _began: float = 0.0
    _read: Line = field(default_factory=Line)
    _land: Line = field(default_factory=Line)
    _show: Line = field(default_factory=Line)
    _stored: deque[tuple[float, int]] = field(default_factory=deque)
    """When batches were stored lately, and their chunks."""

    def __post_init__(self) -> None:
        self.fruitless = self.earlier.fruitless
        self._mark = self._began = self.clock()

    def wait_for(self, what: str) -> None:
        """An empty word when nothing is waited for any more."""
        self.waiting = what[:MOST_LETTERS]

    def approach(self) -> None:
        """Turn to a document, which may turn out to need nothing."""
        self._mark, self._reading = self.clock(), True

    def begin(self, weight: int) -> None:
        """Take it in hand."""
        self._weight, self.fraction, self.current_chunks, self._fresh = weight, 0.0, 0, True

    def resume(self, chunks: int, fraction: float) -> None:
        """It is read; go on from a checkpoint."""
        if self._reading:
            self._read.add(self._tokens, self._lap())
        self.current_chunks, self.fraction, self._reading = chunks, fraction, False

    def stored(self, chunks: int, tokens: int, fraction: float) -> None:
        """Count a stored batch of the document in hand."""
        self._land.add(self._tokens * max(0.0, fraction - self.fraction) / (1 - READ), self._lap())
        self.current_chunks += chunks
        self.tokens += tokens
        self.fraction, self._fresh = fraction, False
        self._stored.append((self._mark, chunks))

    def end(self, *, done: bool) -> None:
        """Let go of the document: through with it, or not."""
        if done and not self._reading:
            self._show.add(0, self._lap())
        self._weight, self.fraction, self.current_chunks = 0, 0.0, 0
        self.stage = None

    @contextmanager
    def timed(self, part: Part) -> Iterator[None]:
        """Add the block's duration to one of `Seconds`."""
        begun = self.clock()
        try:
            yield
        finally:
            seconds = self.clock() - begun
            setattr(self.seconds, part, getattr(self.seconds, part) + seconds)
            if part == "embed":
                self._calls.append(seconds)

    def report(self) -> WorkerReport:
        return WorkerReport(
            stage=self.stage,
            current_weight=round(self._weight * self.fraction, 1),
            current_chunks=self.current_chunks,
            in_hand=self._weight,
            seconds_in_hand=round(self._foretell(), 1),
            tokens=self.earlier.tokens + self.tokens,
            reading=self.reading,
            waiting=self.waiting,
            awaiting_approval=self.awaiting_approval,
            short_of_tokens=self.short_of_tokens,
            estimated=self.estimated or self.earlier.estimated,
            fruitless=self.fruitless,
            chunks_per_second=self._rate(),
            pace=self._pace() or self.earlier.pace,
            timing=self._timing(),
        )

    @property
    def _tokens(self) -> int:
        """Of the document in hand, as estimated."""
        return max(0, self._weight - ITEM_WEIGHT)

    def _lap(self) -> float:
        """Seconds since the last step."""
        before, self._mark = self._mark, self.clock()
        return self._mark - before

    def _pace(self) -> Pace | None:
        """None before anything was stored or shown."""
        if not (self._land.seen or self._show.seen):
            return None
        show = Pace(document_seconds=self._show.fit().document_seconds)
        return add_paces(self._read.fit(), self._land.fit(), show)

    def _foretell(self) -> float:
        """Seconds that the document in hand takes yet."""
        pace = self._pace()
        if pace is None or not self._weight:
            return 0.0
        left, landing, elapsed = self._tokens, self._land.fit(), self.clock() - self._mark
        if self._reading:
            now, later = self._read.fit().predict(1, left), landing.predict(1, left)
        else:
            now, later = landing.predict(self._fresh, left * (1 - self.fraction) / (1 - READ)), 0.0
        return max(0.0, now - elapsed) + later + self._show.fit().document_seconds

    def _rate(self) -> float:
        """Chunks a second, of late: of what was stored since the oldest batch that is remembered."""
        horizon = self.clock() - RATE_SECONDS
        while len(self._stored) > 1 and self._stored[1][0] < horizon:
            self._stored.popleft()
        if not self._stored or self._stored[-1][0] < horizon:
            return 0.0
        since, first = self._stored[0]
        if len(self._stored) == 1:
            return round(first / max(self.clock() - self._began, 1e-3), 1)
        return round(sum(chunks for _, chunks in list(self._stored)[1:]) / max(self.clock() - since, 1e-3), 1)

    def _timing(self) -> Timing:
        before, now = self.earlier.timing, self.seconds
        return Timing(
            parse_seconds=round(before.parse_seconds + now.parse, 3),
            embed_seconds=round(before.embed_seconds + now.embed, 3),
            embed_wait_seconds=round(before.embed_wait_seconds + now.embed_wait, 3),
            store_seconds=round(before.store_seconds + now.store, 3),
            embed_p95_seconds=round(self._p95(), 3),
        )

    def _p95(self) -> float:
        calls = sorted(self._calls)
        return calls[(len(calls) * 95 - 1) // 100] if calls else 0.0

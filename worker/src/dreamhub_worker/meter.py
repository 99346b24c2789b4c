"""What one worker counts about itself, and the reports made of it. Pure: the clock is handed in.

What is settled is counted by the database, with the outcome (`dreamhub.sql.work_items`); here is the rest: the document
in hand, times, tokens and rates.
"""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from dreamhub.domain.progress import Stage, Timing
from dreamhub.domain.run_totals import WorkerReport

Part = Literal["parse", "embed", "embed_wait", "store"]

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
    awaiting_approval: bool = False
    estimated: tuple[int, int] | None = None
    """Tokens and bytes of what was collected."""
    fruitless: int = 0
    """Attempts in a row that waited for the source in vain, earlier ones included."""
    seconds: Seconds = field(default_factory=Seconds)
    new_chunks: int = 0
    """Stored by this attempt: what its rate is made of."""
    _calls: deque[float] = field(default_factory=lambda: deque(maxlen=_CALLS))
    """Seconds of the last calls of the model."""
    _weight: int = 0
    """Of the document in hand."""
    _begun_at: float = 0.0
    """Its fraction when it was begun: what stood there before says nothing about the rate."""
    _done_weight: float = 0.0
    _started: float | None = None

    def __post_init__(self) -> None:
        self.fruitless = self.earlier.fruitless

    def begin(self, weight: int) -> None:
        """Take a document in hand. The rate is measured from the first one on."""
        if self._started is None:
            self._started = self.clock()
        self._weight, self.fraction, self.current_chunks, self._begun_at = weight, 0.0, 0, 0.0

    def resume(self, chunks: int, fraction: float) -> None:
        """Go on from a checkpoint."""
        self.current_chunks, self.fraction, self._begun_at = chunks, fraction, fraction

    def end(self, *, done: bool) -> None:
        """Let go of the document: through with it, or not."""
        if done:
            self._done_weight += self._weight * (1 - self._begun_at)
        self._weight, self.fraction, self.current_chunks, self._begun_at = 0, 0.0, 0, 0.0
        self.stage = None

    def stored(self, chunks: int, tokens: int, fraction: float) -> None:
        """Count a stored batch of the document in hand."""
        self.current_chunks += chunks
        self.new_chunks += chunks
        self.tokens += tokens
        self.fraction = fraction

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
        elapsed = max(self.clock() - self._started, 1e-3) if self._started is not None else None
        gained = self._done_weight + self._weight * max(0.0, self.fraction - self._begun_at)
        return WorkerReport(
            stage=self.stage,
            current_weight=round(self._weight * self.fraction, 1),
            current_chunks=self.current_chunks,
            tokens=self.earlier.tokens + self.tokens,
            awaiting_approval=self.awaiting_approval,
            estimated=self.estimated or self.earlier.estimated,
            fruitless=self.fruitless,
            chunks_per_second=round(self.new_chunks / elapsed, 1) if elapsed else 0,
            weight_per_second=round(gained / elapsed, 1) if elapsed else 0,
            timing=self._timing(),
        )

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

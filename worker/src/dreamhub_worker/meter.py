"""The run's counters, and the snapshots made of them. Pure: the clock is handed in."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from dreamhub.domain.progress import DocumentCounts, DocumentError, Progress, RunState, Stage, Timing
from dreamhub.sql.ingest import RunDocument

Part = Literal["parse", "embed", "embed_wait", "store"]

MAX_ERRORS = 10
_ETA_FROM = 0.01
"""Share of the work after which a rate says something."""


@dataclass
class Seconds:
    parse: float = 0.0
    embed: float = 0.0
    embed_wait: float = 0.0
    store: float = 0.0


@dataclass
class Meter:
    """Mutable; owned by one event loop. `earlier` is the last snapshot of the attempt before, if there was one."""

    total: int
    clock: Callable[[], float]
    earlier: Progress = field(default_factory=Progress)
    stage: Stage = "Starting"
    done: int = 0
    skipped: int = 0
    failed: int = 0
    pages: int = 0
    chunks: int = 0
    """Of documents with an outcome."""
    current_chunks: int = 0
    """Of the current document, those of earlier attempts included."""
    tokens: int = 0
    fraction: float = 0.0
    """How much of the current document is done, 0 to 1."""
    errors: list[DocumentError] = field(default_factory=list)
    seconds: Seconds = field(default_factory=Seconds)
    new_chunks: int = 0
    """Stored by this attempt: what its rate is made of."""
    _percent: int = 0
    _started: float = 0.0
    _started_share: float = 0.0

    def __post_init__(self) -> None:
        self._percent = self.earlier.percent

    def start(self) -> None:
        """Begin to measure the rate: after what earlier attempts finished has been counted."""
        self._started, self._started_share = self.clock(), self.share

    def settle(self, document: RunDocument) -> None:
        """Count a document's outcome, of this attempt or an earlier one."""
        match document.outcome:
            case "Done":
                self.done += 1
            case "Skipped":
                self.done, self.skipped = self.done + 1, self.skipped + 1
            case "Failed":
                self.failed += 1
        if document.error is not None:
            self.errors.append(document.error)
        self.chunks += document.chunks
        self.pages += document.pages
        self.fraction, self.current_chunks = 0.0, 0

    def stored(self, chunks: int, tokens: int, fraction: float) -> None:
        """Count a stored batch of the current document."""
        self.current_chunks += chunks
        self.new_chunks += chunks
        self.tokens += tokens
        self.fraction = fraction

    @property
    def share(self) -> float:
        """Of the whole run, 0 to 1: documents count alike, the current one by its bytes."""
        return min(1.0, (self.done + self.failed + self.fraction) / self.total) if self.total else 1.0

    @contextmanager
    def timed(self, part: Part) -> Iterator[None]:
        """Add the block's duration to one of `Seconds`."""
        begun = self.clock()
        try:
            yield
        finally:
            setattr(self.seconds, part, getattr(self.seconds, part) + self.clock() - begun)

    def snapshot(self, state: RunState = "Running") -> Progress:
        final = state != "Running"
        elapsed = max(self.clock() - self._started, 1e-3)
        self._percent = max(self._percent, 100 if final else min(99, int(self.share * 100)))
        return Progress(
            state=state,
            stage="Finished" if final else self.stage,
            documents=DocumentCounts(total=self.total, done=self.done, skipped=self.skipped, failed=self.failed),
            pages=self.pages,
            chunks=self.chunks + self.current_chunks,
            tokens=self.tokens,
            percent=self._percent,
            chunks_per_second=round(self.new_chunks / elapsed, 1),
            eta_seconds=0 if final else self._eta(elapsed),
            timing=self._timing(),
            errors=tuple(self.errors[:MAX_ERRORS]),
        )

    def _eta(self, elapsed: float) -> int | None:
        gained = self.share - self._started_share
        return round(elapsed * (1 - self.share) / gained) if gained >= _ETA_FROM else None

    def _timing(self) -> Timing:
        before, now = self.earlier.timing, self.seconds
        return Timing(
            parse_seconds=round(before.parse_seconds + now.parse, 3),
            embed_seconds=round(before.embed_seconds + now.embed, 3),
            embed_wait_seconds=round(before.embed_wait_seconds + now.embed_wait, 3),
            store_seconds=round(before.store_seconds + now.store, 3),
        )

"""How far off the time left is, told by simulated runs: the real meters and sums, a clock of our own, seeded loads.

A mark's error is the difference between what was said when so many percent were reached and what it took, as a share of
the latter.
"""

import heapq
import itertools
import random
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache

import pytest

from dreamhub.domain.progress import Progress
from dreamhub.domain.run_totals import ITEM_WEIGHT, RunTotals, WorkerShare, sum_up
from dreamhub_worker.meter import READ, Meter

MARKS = (25, 50, 75)
BATCH_TOKENS = 50_000
SEEDS = range(6)


@dataclass(frozen=True)
class Document:
    tokens: int
    """As estimated."""
    factor: float = 1.0
    """True tokens to estimated ones."""
    read_seconds: float = 1e-5
    """A token."""
    unchanged: bool = False


@dataclass
class Bucket:
    """A provider's limit, shared by all workers: `burst` tokens at once, `rate` a second from then on."""

    rate: float = float("inf")
    burst: float = 0.0
    free_at: float = 0.0

    def wait(self, now: float, tokens: float) -> float:
        self.free_at = max(self.free_at, now - self.burst / self.rate) + tokens / self.rate
        return max(0.0, self.free_at - now)


@dataclass
class Load:
    """What a kind of run is like."""

    documents: Callable[[random.Random], list[Document]]
    workers: int = 1
    warm_up: float = 0.0
    """Seconds more for the first call of each worker."""
    bucket: Callable[[], Bucket] = Bucket
    slower_from: float = float("inf")
    """A moment from which everything takes twice as long."""


@dataclass
class Simulation:
    load: Load
    seed: int
    now: float = 0.0
    looks: list[tuple[float, Progress]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)  # noqa: S311 - a repeatable load
        documents = self.load.documents(self.chance)
        weight = sum(document.tokens + ITEM_WEIGHT for document in documents)
        self.run = RunTotals(len(documents), weight, collected=True)
        self.queue, self.bucket = deque(documents), self.load.bucket()
        self.meters = [Meter(lambda: self.now) for _ in range(self.load.workers)]
        self.settled = [[0, 0, 0] for _ in self.meters]

    def play(self) -> "Simulation":
        """Every worker's next step in the order of time; a look once a second."""
        steps = [self._work(index) for index in range(self.load.workers)]
        due: list[tuple[float, int]] = [(0.0, index) for index in range(len(steps))]
        next_look = 1.0
        while due:
            at, index = heapq.heappop(due)
            while next_look < at:
                self.now, next_look = next_look, next_look + 1.0
                self._look()
            self.now = at
            seconds = next(steps[index], None)
            if seconds is not None:
                heapq.heappush(due, (at + self._stretch(seconds), index))
        return self

    def _stretch(self, seconds: float) -> float:
        """A fifth more or less, and twice as long beside others."""
        slower = 2.0 if self.now >= self.load.slower_from else 1.0
        return seconds * slower * self.chance.uniform(0.8, 1.2)

    def _work(self, index: int) -> Iterator[float]:
        meter, warm_up = self.meters[index], self.load.warm_up
        while self.queue:
            document = self.queue.popleft()
            meter.approach()
            yield 0.01
            meter.begin(document.tokens + ITEM_WEIGHT)
            if not document.unchanged:
                yield 0.01 + document.tokens * document.read_seconds
                meter.resume(0, READ)
                batches = max(1, -(-document.tokens // BATCH_TOKENS))
                for batch in range(batches):
                    tokens = document.tokens * document.factor / batches
                    yield self.bucket.wait(self.now, tokens) + warm_up + 0.02 + tokens * 2e-5
                    warm_up = 0.0
                    meter.stored(1, round(tokens), READ + (1 - READ) * (batch + 1) / batches)
                yield 0.01
            meter.end(done=True)
            for place, more in enumerate((1, document.unchanged, document.tokens + ITEM_WEIGHT)):
                self.settled[index][place] += more

    def _look(self) -> None:
        shares = [
            WorkerShare(done=done, skipped=skipped, weight=weight, report=meter.report())
            for (done, skipped, weight), meter in zip(self.settled, self.meters, strict=True)
        ]
        before = self.looks[-1][1] if self.looks else Progress()
        self.looks.append((self.now, sum_up(self.run, shares, before)))

    def errors(self) -> list[float]:
        found = []
        for mark in MARKS:
            at, told = next(look for look in self.looks if look[1].percent >= mark)
            assert told.eta_seconds is not None, f"nothing was said at {mark} %"
            found.append(abs(told.eta_seconds - (self.now - at)) / (self.now - at))
        return found


def even(count: int, low: int, high: int) -> Callable[[random.Random], list[Document]]:
    return lambda chance: [Document(chance.randint(low, high)) for _ in range(count)]


def mixed(count: int, spread: float = 3.5) -> Callable[[random.Random], list[Document]]:
    """From notes to books in no order; every third is a PDF, which takes ten times as long to read."""
    return lambda chance: [
        Document(round(200 * 10 ** chance.uniform(0, spread)), read_seconds=1e-4 if chance.random() < 1 / 3 else 1e-5)
        for _ in range(count)
    ]


def misjudged(chance: random.Random) -> list[Document]:
    return [Document(chance.randint(2_000, 20_000), chance.uniform(0.3, 2.0)) for _ in range(400)]


def half_unchanged(chance: random.Random) -> list[Document]:
    return [Document(chance.randint(2_000, 20_000), unchanged=chance.random() < 0.5) for _ in range(800)]


def small_first(_: random.Random) -> list[Document]:
    return [Document(300) for _ in range(400)] + [Document(400_000) for _ in range(4)]


LOADS = {
    "steady": (Load(even(300, 3_000, 8_000)), 0.15),
    "steady, four workers": (Load(even(1_200, 3_000, 8_000), workers=4), 0.15),
    "one book": (Load(lambda _: [Document(3_000_000)]), 0.15),
    "a model that warms up": (Load(even(300, 3_000, 8_000), warm_up=15.0), 0.15),
    "estimates that are off": (Load(misjudged), 0.15),
    "half of it unchanged": (Load(half_unchanged), 0.15),
    "a model's limit": (Load(even(400, 3_000, 8_000), bucket=lambda: Bucket(20_000, 300_000)), 0.15),
    "a model's limit, four workers": (
        Load(even(800, 3_000, 8_000), workers=4, bucket=lambda: Bucket(20_000, 300_000)),
        0.15,
    ),
    "a hundredfold of sizes": (Load(mixed(200, 2.0)), 0.3),
    "notes and books": (Load(mixed(150)), 0.6),
    "notes and books, four workers": (Load(mixed(300), workers=4), 0.45),
    "notes before books": (Load(small_first), 0.15),
    "a neighbour halfway": (Load(even(600, 3_000, 8_000), slower_from=70.0), 0.6),
}


@cache
def play(name: str, seed: int) -> Simulation:
    return Simulation(LOADS[name][0], seed).play()


@pytest.mark.parametrize("name", LOADS)
def test_the_time_left_is_honest(name: str) -> None:
    """At each mark, in all runs but one."""
    errors = [play(name, seed).errors() for seed in SEEDS]
    for mark, found in zip(MARKS, zip(*errors, strict=True), strict=True):
        assert sorted(found)[-2] <= LOADS[name][1], (mark, [round(error, 2) for error in found])


def test_a_neighbour_is_noticed() -> None:
    """By what was done since the beginning it would be a third off at the end."""
    found = [play("a neighbour halfway", seed).errors() for seed in SEEDS]
    assert max(error[-1] for error in found) < 0.75 * min(error[1] for error in found)


@pytest.mark.parametrize("name", LOADS)
def test_percent_only_rises(name: str) -> None:
    told = [progress.percent for _, progress in play(name, 1).looks]
    assert all(before <= after for before, after in itertools.pairwise(told))

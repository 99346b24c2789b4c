"""Slots, tenants and jobs by a clock of their own: forecasts are told as reconciles tell them, and what then happens.

The decisions are those of `FairShare` itself; how long jobs take nobody knew before.
"""

import heapq
import itertools
import random
import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from dreamhub.domain.fair_books import Books
from dreamhub.domain.fair_share import FairShare, Order, Policy
from dreamhub.domain.queue_forecast import SHORTEST_SECONDS
from dreamhub_operator.reconcile.outlook import Outlook

ENTRIES_PER_SECOND = 15
"""So many new jobs are looked at."""
LOOK_SECONDS = 15.0
"""Those in front are told again so often, the others later by a second for each place."""


@dataclass(frozen=True)
class Outcome:
    forecast: float
    error: float
    actual: float
    first: bool
    """Whether it was the first that the job was told."""

    @property
    def held(self) -> bool:
        return abs(self.actual - self.forecast) <= self.error

    @property
    def off(self) -> float:
        """As a part of the forecast."""
        return abs(self.actual - self.forecast) / max(self.forecast, SHORTEST_SECONDS)

    @property
    def width(self) -> float:
        return self.error / max(self.forecast, SHORTEST_SECONDS)


@dataclass
class Plant:
    random: random.Random
    slots: int
    lasts: Callable[["Plant", Order], float]
    """Seconds that a job takes which begins now."""
    now: float = 0.0
    outlook: Outlook = field(default_factory=Outlook)
    outcomes: list[Outcome] = field(default_factory=list)
    running: int = 0
    share: FairShare = field(init=False)
    _events: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    _desk_free_at: float = 0.0
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)
    _told: dict[str, list[tuple[float, float, float]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.share = FairShare(Policy(self.slots), Books(600.0))

    def order(self, at: float, tenant: str, cost: int) -> None:
        """As a client does, whose clock tells whole seconds."""
        order = Order(f"{self.random.getrandbits(32):08x}", tenant, float(int(at)), cost)
        self._at(at, lambda: self._see(order))

    def run(self) -> None:
        """Until all is done."""
        while self._events:
            self.now, _, event = heapq.heappop(self._events)
            event()

    def _at(self, time: float, event: Callable[[], None]) -> None:
        heapq.heappush(self._events, (time, next(self._numbers), event))

    def _see(self, order: Order) -> None:
        self.outlook.expect(order, self.now)
        self._desk_free_at = max(self._desk_free_at, self.now) + 1 / ENTRIES_PER_SECOND
        self._at(self._desk_free_at, lambda: self._enter(order))

    def _enter(self, order: Order) -> None:
        self.outlook.expect_no_more(order.uid)
        self.share.wait(order)
        self._grant()
        self._look(order.uid)

    def _look(self, uid: str) -> None:
        place = self.share.place(uid)
        if not place:
            return
        told = self.outlook.foretell(self.share, uid, {}, self.now, frozenset())
        if told is not None:
            self._told.setdefault(uid, []).append((self.now, told.seconds, told.error))
        self._at(self.now + (LOOK_SECONDS + place if told is not None else 2.0), lambda: self._look(uid))

    def _grant(self) -> None:
        for order in self.share.grant(self.now):
            self.running += 1
            self.outlook.begin(order.uid, self.now)
            for number, (at, seconds, error) in enumerate(self._told.pop(order.uid, ())):
                self.outcomes.append(Outcome(seconds, error, self.now - at, number == 0))
            self._end_later(order)

    def _end_later(self, order: Order) -> None:
        self._at(self.now + self.lasts(self, order), lambda: self._end(order))

    def _end(self, order: Order) -> None:
        self.running -= 1
        self.share.release(order.uid)
        self.share.books.settle(order.uid, order.charge, self.now)
        self.outlook.end(order, self.now, counts=True)
        self._grant()


def coverage(outcomes: Iterable[Outcome]) -> float:
    return statistics.mean(outcome.held for outcome in outcomes)

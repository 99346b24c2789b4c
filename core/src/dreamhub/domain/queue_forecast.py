"""When a waiting IngestJob is likely to begin, and how far off that may be. Pure: the clock is handed in.

The forecast is a rehearsal: the very decisions of `fair_share` are played through on a copy, with jobs that last as
long as jobs of their tenant have lasted for what they cost. The error is not computed but learnt: from how far the last
forecasts were off. What nobody can know, such as work that others will order meanwhile, is in it for that reason.
"""

import heapq
from collections import deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from dreamhub.domain.fair_share import FairShare, Order

FORGET = 0.9
"""What earlier jobs count for when another has ended."""
OVERRUN = 0.2
"""Of its usual length, what is expected of a job that has outlasted it."""
FEWEST_OUTCOMES = 10
FIRST_ERROR = 0.5
"""Share of the forecast, until there are `FEWEST_OUTCOMES`."""
COVERED = 0.8
"""Share of the outcomes that lie within the error."""
SHORTEST_SECONDS = 5.0
"""Forecasts below count as this where errors are relative: of three seconds, one is much."""


@dataclass
class Durations:
    """How long slots were held, by tenant and of all."""

    _sums: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Cost and seconds of the jobs that have ended, by tenant, and under "" of all."""

    def note(self, tenant: str, cost: int, seconds: float) -> None:
        for name in (tenant, ""):
            known_cost, known_seconds = self._sums.get(name, (0.0, 0.0))
            self._sums[name] = known_cost * FORGET + max(1, cost), known_seconds * FORGET + max(0.0, seconds)

    @property
    def are_known(self) -> bool:
        return "" in self._sums

    def expect(self, order: Order) -> float:
        """Seconds. Of no use before anything has ended."""
        cost, seconds = self._sums.get(order.tenant) or self._sums.get("", (1.0, 0.0))
        return max(1, order.cost) * seconds / cost

    def expect_rest(self, order: Order, elapsed: float) -> float:
        usual = self.expect(order)
        return max(usual - elapsed, usual * OVERRUN)


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """Seconds from its time on until jobs begin."""

    at: float
    starts: Mapping[str, float]
    """By UID, of those that came to begin."""
    reached: Mapping[str, tuple[int, float]]
    """By tenant: how many came to begin, and when the last did."""
    gap: float = 0.0
    """Between two beginnings, when nobody else wants the slots."""

    def find(self, uid: str, tenant: str, place: int, now: float) -> float | None:
        """For those further back at the pace of their tenant; None when it has none."""
        seconds = self.starts.get(uid)
        if seconds is None and tenant in self.reached:
            number, last = self.reached[tenant]
            seconds = last + max(0, place - number) * max(self.gap, last / number)
        return max(0.0, seconds - (now - self.at)) if seconds is not None else None


@dataclass(frozen=True, slots=True)
class Scene:
    """What a rehearsal begins with."""

    now: float
    rests: Mapping[str, float]
    """Seconds that running jobs take still, by UID; those that are absent never end."""
    expect: Callable[[Order], float]
    """Seconds that a job takes."""
    cold_held: Collection[str] = ()
    """Tenants whose cold jobs wait all the time."""


def rehearse(share: FairShare, scene: Scene, most: int) -> Rehearsal:
    """`most`: of the next jobs, how many are played through. `share` stays as it is."""
    trial = share.copy()
    lengths = [scene.expect(order) for order in trial.running()]
    gap = sum(lengths) / len(lengths) ** 2 if lengths else 0.0
    ends = [(rest, uid) for uid, rest in scene.rests.items() if trial.runs(uid)]
    heapq.heapify(ends)
    starts: dict[str, float] = {}
    reached: dict[str, tuple[int, float]] = {}
    while ends and len(starts) < most:
        passed, uid = heapq.heappop(ends)
        ended = trial.release(uid)
        if ended is not None:
            trial.books.settle(uid, ended.charge, scene.now + passed)
        for order in trial.grant(scene.now + passed, scene.cold_held):
            starts[order.uid] = passed
            reached[order.tenant] = reached.get(order.tenant, (0, 0.0))[0] + 1, passed
            heapq.heappush(ends, (passed + scene.expect(order), order.uid))
    return Rehearsal(scene.now, starts, reached, gap)


@dataclass
class Accuracy:
    """How far off forecasts were, relative to themselves."""

    _errors: deque[float] = field(default_factory=lambda: deque(maxlen=200))

    def note(self, promised: float, actual: float) -> None:
        """Both in seconds from the time of the forecast."""
        self._errors.append(abs(actual - promised) / max(promised, SHORTEST_SECONDS))

    def error(self, seconds: float) -> float:
        """Within which a forecast of so many seconds is likely to come true, either way."""
        share = FIRST_ERROR
        if len(self._errors) >= FEWEST_OUTCOMES:
            share = sorted(self._errors)[min(len(self._errors) - 1, int(COVERED * len(self._errors)))]
        return share * max(seconds, SHORTEST_SECONDS)

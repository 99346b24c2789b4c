"""When a waiting IngestJob is likely to begin, and how far off that may be. Pure: the clock is handed in.

The forecast is a rehearsal: the very decisions of `fair_share` are played through on a copy, with jobs that last as
long as jobs of their tenant have lasted for what they cost. The error is not computed but learnt: from what has become
of forecasts that looked as far ahead. What nobody can know, such as work that others will order meanwhile or a machine
that is busier for a while, is in it for that reason.
"""

import heapq
import math
import statistics
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field

from dreamhub.domain.fair_share import FairShare, Order

FORGET = 0.9
"""What earlier jobs count for when another has ended."""
OVERRUN = 0.2
"""Of its usual length, what is expected of a job that has outlasted it."""
COVERED = 0.8
"""Share of the forecasts that come true within their error, at least."""
TAIL = 0.07
"""Share of the known outcomes that the error leaves out at either end: fewer than it might, for the future is not like
the past."""
SHORTEST_SECONDS = 5.0
"""Added to forecasts and outcomes where they are compared: of three seconds, one is much."""
FIRST_FACTORS = (0.25, 3.0)
"""Of what was forecast, within which an outcome is expected of which nothing is known yet."""
FIRST_COUNTS = 4
"""So many outcomes count as much as what is expected without any."""
KEPT = 24
"""Outcomes of each range that are remembered."""
APART = 4
"""In a range a forecast is held against its outcome once in this part of itself: those of one moment err alike."""


@dataclass
class Durations:
    """How long slots were held, by tenant and of all."""

    _sums: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Cost and seconds of the jobs that have ended, by tenant, and under "" of all."""

    def note(self, tenant: str, cost: int, seconds: float) -> None:
        self._add(tenant, cost, seconds, FORGET)

    def heed(self, running: Iterable[tuple[Order, float]]) -> "Durations":
        """With those that have outlasted what was expected, by the seconds that they run: short jobs end first."""
        heeded = Durations(dict(self._sums))
        for order, elapsed in running:
            if elapsed > self.expect(order):
                heeded._add(order.tenant, order.cost, elapsed, 1.0)
        return heeded

    def _add(self, tenant: str, cost: int, seconds: float, kept: float) -> None:
        for name in (tenant, ""):
            known_cost, known_seconds = self._sums.get(name, (0.0, 0.0))
            self._sums[name] = known_cost * kept + max(1, cost), known_seconds * kept + max(0.0, seconds)

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
class Forecast:
    seconds: float
    error: float
    """Either way, within which `COVERED` of the forecasts come true."""


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
    arriving: Iterable[Order] = ()
    """Jobs that are not in line yet and will be."""


def rehearse(share: FairShare, scene: Scene, most: int) -> Rehearsal:
    """`most`: of the next jobs, how many are played through. `share` stays as it is."""
    trial = share.copy()
    for order in scene.arriving:
        trial.wait(order)
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
class TrackRecord:
    """What has become of forecasts, by how far they looked ahead: each range reaches twice as far as the one before."""

    _factors: dict[int, deque[float]] = field(default_factory=dict)
    """Logarithms of outcomes, as parts of what was forecast."""
    _taken_at: dict[int, float] = field(default_factory=dict)

    def take(self, seconds: float, now: float) -> bool:
        """Whether a forecast of so many seconds is to be held against its outcome."""
        known = self._taken_at.get(_range(seconds))
        if known is not None and now - known < (seconds + SHORTEST_SECONDS) / APART:
            return False
        self._taken_at[_range(seconds)] = now
        return True

    def note(self, seconds: float, actual: float) -> None:
        """The outcome of one that was taken; both from its time on."""
        factor = math.log((max(0.0, actual) + SHORTEST_SECONDS) / (seconds + SHORTEST_SECONDS))
        self._factors.setdefault(_range(seconds), deque(maxlen=KEPT)).append(factor)

    def judge(self, seconds: float) -> Forecast:
        """What the rehearsal says, as outcomes have taught to read it."""
        number = _range(seconds)
        known = sorted(factor for near in (-1, 0, 1) for factor in self._factors.get(number + near, ()))
        low, middle, high = math.log(FIRST_FACTORS[0]), 0.0, math.log(FIRST_FACTORS[1])
        if known:
            weight, last = len(known) / (len(known) + FIRST_COUNTS), len(known) - 1
            low += weight * (known[int(TAIL * last)] - low)
            middle = weight * statistics.median(known)
            high += weight * (known[math.ceil((1 - TAIL) * last)] - high)
        earliest, likely, latest = (_scale(seconds, factor) for factor in (low, middle, high))
        return Forecast(likely, max(latest - likely, likely - earliest))


def _range(seconds: float) -> int:
    return int(math.log2((seconds + SHORTEST_SECONDS) / SHORTEST_SECONDS))


def _scale(seconds: float, factor: float) -> float:
    return max(0.0, (seconds + SHORTEST_SECONDS) * math.exp(factor) - SHORTEST_SECONDS)

"""Forecasts against what then happens: a simulation plays it out with lengths of jobs that nobody knew before."""

import heapq
import random
import statistics
from dataclasses import dataclass, field

import pytest

from dreamhub.domain.fair_books import Books
from dreamhub.domain.fair_share import FairShare, Order, Policy, Terms
from dreamhub.domain.queue_forecast import (
    FIRST_ERROR,
    SHORTEST_SECONDS,
    Accuracy,
    Durations,
    Rehearsal,
    Scene,
    rehearse,
)


@dataclass
class Machine:
    """Slots and tenants with work in hand; each forecast is kept and held against the outcome."""

    random: random.Random
    slots: int
    share: FairShare = field(init=False)
    durations: Durations = field(default_factory=Durations)
    accuracy: Accuracy = field(default_factory=Accuracy)
    now: float = 0.0
    began: dict[str, float] = field(default_factory=dict)
    ends: list[tuple[float, str]] = field(default_factory=list)
    outcomes: list[tuple[float, float, float]] = field(default_factory=list)
    """Forecast, its error, and what happened."""
    _promises: dict[str, tuple[float, float, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.share = FairShare(Policy(self.slots), Books(600.0))

    def order(self, uid: str, tenant: str) -> None:
        self.share.wait(Order(uid, tenant, self.now, self.random.randint(500, 5_000)))
        self._begin()

    def foretell(self) -> None:
        """For all that wait and have no forecast yet."""
        if not self.durations.are_known:
            return
        rests = {o.uid: self.durations.expect_rest(o, self.now - self.began[o.uid]) for o in self.share.running()}
        rehearsal = rehearse(self.share, Scene(self.now, rests, self.durations.expect), 200)
        for order in self.share.waiting():
            seconds = rehearsal.find(order.uid, order.tenant, self.share.place(order.uid), self.now)
            if seconds is not None and order.uid not in self._promises:
                self._promises[order.uid] = self.now, seconds, self.accuracy.error(seconds)

    def step(self) -> None:
        """To the next end of a job."""
        self.now, uid = heapq.heappop(self.ends)
        order = self.share.release(uid)
        assert order is not None
        self.share.books.settle(uid, order.charge, self.now)
        self.durations.note(order.tenant, order.cost, self.now - self.began[uid])
        self._begin()

    def _begin(self) -> None:
        for order in self.share.grant(self.now):
            self.began[order.uid] = self.now
            lasts = order.cost / 100 * self.random.lognormvariate(0, 0.4)
            heapq.heappush(self.ends, (self.now + lasts, order.uid))
            if order.uid in self._promises:
                at, seconds, error = self._promises.pop(order.uid)
                self.accuracy.note(seconds, self.now - at)
                self.outcomes.append((seconds, error, self.now - at))


@pytest.mark.parametrize("seed", range(4))
def test_most_outcomes_lie_within_the_error_though_others_order_meanwhile(seed: int) -> None:
    """Four tenants of different weights order now and then, in bursts."""
    machine = Machine(random.Random(seed), slots=4)  # noqa: S311 - a simulation
    for number, weight in enumerate((50, 100, 100, 200)):
        machine.share.set_terms(f"t{number}", Terms(weight))
    number = 0
    while number < 600:
        tenant = f"t{machine.random.randrange(4)}"
        for _ in range(machine.random.randint(1, 12)):
            number += 1
            machine.order(f"j{number}", tenant)
        machine.foretell()
        while len(list(machine.share.waiting())) > machine.random.randint(0, 25):
            machine.step()
    settled = machine.outcomes[100:]
    assert len(settled) > 200
    assert coverage(settled) >= 0.7
    assert statistics.median(off(*outcome) for outcome in settled) <= 0.6


@pytest.mark.parametrize("seed", range(4))
def test_a_backlog_that_grows_no_more_is_foretold_closely(seed: int) -> None:
    machine = Machine(random.Random(seed), slots=4)  # noqa: S311 - a simulation
    for number in range(40):
        machine.order(f"w{number}", f"t{number % 4}")
    while machine.ends:
        machine.step()
    machine.outcomes.clear()
    for number in range(200):
        machine.order(f"j{number}", f"t{min(3, number % 8)}")
    machine.foretell()
    while machine.ends:
        machine.step()
    assert len(machine.outcomes) >= 190
    assert statistics.median(off(*outcome) for outcome in machine.outcomes) <= 0.3


def coverage(outcomes: list[tuple[float, float, float]]) -> float:
    return statistics.mean(abs(actual - seconds) <= error for seconds, error, actual in outcomes)


def off(seconds: float, _: float, actual: float) -> float:
    return abs(actual - seconds) / max(seconds, SHORTEST_SECONDS)


def test_a_rehearsal_knows_the_decisions_to_come_and_changes_nothing() -> None:
    share = FairShare(Policy(1), Books(600.0))
    share.wait(Order("running", "a", 0.0, 100))
    share.grant(0.0)
    for number in range(5):
        share.wait(Order(f"a{number}", "a", 0.0, 100))
    share.wait(Order("b", "b", 5.0, 100))
    rehearsal = rehearse(share, Scene(10.0, {"running": 30.0}, lambda _: 100.0), 4)
    assert rehearsal.starts == {"b": 30.0, "a0": 130.0, "a1": 230.0, "a2": 330.0}
    assert rehearsal.find("b", "b", 1, now=20.0) == 20.0
    assert rehearsal.find("a4", "a", 5, now=10.0) == pytest.approx(330 + 2 * 330 / 3)
    assert (share.place("a4"), share.runs("b")) == (5, False)


def test_those_who_came_after_a_rehearsal_are_foretold_by_the_slots_there_are() -> None:
    """Two that are about to end begin two at once: that is no pace to go by."""
    share = FairShare(Policy(2), Books(600.0))
    for number in range(4):
        share.wait(Order(f"a{number}", "a", float(number), 100))
    share.grant(4.0)
    rehearsal = rehearse(share, Scene(10.0, {"a0": 1.0, "a1": 1.0}, lambda _: 100.0), 9)
    assert rehearsal.starts == {"a2": 1.0, "a3": 1.0}
    assert rehearsal.find("late", "a", 12, now=10.0) == 1 + 10 * 50


def test_cold_work_that_is_held_back_has_no_forecast() -> None:
    share = FairShare(Policy(1), Books(600.0))
    share.wait(Order("running", "a", 0.0, 100))
    share.grant(0.0)
    share.wait(Order("cold", "a", 0.0, 100, "Cold"))
    rehearsal = rehearse(share, Scene(0.0, {"running": 30.0}, lambda _: 100.0, {"a"}), 9)
    assert rehearsal.find("cold", "a", 1, now=0.0) is None


def test_a_forecast_that_is_over_says_at_once() -> None:
    assert Rehearsal(0.0, {"j": 5.0}, {}).find("j", "a", 1, now=60.0) == 0


def test_how_long_jobs_take_is_learnt_by_tenant_and_from_others_until_then() -> None:
    durations = Durations()
    assert not durations.are_known
    durations.note("a", 100, 10.0)
    assert durations.are_known
    assert durations.expect(Order("x", "b", 0.0, 500)) == 50
    durations.note("b", 100, 40.0)
    assert durations.expect(Order("x", "b", 0.0, 500)) == 200
    assert durations.expect_rest(Order("x", "b", 0.0, 500), 150.0) == 50
    assert durations.expect_rest(Order("x", "b", 0.0, 500), 900.0) == 40


def test_the_error_is_what_forecasts_were_off_by() -> None:
    accuracy = Accuracy()
    assert accuracy.error(100.0) == 100 * FIRST_ERROR
    for actual in (100.0, 110.0, 120.0, 130.0, 100.0, 100.0, 100.0, 100.0, 100.0, 100.0):
        accuracy.note(100.0, actual)
    assert accuracy.error(100.0) == pytest.approx(20)
    assert accuracy.error(1.0) == pytest.approx(0.2 * SHORTEST_SECONDS)

"""Forecasts of when jobs begin, against what then happens: the error that is told has to hold what it claims."""

import random
import statistics
from collections.abc import Callable

import pytest

from dreamhub.domain.fair_share import Order, Terms
from dreamhub.domain.queue_forecast import COVERED, FIRST_FACTORS
from tests.unit.operator.plant import Outcome, Plant, coverage

SEEDS = range(3)
MEDIAN_OFF = 0.7
"""Of the forecast. What happens after it was told, such as the machine that becomes six times as fast, is in it."""


def uneven(spread: float) -> Callable[[Plant, Order], float]:
    """Estimates are off by this much, one way or the other."""
    return lambda plant, order: order.cost / 100 * plant.random.lognormvariate(0, spread)


def crowded(plant: Plant, order: Order) -> float:
    """Two processors: the more run, the longer each takes."""
    return order.cost / 200 * plant.random.lognormvariate(0, 0.4) * max(1.0, plant.running / 2)


def busy_at_first(plant: Plant, order: Order) -> float:
    """The rush itself keeps the machine busy; then all is six times as fast."""
    return order.cost / 100 * plant.random.lognormvariate(0, 0.3) * (6 if plant.now < 60 else 1)


def build(seed: int, lasts: Callable[[Plant, Order], float], slots: int = 4) -> Plant:
    return Plant(random.Random(seed), slots, lasts)  # noqa: S311 - a simulation


def order_in_bursts(plant: Plant) -> None:
    """Four tenants of different weights, now and then, for hours."""
    at = 0.0
    for number, weight in enumerate((50, 100, 100, 200)):
        plant.share.set_terms(f"t{number}", Terms(weight))
    for _ in range(50):
        at += plant.random.expovariate(1 / 100)
        tenant = f"t{plant.random.randrange(4)}"
        for _ in range(plant.random.randint(1, 14)):
            plant.order(at + plant.random.random(), tenant, plant.random.randint(500, 5_000))


def order_at_once(plant: Plant) -> None:
    """One tenant its whole corpus, another one a little of its own in the midst of it; nothing was known before."""
    for number in range(400):
        plant.order(number / 60, "large", 200)
    for number in range(12):
        plant.order(60 + number / 60, "small", 200)


def order_one_after_another(plant: Plant) -> None:
    """Tenants that nobody could know of join a queue that stands."""
    at = 0.0
    for round_number in range(8):
        for number in range(40):
            plant.order(at + number / 60, "first", 1_000)
        for newcomer in range(2):
            at += plant.random.expovariate(1 / 100)
            for number in range(plant.random.randint(2, 15)):
                plant.order(at + number / 60, f"n{round_number}-{newcomer}", plant.random.randint(500, 2_000))


def order_side_by_side(plant: Plant) -> None:
    """Twelve tenants at once."""
    for tenant in range(12):
        for _ in range(20):
            plant.order(plant.random.random() * 10, f"m{tenant}", plant.random.choice((200, 1_000, 5_000)))


@pytest.mark.parametrize(
    ("ordered", "lasts", "slots"),
    [
        pytest.param(order_in_bursts, uneven(0.4), 4, id="bursts"),
        pytest.param(order_in_bursts, uneven(1.0), 4, id="bursts of jobs of any length"),
        pytest.param(order_in_bursts, crowded, 4, id="bursts on a crowded machine"),
        pytest.param(order_at_once, uneven(0.3), 4, id="rush"),
        pytest.param(order_at_once, crowded, 4, id="rush on a crowded machine"),
        pytest.param(order_at_once, busy_at_first, 4, id="rush that slows the machine itself"),
        pytest.param(order_one_after_another, uneven(0.5), 4, id="newcomers"),
        pytest.param(order_side_by_side, uneven(0.5), 8, id="twelve tenants"),
    ],
)
def test_as_many_come_true_within_their_error_as_it_claims(
    ordered: Callable[[Plant], None], lasts: Callable[[Plant, Order], float], slots: int
) -> None:
    """Of the first that each job is told, when least is known, and of all."""
    outcomes = [outcome for seed in SEEDS for outcome in play(seed, ordered, lasts, slots)]
    first = [outcome for outcome in outcomes if outcome.first]
    assert len(first) > 500
    assert coverage(first) >= COVERED
    assert coverage(outcomes) >= COVERED
    assert statistics.median(outcome.off for outcome in outcomes) <= MEDIAN_OFF
    assert statistics.median(outcome.width for outcome in outcomes) <= FIRST_FACTORS[1] - 1 + 0.2


def play(
    seed: int, ordered: Callable[[Plant], None], lasts: Callable[[Plant, Order], float], slots: int
) -> list[Outcome]:
    plant = build(seed, lasts, slots)
    ordered(plant)
    plant.run()
    return plant.outcomes


@pytest.mark.parametrize("spread", [0.1, 0.4])
def test_the_error_shrinks_to_what_is_usual(spread: float) -> None:
    """One tenant's queue that is always about as long."""
    plant = build(1, uneven(spread))
    for number in range(500):
        plant.order(number * 5, "steady", 2_100)
    plant.run()
    late = plant.outcomes[len(plant.outcomes) // 2 :]
    assert coverage(late) >= COVERED
    assert statistics.median(outcome.width for outcome in late) <= 1.0

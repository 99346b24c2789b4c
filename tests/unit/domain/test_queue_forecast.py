"""The rehearsal, what it learns from, how its record is read. `tests/unit/operator/test_outlook.py` plays it out."""

import math

import pytest

from dreamhub.domain.fair_books import Books
from dreamhub.domain.fair_share import FairShare, Order, Policy
from dreamhub.domain.queue_forecast import (
    APART,
    FIRST_COUNTS,
    FIRST_FACTORS,
    KEPT,
    SHORTEST_SECONDS,
    Durations,
    Rehearsal,
    Scene,
    TrackRecord,
    rehearse,
)


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


def test_short_jobs_end_first_so_those_that_outlast_them_are_heeded() -> None:
    durations = Durations()
    durations.note("a", 100, 10.0)
    running = [(Order("within", "a", 0.0, 100), 8.0), (Order("over", "a", 0.0, 100), 30.0)]
    heeded = durations.heed(running)
    assert heeded.expect(Order("x", "a", 0.0, 100)) == pytest.approx(20)
    assert heeded.expect(Order("x", "b", 0.0, 100)) == pytest.approx(20)
    assert durations.expect(Order("x", "a", 0.0, 100)) == pytest.approx(10)


def test_before_anything_is_known_the_error_is_wider_than_the_forecast() -> None:
    told = TrackRecord().judge(100.0)
    assert told.seconds == pytest.approx(100)
    assert told.error == pytest.approx((100 + SHORTEST_SECONDS) * (FIRST_FACTORS[1] - 1))


def test_outcomes_move_the_forecast_and_set_its_error_where_they_looked_as_far_ahead() -> None:
    record = TrackRecord()
    for number in range(KEPT):
        record.note(100.0, 200.0 if number % 8 else 230.0)
    told = record.judge(100.0)
    known = KEPT / (KEPT + FIRST_COUNTS)
    assert told.seconds == pytest.approx(105 * (205 / 105) ** known - SHORTEST_SECONDS)
    assert told.seconds + told.error == pytest.approx(
        105 * math.exp(known * math.log(235 / 105) + (1 - known) * math.log(FIRST_FACTORS[1])) - SHORTEST_SECONDS
    )
    assert record.judge(1_000.0) == TrackRecord().judge(1_000.0)


def test_of_forecasts_of_one_moment_one_counts() -> None:
    record = TrackRecord()
    pause = (40 + SHORTEST_SECONDS) / APART
    assert [record.take(40.0, at) for at in (0.0, 0.0, pause - 1, pause)] == [True, False, False, True]
    assert record.take(400.0, 0.0)

"""What a worker tells of itself: the document in hand, times, and rates of what it did since it began."""

import pytest

from dreamhub.domain.pace import Pace
from dreamhub.domain.progress import Timing
from dreamhub.domain.run_totals import ITEM_WEIGHT, WorkerReport
from dreamhub_worker.meter import RATE_SECONDS, READ, Meter


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_nothing_in_hand_says_nothing() -> None:
    meter = Meter(Clock())
    assert meter.report() == WorkerReport(stage="Starting")
    meter.begin(1_000)
    meter.end(done=True)
    assert meter.report().stage is None


def test_the_document_in_hand_counts_by_its_fraction() -> None:
    meter = Meter(Clock())
    meter.begin(2_000)
    meter.stored(256, tokens=1_000, fraction=0.5)
    report = meter.report()
    assert (report.current_chunks, report.current_weight, report.tokens) == (256, 1_000, 1_000)
    meter.end(done=False)
    report = meter.report()
    assert (report.current_chunks, report.current_weight, report.tokens) == (0, 0, 1_000)


def test_the_rate_is_that_of_the_last_seconds() -> None:
    clock = Clock()
    meter = Meter(clock, WorkerReport(tokens=50, chunks_per_second=99))
    meter.begin(1_000)
    meter.resume(768, 0.5)
    clock.now += 2
    meter.stored(100, tokens=10, fraction=0.6)
    assert meter.report().chunks_per_second == 50
    for _ in range(20):
        clock.now += 2
        meter.stored(20, tokens=10, fraction=0.7)
    report = meter.report()
    assert report.chunks_per_second == 10
    assert (report.current_chunks, report.tokens) == (1_268, 260)
    clock.now += RATE_SECONDS + 1
    assert meter.report().chunks_per_second == 0, "it stands still"


def do_one(meter: Meter, clock: Clock, seconds: float) -> None:
    """A document of 1,000 tokens: half of the time to read, half to store."""
    meter.approach()
    meter.begin(ITEM_WEIGHT + 1_000)
    clock.now += seconds / 2
    meter.resume(0, READ)
    clock.now += seconds / 2
    meter.stored(1, tokens=1_000, fraction=1)
    meter.end(done=True)


def test_how_long_documents_take_is_learnt_and_the_first_one_is_forgotten() -> None:
    clock = Clock()
    known = Pace(document_seconds=9)
    meter = Meter(clock, WorkerReport(pace=known))
    assert meter.report().pace == known, "of the attempt before, until this one knows better"
    for seconds in (30, 2, 2):  # the first one waits for a process that loads
        do_one(meter, clock, seconds)
    pace = meter.report().pace
    assert pace is not None
    assert pace.predict(1, 1_000) == pytest.approx(2, rel=0.01)


def test_what_the_document_in_hand_still_takes_falls_as_time_goes() -> None:
    clock = Clock()
    meter = Meter(clock)
    for _ in range(3):
        do_one(meter, clock, 2)
    meter.approach()
    meter.begin(ITEM_WEIGHT + 1_000)
    assert (meter.report().in_hand, meter.report().seconds_in_hand) == (ITEM_WEIGHT + 1_000, 2)
    clock.now += 0.5
    assert meter.report().seconds_in_hand == 1.5
    clock.now += 0.5
    meter.resume(0, READ)
    clock.now += 50
    assert meter.report().seconds_in_hand == 0, "it takes longer than others: nobody knows how long"
    meter.end(done=False)
    assert (meter.report().in_hand, meter.report().seconds_in_hand) == (0, 0)


def test_time_is_added_to_that_of_earlier_attempts() -> None:
    clock = Clock()
    meter = Meter(clock, WorkerReport(timing=Timing(parse_seconds=3, store_seconds=1)))
    with meter.timed("parse"):
        clock.now += 2
    assert meter.report().timing == Timing(parse_seconds=5, store_seconds=1)


def test_the_slow_calls_of_the_model_are_told() -> None:
    clock = Clock()
    meter = Meter(clock)
    for seconds in range(1, 101):
        with meter.timed("embed"):
            clock.now += seconds
    assert meter.report().timing.embed_p95_seconds == 97, "of the last 64"


def test_what_it_waits_for_is_cut_to_what_a_report_holds() -> None:
    meter = Meter(clock=lambda: 0.0)
    meter.wait_for("x" * 1_000)
    assert meter.report().waiting == "x" * 400
    meter.wait_for("")
    assert not meter.report().waiting

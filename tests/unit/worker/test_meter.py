"""What a worker tells of itself: the document in hand, times, and rates of what it did since it began."""

from dreamhub.domain.progress import Timing
from dreamhub.domain.run_totals import WorkerReport
from dreamhub_worker.meter import Meter


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


def test_rates_are_of_what_this_attempt_did() -> None:
    clock = Clock()
    meter = Meter(clock, WorkerReport(tokens=50, chunks_per_second=99, weight_per_second=99))
    clock.now += 50  # it had nothing to do yet
    meter.begin(1_000)
    meter.resume(768, 0.5)
    clock.now += 2
    meter.stored(100, tokens=10, fraction=0.75)
    report = meter.report()
    assert (report.chunks_per_second, report.weight_per_second) == (50, 125)
    assert (report.current_chunks, report.tokens) == (868, 60)
    meter.end(done=True)
    clock.now += 2
    assert meter.report().weight_per_second == 125, "500 of the document's 1,000 in four seconds"


def test_what_was_put_off_is_no_progress() -> None:
    clock = Clock()
    meter = Meter(clock)
    meter.begin(1_000)
    meter.stored(1, tokens=0, fraction=0.9)
    meter.end(done=False)
    clock.now += 1
    assert meter.report().weight_per_second == 0


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

"""Percent never goes back, rates and remaining time follow from what was done."""

from hypothesis import given
from hypothesis import strategies as st

from dreamhub.domain.progress import DocumentError, Progress, Timing
from dreamhub.sql.ingest import RunDocument, RunOutcome
from dreamhub_worker.meter import MAX_ERRORS, Meter


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def outcome(kind: RunOutcome, chunks: int = 0) -> RunDocument:
    return RunDocument("doc", "ver", kind, chunks=chunks)


def started(total: int, clock: Clock, earlier: Progress | None = None) -> Meter:
    meter = Meter(total=total, clock=clock, earlier=earlier or Progress())
    meter.start()
    return meter


STEPS = st.lists(
    st.one_of(st.floats(0, 1), st.sampled_from(["Done", "Skipped", "Failed"])),
    max_size=30,
)


@given(STEPS, st.integers(0, 100))
def test_percent_never_goes_back(steps: list[float | RunOutcome], before: int) -> None:
    meter = started(5, Clock(), Progress(percent=before))
    last = before
    for step in steps:
        if isinstance(step, float):
            meter.fraction = step
        elif meter.done + meter.failed < meter.total:
            meter.settle(outcome(step))
        percent = meter.snapshot().percent
        assert last <= percent <= 100
        last = percent
    assert meter.snapshot("Succeeded").percent == 100


def test_a_running_job_is_never_at_a_hundred() -> None:
    meter = started(1, Clock())
    meter.fraction = 1.0
    assert meter.snapshot().percent == 99


def test_counts_follow_outcomes() -> None:
    meter = started(3, Clock())
    meter.settle(outcome("Done", chunks=7))
    meter.settle(outcome("Skipped"))
    error = DocumentError(document="doc", error_class="Permanent", reason="EncryptedPDF", message="m")
    meter.settle(RunDocument("doc", "ver", "Failed", error=error))
    documents = meter.snapshot().documents
    assert (documents.total, documents.done, documents.skipped, documents.failed) == (3, 2, 1, 1)
    assert meter.snapshot().errors == (error,)
    assert meter.snapshot().chunks == 7


def test_chunks_of_a_document_that_fails_are_no_longer_counted() -> None:
    meter = started(2, Clock())
    meter.stored(256, tokens=1_000, fraction=0.5)
    assert meter.snapshot().chunks == 256
    meter.settle(outcome("Failed"))
    assert meter.snapshot().chunks == 0
    assert meter.snapshot().tokens == 1_000


def test_remaining_time_follows_from_the_rate() -> None:
    clock = Clock()
    meter = started(4, clock)
    assert meter.snapshot().eta_seconds is None
    clock.now += 10
    meter.settle(outcome("Done", chunks=100))
    assert meter.snapshot().eta_seconds == 30
    assert meter.snapshot("Succeeded").eta_seconds == 0


def test_the_rate_counts_what_this_attempt_stored() -> None:
    clock = Clock()
    meter = Meter(total=2, clock=clock)
    meter.settle(outcome("Done", chunks=5_000))
    meter.start()
    clock.now += 2
    meter.stored(500, tokens=0, fraction=0.5)
    assert meter.snapshot().chunks_per_second == 250
    assert meter.snapshot().chunks == 5_500
    assert meter.snapshot().eta_seconds == 2


def test_time_is_added_to_that_of_earlier_attempts() -> None:
    clock = Clock()
    meter = started(1, clock, Progress(timing=Timing(parse_seconds=3, store_seconds=1)))
    with meter.timed("parse"):
        clock.now += 2
    assert meter.snapshot().timing == Timing(parse_seconds=5, store_seconds=1)


def test_only_ten_errors_travel() -> None:
    meter = started(20, Clock())
    for number in range(20):
        error = DocumentError(document=str(number), error_class="Permanent", reason="r", message="m")
        meter.settle(RunDocument(str(number), "ver", "Failed", error=error))
    assert len(meter.snapshot().errors) == MAX_ERRORS


def test_an_empty_job_is_finished_work() -> None:
    assert Meter(total=0, clock=Clock()).share == 1.0

"""A run's progress is the sum of its workers', and its percent never goes back."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from dreamhub.domain.pace import Line, Pace
from dreamhub.domain.progress import MOST, DocumentError, Progress, Timing
from dreamhub.domain.run_totals import ITEM_WEIGHT, MAX_ERRORS, RunTotals, WorkerReport, WorkerShare, sum_up

RUN = RunTotals(total=10, weight=1_000, collected=True)


def share(**changes: object) -> WorkerShare:
    return replace(WorkerShare(), **changes)  # type: ignore[arg-type] # any field of it


@given(st.lists(st.tuples(st.integers(0, 1_500), st.floats(0, 1_500), st.integers(1, 2_000)), max_size=20))
def test_percent_never_goes_back(steps: list[tuple[int, float, int]]) -> None:
    """Whatever is settled, put off or found: also when there is more to do than was known."""
    last = Progress()
    for settled, current, whole in steps:
        workers = [share(weight=settled, report=WorkerReport(current_weight=current))]
        progress = sum_up(replace(RUN, weight=whole), workers, last)
        assert last.percent <= progress.percent <= 99
        last = progress
    assert sum_up(RUN, [], last, state="Succeeded").percent == 100


def test_counts_are_sums() -> None:
    workers = [
        share(done=3, skipped=1, chunks=30, pages=2, weight=300, report=WorkerReport(tokens=7, current_chunks=4)),
        share(failed=1, chunks=5, weight=100, report=WorkerReport(stage="Embedding", tokens=1, current_weight=100)),
    ]
    progress = sum_up(RUN, workers, Progress(stage="Fetching"))
    counts = progress.documents
    assert (counts.total, counts.done, counts.skipped, counts.failed) == (10, 3, 1, 1)
    assert (progress.chunks, progress.pages, progress.tokens, progress.percent) == (39, 2, 8, 50)
    assert progress.stage == "Embedding"


def test_what_a_dead_worker_had_in_hand_is_not_counted_and_what_it_settled_is() -> None:
    dead = share(
        alive=False,
        done=1,
        weight=100,
        report=WorkerReport(current_weight=500, pace=Pace(document_seconds=9), tokens=5),
    )
    progress = sum_up(RUN, [dead], Progress())
    assert (progress.percent, progress.tokens, progress.eta_seconds) == (10, 5, None)


def test_remaining_time_is_the_work_that_is_left_divided_by_the_workers() -> None:
    """Four of twelve documents are settled, two in hand: six of 3,000 tokens wait, of which each takes 4 seconds."""
    run = RunTotals(total=12, weight=12 * (ITEM_WEIGHT + 3_000), collected=True)
    pace = Pace(document_seconds=1, token_seconds=0.001)
    hand = {"in_hand": ITEM_WEIGHT + 3_000, "pace": pace}
    workers = [
        share(
            done=2, weight=2 * (ITEM_WEIGHT + 3_000), report=WorkerReport.model_validate({**hand, "seconds_in_hand": s})
        )
        for s in (3, 1)
    ]
    assert sum_up(run, workers, Progress()).eta_seconds == (6 * 4 + 3 + 1) / 2
    assert sum_up(replace(run, collected=False), workers, Progress()).eta_seconds is None, "more may come"
    assert sum_up(run, workers, Progress(), state="Failed").eta_seconds == 0
    unchanged = [replace(worker, skipped=1) for worker in workers]
    assert sum_up(run, unchanged, Progress()).eta_seconds == (3 * 4 + 3 + 1) / 2, "half of them need nothing"
    short = [replace(w, report=w.report.model_copy(update={"short_of_tokens": 5})) for w in workers]
    assert sum_up(run, short, Progress()).eta_seconds is None


def test_the_last_document_is_not_divided() -> None:
    pace = Pace(token_seconds=0.001)
    workers = [share(weight=500, report=WorkerReport(pace=pace)) for _ in range(4)]
    run = RunTotals(total=1, weight=2_000 + ITEM_WEIGHT + 60_000, collected=True)
    assert sum_up(run, workers, Progress(percent=1)).eta_seconds == 60


def test_a_rate_of_nearly_nothing_makes_no_number_that_nobody_can_read() -> None:
    workers = [share(weight=100, report=WorkerReport(pace=Pace(document_seconds=MOST)))]
    assert sum_up(RUN, workers, Progress()).eta_seconds == MOST


@given(st.lists(st.tuples(st.floats(0, 1e9), st.floats(0, 1e9)), min_size=1, max_size=30))
def test_whatever_was_seen_no_document_takes_less_than_no_time(steps: list[tuple[float, float]]) -> None:
    line = Line()
    for tokens, seconds in steps:
        line.add(tokens, seconds)
        pace = line.fit()
        assert pace.document_seconds >= 0
        assert pace.token_seconds >= 0


def test_two_sizes_tell_what_a_document_costs_by_itself() -> None:
    line = Line()
    for tokens, seconds in [(0, 99), (0, 1), (1_000, 2), (0, 1), (10_000, 11)]:
        line.add(tokens, seconds)
    assert line.fit() == Pace(document_seconds=1, token_seconds=0.001)


@pytest.mark.parametrize(
    "text",
    [
        '{"etaSeconds": 1' + "0" * 400 + "}",
        '{"tokens": -1}',
        '{"tokens": 9007199254740993}',
        '{"percent": 101}',
        '{"chunksPerSecond": Infinity}',
        '{"timing": {"embedP95Seconds": NaN}}',
        '{"documents": {"total": -4}}',
    ],
)
def test_numbers_out_of_all_reason_are_no_progress(text: str) -> None:
    """The tenant's own login may write it."""
    with pytest.raises(ValidationError):
        Progress.model_validate_json(text)


@pytest.mark.parametrize("text", ['{"pace": {"tokenSeconds": -1}}', '{"estimated": [1, -1]}', '{"tokens": 1e300}'])
def test_nor_are_they_a_report(text: str) -> None:
    with pytest.raises(ValidationError):
        WorkerReport.model_validate_json(text)


def test_timings_add_up_and_the_slowest_model_counts() -> None:
    timings = [Timing(parse_seconds=1, embed_p95_seconds=0.5), Timing(parse_seconds=2, embed_p95_seconds=2)]
    workers = [share(report=WorkerReport(timing=timing)) for timing in timings]
    assert sum_up(RUN, workers, Progress()).timing == Timing(parse_seconds=3, embed_p95_seconds=2)


def test_only_ten_errors_travel() -> None:
    errors = [DocumentError(document=str(n), error_class="Permanent", reason="r", message="m") for n in range(20)]
    assert sum_up(RUN, [], Progress(), errors).errors == tuple(errors[:MAX_ERRORS])


def test_an_empty_run_has_no_share() -> None:
    assert sum_up(RunTotals(0, 0, collected=True), [], Progress()).percent == 0


def test_of_a_source_that_is_being_read_there_is_no_percent() -> None:
    done = [share(done=9, weight=900)]
    reading = sum_up(replace(RUN, collected=False), done, Progress())
    assert (reading.percent, reading.reading, reading.eta_seconds) == (0, True, None)
    after = sum_up(RUN, done, reading)
    assert (after.percent, after.reading) == (90, False)


def test_what_is_waited_for_is_told_while_somebody_waits() -> None:
    waits = share(report=WorkerReport(waiting="the scanner is away"))
    assert sum_up(RUN, [share(), waits], Progress()).waiting == "the scanner is away"
    assert sum_up(RUN, [replace(waits, alive=False)], Progress()).waiting == ""
    assert sum_up(RUN, [waits], Progress(), state="Failed").waiting == ""

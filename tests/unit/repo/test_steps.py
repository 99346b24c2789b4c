import threading
from collections.abc import Callable

import pytest

from hack.steps import Outcome, Result, format_seconds, format_summary, last_words, run_steps


def ticking() -> Callable[[], float]:
    """A clock that moves on by one second each time it is read."""
    ticks = iter(range(1000))
    return lambda: float(next(ticks))


def runner(failing: str) -> Callable[[str], Outcome]:
    return lambda target: Outcome(2 if target == failing else 0)


def test_a_failure_stops_the_steps_behind_it() -> None:
    results = run_steps([["a"], ["b"], ["c"]], runner("b"), keep_going=False, clock=ticking())
    assert results == [Result("a", Outcome(0), 1), Result("b", Outcome(2), 1), Result("c", None, 0)]


def test_keep_going_runs_all_and_still_fails() -> None:
    results = run_steps([["a"], ["b"], ["c"]], runner("b"), keep_going=True, clock=ticking())
    assert [result.failed for result in results] == [False, True, False]


def test_the_targets_of_a_step_run_side_by_side() -> None:
    meeting = threading.Barrier(2, timeout=60)

    def run(_: str) -> Outcome:
        meeting.wait()
        return Outcome(0)

    results = run_steps([["a", "b"]], run, keep_going=False)
    assert [(result.target, result.outcome) for result in results] == [("a", Outcome(0)), ("b", Outcome(0))]


def test_what_follows_a_step_with_a_failure_in_it_is_not_reached() -> None:
    results = run_steps([["a", "b"], ["c", "d"]], runner("b"), keep_going=False)
    assert [result.outcome for result in results] == [Outcome(0), Outcome(2), None, None]


def test_summary_tells_state_time_and_closing_line() -> None:
    summary = format_summary(
        [
            Result("test-unit", Outcome(0, "412 passed in 9.1s"), 10.04),
            Result("test-e2e", Outcome(1), 125),
        ],
        seconds=130,
    )
    assert summary.splitlines() == [
        "  test-unit  ok                 10.0 s  412 passed in 9.1s",
        "  test-e2e   FAILED         2 min 05 s",
        "  total      FAILED         2 min 10 s",
    ]


def test_summary_names_steps_that_were_not_reached() -> None:
    summary = format_summary([Result("images", Outcome(1), 1), Result("install", None, 0)], seconds=1)
    assert summary.splitlines()[1] == "  install  not reached"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (59.94, "59.9 s"),
        (60, "1 min 00 s"),
        (61.4, "1 min 01 s"),
        (119.7, "2 min 00 s"),
        (3599, "59 min 59 s"),
    ],
)
def test_seconds(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["noise\n", "====== 3 passed, 1 skipped in 0.2s ======\n", "\n"], "3 passed, 1 skipped in 0.2s"),
        (["=====\n", "\n"], ""),
        ([], ""),
    ],
)
def test_last_words(lines: list[str], words: str) -> None:
    assert last_words(lines) == words

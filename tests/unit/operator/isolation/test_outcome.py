"""What a round of probes means."""

import pytest

from dreamhub_operator.isolation.outcome import (
    Blocked,
    Inconclusive,
    Leaked,
    Outcome,
    Probe,
    describe,
    same_answer,
    tally,
)


def probes(*outcomes: Outcome) -> list[Probe]:
    return [Probe("sql", f"attempt {number}", outcome) for number, outcome in enumerate(outcomes)]


@pytest.mark.parametrize(
    ("outcomes", "verdict", "failed", "detail"),
    [
        ((Blocked(), Blocked()), "Verified", 0, ""),
        ((Blocked(), Leaked("a row came")), "Failed", 1, "sql: attempt 1: a row came"),
        ((Inconclusive("away"), Leaked("a row came")), "Failed", 1, "sql: attempt 1: a row came"),
        ((Leaked("one"), Leaked("two")), "Failed", 2, "sql: attempt 0: one"),
        ((Blocked(), Inconclusive("away")), "Inconclusive", 0, "sql: attempt 1: unknown, because away"),
        ((), "Inconclusive", 0, "no probe was run"),
    ],
)
def test_tally(outcomes: tuple[Outcome, ...], verdict: str, failed: int, detail: str) -> None:
    found = tally(probes(*outcomes))
    assert (found.verdict, found.probes, found.failed, found.detail) == (verdict, len(outcomes), failed, detail)


def test_failures_are_counted_by_family() -> None:
    leaks = [Probe("sql", "a", Leaked("x")), Probe("redis", "b", Leaked("x")), Probe("redis", "c", Leaked("x"))]
    assert tally([*leaks, Probe("s3", "d", Blocked())]).failed_by_family == {"sql": 1, "redis": 2}


def test_difference_between_foreign_and_absent_is_a_leak() -> None:
    assert same_answer((404, "x"), (404, "x")) == Blocked()
    assert isinstance(same_answer((403, "x"), (404, "x")), Leaked)


def test_refusal_reads_as_one() -> None:
    assert describe(Probe("s3", "GET", Blocked())) == "s3: GET: refused"

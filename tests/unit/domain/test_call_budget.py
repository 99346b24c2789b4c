"""However it is asked, a bucket keeps any minute below its limit, and gives out nearly all of it."""

from hypothesis import given
from hypothesis import strategies as st

from dreamhub.domain.call_budget import HORIZON_SECONDS, LEAD_SECONDS, MINUTE, PACE, Bucket, CallRecord, Rates

STEPS = st.lists(st.tuples(st.floats(0, 5), st.integers(1, 200)), min_size=1, max_size=200)


def run(bucket: Bucket, steps: list[tuple[float, int]], *, urgent: bool = False) -> list[tuple[float, int]]:
    """The moments at which calls are made, with their tokens."""
    now, made = 0.0, []
    for pause, tokens in steps:
        now += pause
        turn = bucket.take(tokens, now, urgent=urgent)
        if turn.granted:
            made.append((now + turn.seconds, tokens))
    return made


@given(STEPS)
def test_no_minute_holds_more_than_the_limit(steps: list[tuple[float, int]]) -> None:
    limit = Rates(requests=120, tokens=10_000)
    made = sorted(run(Bucket(limit.times(PACE)), steps))
    for start, _ in made:
        minute = [tokens for at, tokens in made if start <= at < start + MINUTE]
        assert len(minute) <= 120
        assert sum(minute) <= 10_000 + 200  # the last one may be larger than what gathers


def test_who_always_asks_gets_nearly_all() -> None:
    bucket, now, given_out = Bucket(Rates(tokens=60_000).times(PACE)), 0.0, 0
    while now < 120:
        turn = bucket.take(500, now)
        now += turn.seconds
        given_out += 500 * turn.granted
    assert 0.96 <= given_out / 120_000 <= 1.0


def test_nobody_reserves_far_ahead() -> None:
    bucket = Bucket(Rates(tokens=600))
    turns = [bucket.take(20, 0.0) for _ in range(10)]
    assert [turn.granted for turn in turns] == [True, True, True] + [False] * 7
    assert {turn.seconds for turn in turns[3:]} == {HORIZON_SECONDS}


def test_urgent_calls_go_first_and_are_counted() -> None:
    bucket = Bucket(Rates(requests=60))
    for _ in range(4):
        bucket.take(1, 0.0)
    assert bucket.take(1, 0.0, urgent=True).seconds == 0
    assert bucket.take(1, 0.0).seconds > 3
    urgent = [bucket.take(1, 0.0, urgent=True) for _ in range(20)]
    assert sum(turn.seconds == 0 for turn in urgent) <= LEAD_SECONDS


def test_what_is_given_back_can_be_taken() -> None:
    bucket = Bucket(Rates(tokens=6_000))
    bucket.take(120, 0.0)
    assert bucket.take(100, 0.0).seconds > 0
    bucket.give_back(CallRecord("ok", 1.0, reserved=220, tokens=100).surplus)
    assert bucket.take(20, 0.0).seconds == 0


def test_what_a_call_leaves() -> None:
    assert CallRecord("ok", 1.0, 100, 30).surplus == 70
    assert CallRecord("ok", 1.0, 100, 130).surplus == -30
    assert CallRecord("timeout", 1.0, 100).surplus == 0


def test_without_limits_nobody_waits() -> None:
    bucket = Bucket(Rates())
    assert all(bucket.take(10**9, 0.0) == bucket.take(1, 0.0) for _ in range(100))
    assert Rates().unlimited
    assert Rates(60, None).times(0.5) == Rates(30, None)

"""When a key is left alone, and how it comes back."""

from pathlib import Path

import pytest

from dreamhub.errors import UnavailableError
from dreamhub.llm.api_keys import NO_KEY, KeyRing
from dreamhub.llm.breaker import FAILURES, MOST_PROBE_SECONDS, PROBE_SECONDS, Breaker


def test_failures_in_a_row_open_it_and_one_success_between_does_not() -> None:
    breaker = Breaker()
    for _ in range(FAILURES - 1):
        breaker.fail(0.0)
    breaker.succeed()
    for _ in range(FAILURES - 1):
        breaker.fail(0.0)
    assert breaker.seconds_until_usable(0.0) == 0
    breaker.fail(0.0)
    assert (breaker.cause, breaker.seconds_until_usable(0.0)) == ("failing", PROBE_SECONDS)


def test_one_probe_at_a_time_and_ever_later() -> None:
    breaker, now, pauses = Breaker(), 0.0, []
    for _ in range(FAILURES):
        breaker.fail(now)
    for _ in range(6):
        pauses.append(breaker.seconds_until_usable(now))
        now += pauses[-1]
        breaker.claim()
        assert breaker.seconds_until_usable(now) > 0
        breaker.fail(now)
    assert pauses == [0.5, 1.0, 2.0, 4.0, MOST_PROBE_SECONDS["failing"], MOST_PROBE_SECONDS["failing"]]
    breaker.claim()
    breaker.succeed()
    assert breaker.seconds_until_usable(now) == 0


def test_a_refused_key_opens_it_at_once_and_calls_under_way_do_not_push_the_probe_back() -> None:
    breaker = Breaker()
    breaker.refuse("unauthorized", 0.0)
    breaker.refuse("unauthorized", 0.3)
    assert breaker.seconds_until_usable(0.3) == pytest.approx(0.2)
    assert breaker.opened_at == 0.0


def test_a_probe_that_is_cancelled_makes_room_for_another() -> None:
    breaker = Breaker()
    breaker.refuse("quota", 0.0)
    breaker.claim()
    breaker.release()
    assert breaker.seconds_until_usable(10.0) == 0


def test_what_is_asked_for_holds_and_does_not_open() -> None:
    breaker = Breaker()
    breaker.hold(7.0)
    breaker.hold(3.0)
    assert (breaker.cause, breaker.seconds_until_usable(2.0), breaker.seconds_until_usable(7.0)) == (None, 5.0, 0.0)


@pytest.fixture
def ring(tmp_path: Path) -> KeyRing:
    for name in ("a", "b"):
        (tmp_path / name).write_text(f"sk-{name}\n")
    return KeyRing("m", (tmp_path / "a", tmp_path / "b"))


def claim(ring: KeyRing, now: float = 0.0) -> str | None:
    key = ring.claim(now)
    return key.secret if key is not None else None


def test_keys_take_turns(ring: KeyRing) -> None:
    assert sorted([claim(ring), claim(ring)], key=str) == ["sk-a", "sk-b"]


def test_a_refused_key_is_left_out_until_it_is_replaced(ring: KeyRing) -> None:
    next(key for key in ring.read() if key.secret == "sk-a").breaker.refuse("unauthorized", 0.0)
    assert {claim(ring) for _ in range(4)} == {"sk-b"}
    assert ring.refused() is None
    ring.files[0].write_text("sk-new")
    assert {claim(ring) for _ in range(4)} == {"sk-new", "sk-b"}


def test_when_all_are_refused_that_is_told_with_its_beginning(ring: KeyRing) -> None:
    for at, key in enumerate(ring.read(), start=3):
        key.breaker.refuse("unauthorized", float(at))
    assert ring.refused() == ("unauthorized", 4.0)
    assert claim(ring, 3.2) is None
    ring.read()[0].breaker.refuse("quota", 5.0)
    assert ring.refused() == ("quota", 5.0)


def test_a_file_that_is_gone_is_left_out_and_none_at_all_is_an_error(ring: KeyRing) -> None:
    ring.files[0].unlink()
    assert claim(ring) == "sk-b"
    ring.files[1].unlink()
    with pytest.raises(UnavailableError, match="is the Secret mounted"):
        ring.read()


def test_an_endpoint_that_wants_no_key() -> None:
    assert claim(KeyRing("m", ())) == NO_KEY

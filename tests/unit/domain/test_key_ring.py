"""A ring of keys over a rotation: who can read what at each step, and that nothing is lost on the way."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from dreamhub.domain.key_ring import KeyRing
from dreamhub.domain.keys import DataKeys, name_key
from dreamhub.errors import BugError, InvalidInputError, UnavailableError

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LATER = NOW + timedelta(days=1)
RING = KeyRing.generate(NOW)


def test_a_rotation_from_the_first_key_to_the_destruction_of_it() -> None:
    text = RING.keys.encrypt(b"text", b"")
    added = RING.add(LATER, "please")
    assert (added.keys.active, added.newest, added.outdated, added.since, added.request) == (
        "1",
        "2",
        (),
        LATER,
        "please",
    )
    assert name_key(added.keys.encrypt(b"", b"")) == "1", "nobody meets a key before everybody has it"
    active = added.activate(LATER)
    assert (active.keys.active, active.outdated) == ("2", ("1",))
    assert active.keys.decrypt(text, b"") == b"text"
    retired = active.retire("1", LATER)
    assert (list(retired.keys.keys), retired.outdated, retired.retired["1"].since) == (["2"], (), LATER)
    with pytest.raises(UnavailableError, match="data key 1"):
        retired.keys.decrypt(text, b"")
    assert retired.readable().decrypt(text, b"") == b"text"
    assert retired.revive("1").outdated == ("1",)
    assert retired.revive("1").keys.decrypt(text, b"") == b"text"
    destroyed = retired.destroy("1")
    with pytest.raises(UnavailableError):
        destroyed.readable().decrypt(text, b"")
    assert destroyed.keys.index == RING.keys.index, "the blind index survives every rotation"
    assert destroyed.add(LATER, "").newest == "3", "an id is never used twice"


def test_the_active_key_is_never_retired() -> None:
    with pytest.raises(BugError):
        RING.retire("1", NOW)


@pytest.mark.parametrize(
    "ring",
    [
        RING,
        RING.add(LATER, "x"),
        RING.add(LATER, "x").activate(LATER),
        RING.add(LATER, "x").activate(LATER).retire("1", LATER),
    ],
)
def test_every_state_comes_back_as_it_went(ring: KeyRing) -> None:
    assert KeyRing.parse(ring.dump()) == ring
    assert DataKeys.parse(ring.dump()) == ring.keys, "an earlier release reads what it needs"


def test_keys_of_an_earlier_release_are_a_ring() -> None:
    keys = DataKeys.generate()
    assert KeyRing.parse(keys.dump()) == KeyRing(keys)


def test_ids_that_are_no_numbers_are_the_oldest() -> None:
    keys = DataKeys("first", {"first": bytes(32)}, bytes(32))
    ring = KeyRing(keys).add(NOW, "")
    assert ring.newest == "1"
    assert ring.activate(NOW).outdated == ("first",)


@pytest.mark.parametrize(
    "change", [{"since": "x"}, {"since": 3}, {"retired": {"1": {}}}, {"retired": 3}, {"retired": {"1": {"key": "?"}}}]
)
def test_what_the_operator_did_not_write_is_refused_without_quoting_it(change: dict[str, object]) -> None:
    text = json.dumps({**json.loads(RING.dump()), **change})
    with pytest.raises(InvalidInputError) as caught:
        KeyRing.parse(text)
    assert caught.value.__cause__ is None
    assert json.loads(RING.dump())["keys"]["1"] not in str(caught.value)


def test_secrets_are_not_in_the_repr() -> None:
    ring = RING.add(NOW, "").activate(NOW).retire("1", NOW)
    assert "secret" not in repr(ring).lower()
    assert repr(RING.keys.keys["1"]) not in repr(ring)

"""Wrapping: only by the right master key, only for the right tenant, and never a quoted secret."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dreamhub.domain.envelope import MasterKeys, is_wrapped
from dreamhub.domain.keys import DataKeys
from dreamhub.errors import BugError, DreamHubError, InvalidInputError

MASTERS = MasterKeys.generate()
PLAIN = DataKeys.generate().dump()
ENTRY = MASTERS.wrap("acme", PLAIN)


def test_an_entry_comes_back_for_its_tenant_only() -> None:
    assert MASTERS.unwrap("acme", ENTRY) == PLAIN
    with pytest.raises(BugError, match="was moved or damaged"):
        MASTERS.unwrap("other", ENTRY)
    assert is_wrapped(ENTRY)
    assert MASTERS.is_current(ENTRY)
    secret = json.loads(PLAIN)["keys"]["1"]
    assert secret not in ENTRY


def test_a_plain_entry_of_the_first_release_is_read_and_known_as_such() -> None:
    assert MASTERS.unwrap("acme", PLAIN) == PLAIN
    assert not is_wrapped(PLAIN)
    assert not MASTERS.is_current(PLAIN)


def test_a_rotation_reads_what_the_key_before_has_wrapped_and_no_older_one() -> None:
    once = MASTERS.rotate()
    assert once.unwrap("acme", ENTRY) == PLAIN
    assert not once.is_current(ENTRY)
    assert once.is_current(once.wrap("acme", PLAIN))
    twice = once.rotate()
    assert twice.unwrap("acme", once.wrap("acme", PLAIN)) == PLAIN
    with pytest.raises(InvalidInputError, match="master key 1, which is not among") as caught:
        twice.unwrap("acme", ENTRY)
    assert caught.value.code == "MasterKeyMissing"


def test_another_key_under_the_same_id_is_noticed() -> None:
    with pytest.raises(BugError) as caught:
        MasterKeys.generate().unwrap("acme", ENTRY)
    assert caught.value.code == "MasterKeyMismatch"


@given(at=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_any_changed_bit_is_noticed(at: int, bit: int) -> None:
    document = json.loads(ENTRY)
    sealed = bytearray(base64.b64decode(document["sealed"]))
    sealed[at % len(sealed)] ^= 1 << bit
    with pytest.raises(BugError):
        MASTERS.unwrap("acme", json.dumps({**document, "sealed": base64.b64encode(sealed).decode()}))


def test_master_keys_come_back_as_they_went_and_do_not_show() -> None:
    assert MasterKeys.parse(MASTERS.dump()) == MASTERS
    assert repr(MASTERS.keys["1"]) not in repr(MASTERS)


KEY = base64.b64encode(bytes(32)).decode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"active": "1", "keys": {}}',
        json.dumps({"active": "2", "keys": {"1": KEY}}),
        '{"active": "1", "keys": {"1": "c2hvcnQ="}}',
        '{"active": "1", "keys": {"1": "top-secret!"}}',
    ],
)
def test_other_texts_are_refused_without_quoting_them(text: str) -> None:
    with pytest.raises(DreamHubError) as caught:
        MasterKeys.parse(text)
    assert caught.value.__cause__ is None
    assert "top-secret" not in caught.value.message

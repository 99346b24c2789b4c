import base64
import json
import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dreamhub.domain.keys import DataKeys, key_header, name_key
from dreamhub.errors import BugError, InvalidInputError, UnavailableError

KEYS = DataKeys(active="1", keys={"1": bytes(32)}, index=bytes(range(32)))
SECRET = base64.b64encode(b"s" * 32).decode()


@given(plain=st.binary(), aad=st.binary())
def test_decryption_undoes_encryption(plain: bytes, aad: bytes) -> None:
    assert KEYS.decrypt(KEYS.encrypt(plain, aad), aad) == plain


@given(plain=st.binary(min_size=1, max_size=40), at=st.integers(0, 200), bit=st.integers(0, 7))
def test_any_changed_bit_is_noticed(plain: bytes, at: int, bit: int) -> None:
    sealed = bytearray(KEYS.encrypt(plain, b"row"))
    sealed[at % len(sealed)] ^= 1 << bit
    with pytest.raises((BugError, UnavailableError)):
        KEYS.decrypt(bytes(sealed), b"row")


@pytest.mark.parametrize("sealed", [b"", b"\x01", b"\x011", b"\x011" + bytes(12), b"\xff" * 30])
def test_cut_off_bytes_are_noticed(sealed: bytes) -> None:
    with pytest.raises(BugError):
        KEYS.decrypt(sealed, b"")


def test_a_ciphertext_belongs_to_its_row() -> None:
    with pytest.raises(BugError, match="does not fit its row"):
        KEYS.decrypt(KEYS.encrypt(b"text", b"row 1"), b"row 2")


def test_equal_plain_texts_do_not_look_equal() -> None:
    assert KEYS.encrypt(b"text", b"") != KEYS.encrypt(b"text", b"")


def test_rotation_reads_old_and_writes_new() -> None:
    old = KEYS.encrypt(b"text", b"")
    rotated = DataKeys(active="2", keys={"1": bytes(32), "2": b"2" * 32}, index=KEYS.index)
    assert rotated.decrypt(old, b"") == b"text"
    new = rotated.encrypt(b"text", b"")
    with pytest.raises(UnavailableError, match="data key 2 of the tenant is not known here"):
        KEYS.decrypt(new, b"")
    assert name_key(rotated.reseal(old, b"")) == "2"
    assert rotated.reseal(old, b"").startswith(key_header("2"))
    assert rotated.blind("name", b"x") == KEYS.blind("name", b"x"), "the blind index survives a rotation"


def test_blind_hashes_depend_on_key_and_purpose() -> None:
    other = DataKeys.generate()
    hashes = {keys.blind(purpose, b"x") for keys in (KEYS, other) for purpose in ("name", "tag", "content", "term")}
    assert len(hashes) == 8
    assert {len(value) for value in hashes} == {16}
    assert KEYS.blind("tag", b"x") == KEYS.blind("tag", b"x")


def test_json_form_round_trips() -> None:
    keys = DataKeys.generate()
    assert DataKeys.parse(keys.dump()) == keys
    assert keys != DataKeys.generate()


@pytest.mark.parametrize(
    "document",
    [
        "",
        "not json " + SECRET,
        "[]",
        "{}",
        json.dumps({"active": "2", "keys": {"1": SECRET}, "index": SECRET}),
        json.dumps({"active": "1", "keys": {"1": SECRET[:8]}, "index": SECRET}),
        json.dumps({"active": "1", "keys": {"1": SECRET}, "index": "%%%" + SECRET}),
        json.dumps({"active": "1", "keys": [SECRET], "index": SECRET}),
        json.dumps({"active": "", "keys": {"": SECRET}, "index": SECRET}),
    ],
)
def test_bad_keys_are_refused_without_being_shown(document: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        DataKeys.parse(document)
    assert SECRET[:8] not in "".join(traceback.format_exception(caught.value))


def test_repr_shows_no_secret() -> None:
    keys = DataKeys(active="1", keys={"1": b"visible-secret-" * 2 + b"xx"}, index=b"visible-secret-" * 2 + b"yy")
    assert "visible" not in repr(keys)

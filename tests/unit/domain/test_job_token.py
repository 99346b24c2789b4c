"""Job tokens: what one of our keys has signed is believed until it expires, and nothing else ever."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dreamhub.domain.job_token import JobClaims, check_keys, sign_token, verify_token
from dreamhub.errors import InvalidInputError, UnauthenticatedError

NOW = 1_800_000_000
KEYS = check_keys(["a" * 32, "b" * 32])
CLAIMS = JobClaims("acme", "0f5a3f0e-5a54-4d43-a5c6-6c0a9c2e9a11", NOW + 60)


def test_a_token_tells_its_claims() -> None:
    assert verify_token(sign_token(CLAIMS, KEYS), KEYS, NOW) == CLAIMS


def test_the_key_before_is_believed_until_it_is_taken_away() -> None:
    token = sign_token(CLAIMS, KEYS)
    rotated = check_keys(["c" * 32, "a" * 32])
    assert verify_token(token, rotated, NOW) == CLAIMS
    with pytest.raises(UnauthenticatedError, match="not one of ours"):
        verify_token(token, check_keys(["c" * 32]), NOW)


def test_an_expired_token_is_refused_at_its_very_second() -> None:
    token = sign_token(CLAIMS, KEYS)
    assert verify_token(token, KEYS, CLAIMS.expires - 1) == CLAIMS
    with pytest.raises(UnauthenticatedError, match="expired"):
        verify_token(token, KEYS, CLAIMS.expires)


@given(st.integers(0, 10_000), st.integers(0, 255))
def test_a_token_with_one_byte_changed_is_refused(place: int, byte: int) -> None:
    token = bytearray(sign_token(CLAIMS, KEYS).encode())
    place %= len(token)
    if token[place] == byte:
        return
    token[place] = byte
    with pytest.raises(UnauthenticatedError):
        verify_token(token.decode("latin-1"), KEYS, NOW)


@given(st.text(max_size=200) | st.just("\udcff.x"))
def test_any_text_is_refused_politely(text: str) -> None:
    with pytest.raises(UnauthenticatedError):
        verify_token(text, KEYS, NOW)
    with pytest.raises(UnauthenticatedError):
        verify_token(f"v1.{text}", KEYS, NOW)


def test_claims_cannot_be_lent_to_another_tenant() -> None:
    version, payload, mac = sign_token(CLAIMS, KEYS).split(".")
    body = json.loads(base64.urlsafe_b64decode(payload + "=="))
    other = base64.urlsafe_b64encode(json.dumps({**body, "tenant": "beta"}).encode()).decode().rstrip("=")
    with pytest.raises(UnauthenticatedError):
        verify_token(f"{version}.{other}.{mac}", KEYS, NOW)


@pytest.mark.parametrize("claims", [JobClaims("../x", "u", NOW + 9), JobClaims("acme", "", NOW + 9)])
def test_what_was_signed_is_checked_all_the_same(claims: JobClaims) -> None:
    with pytest.raises(UnauthenticatedError, match="another release"):
        verify_token(sign_token(claims, KEYS), KEYS, NOW)


@pytest.mark.parametrize("keys", [[], ["short"], ["a" * 32, "short"]])
def test_weak_keys_are_refused(keys: list[str]) -> None:
    with pytest.raises(InvalidInputError, match="at least 32"):
        check_keys(keys)

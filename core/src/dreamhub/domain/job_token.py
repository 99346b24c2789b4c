"""What a worker shows to the API server when it asks for links: whose run it belongs to, until when.

    v1.<payload>.<HMAC-SHA256 of the payload>        both base64url without padding

The operator makes a token for each run, the API server checks it; both read the same keys from files. The token opens
nothing but links to originals of that run's tenant, which its worker could read and write anyway. There is no list of
tokens: one ends with its expiry, with its run, or with the keys.
"""

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Sequence
from dataclasses import dataclass

from dreamhub.errors import InvalidInputError, UnauthenticatedError
from dreamhub.names import is_tenant_name

MIN_KEY_BYTES = 32
_VERSION = "v1"
_MAX_TOKEN = 1024
_MAX_RUN = 64
"""A UID of Kubernetes has 36 characters."""


@dataclass(frozen=True, slots=True)
class JobClaims:
    tenant: str
    run: str
    """UID of the IngestJob."""
    expires: int
    """Unix seconds."""


def check_keys(keys: Sequence[str]) -> tuple[bytes, ...]:
    """The keys as bytes, the signing one first. Raises InvalidInputError for none, or one that is too short."""
    found = tuple(key.encode() for key in keys)
    if not found or any(len(key) < MIN_KEY_BYTES for key in found):
        raise InvalidInputError(
            f"a key for job tokens must have at least {MIN_KEY_BYTES} characters; make one with "
            "`openssl rand -hex 32` and put it under `current` of the Secret",
            code="SecretMissing",
        )
    return found


def sign_token(claims: JobClaims, keys: Sequence[bytes]) -> str:
    body = json.dumps({"tenant": claims.tenant, "run": claims.run, "exp": claims.expires}, separators=(",", ":"))
    payload = _encode(body.encode())
    return f"{_VERSION}.{payload}.{_encode(_mac(keys[0], payload))}"


def verify_token(token: str, keys: Sequence[bytes], now: float) -> JobClaims:
    """The claims of a token that one of the keys has signed. Raises UnauthenticatedError, which never quotes it."""
    version, _, rest = token.partition(".")
    payload, _, mac = rest.partition(".")
    ours = len(token) <= _MAX_TOKEN and token.isascii() and version == _VERSION
    if not ours or not any(_fits(key, payload, mac) for key in keys):
        raise UnauthenticatedError("this job token is not one of ours", code="InvalidToken")
    claims = _read(payload)
    if claims.expires <= now:
        raise UnauthenticatedError("this job token has expired; create a new ingest job", code="InvalidToken")
    return claims


def _fits(key: bytes, payload: str, mac: str) -> bool:
    return hmac.compare_digest(_encode(_mac(key, payload)).encode(), mac.encode())


def _read(payload: str) -> JobClaims:
    """Of a payload whose MAC fits: what else is wrong with it, an operator of another release has signed."""
    try:
        body = json.loads(_decode(payload))
        claims = JobClaims(str(body["tenant"]), str(body["run"]), int(body["exp"]))
    except (ValueError, KeyError, TypeError, binascii.Error):
        raise UnauthenticatedError("this job token is of another release", code="InvalidToken") from None
    if not is_tenant_name(claims.tenant) or not 0 < len(claims.run) <= _MAX_RUN:
        raise UnauthenticatedError("this job token is of another release", code="InvalidToken")
    return claims


def _mac(key: bytes, payload: str) -> bytes:
    return hmac.digest(key, f"{_VERSION}.{payload}".encode(), hashlib.sha256)


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))

"""What a bearer token shows before anything is verified: enough to choose a verifier, never to decide."""

import base64
import binascii
import hashlib
import json
from dataclasses import dataclass
from typing import Any

from dreamhub.errors import UnauthenticatedError

MAX_TOKEN_CHARACTERS = 16_384
_MALFORMED = "the bearer token is not a JSON Web Token"


@dataclass(frozen=True)
class UnverifiedToken:
    header: dict[str, Any]
    claims: dict[str, Any]

    @property
    def issuer(self) -> str | None:
        value = self.claims.get("iss")
        return value if isinstance(value, str) else None

    @property
    def audiences(self) -> frozenset[str]:
        value = self.claims.get("aud")
        found = value if isinstance(value, list) else [value]
        return frozenset(item for item in found if isinstance(item, str))

    @property
    def expires_at(self) -> float | None:
        value = self.claims.get("exp")
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def read_bearer(header: str | None) -> str:
    """The token of an Authorization header."""
    if not header:
        raise UnauthenticatedError(
            "no token: send `Authorization: Bearer <token>`, for example from "
            "`kubectl -n dh-<tenant> create token owner --audience dreamhub`",
            code="TokenMissing",
        )
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token.strip() or not token.isascii():
        raise UnauthenticatedError("the Authorization header must be `Bearer <token>`", code="TokenMalformed")
    return token.strip()


def peek(token: str) -> UnverifiedToken:
    """Decode without verifying. Raises UnauthenticatedError for what cannot be a token at all."""
    parts = token.split(".")
    if len(token) > MAX_TOKEN_CHARACTERS or len(parts) != 3:
        raise UnauthenticatedError(_MALFORMED, code="TokenMalformed")
    return UnverifiedToken(_decode(parts[0]), _decode(parts[1]))


def _decode(part: str) -> dict[str, Any]:
    try:
        value = json.loads(base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError) as error:
        raise UnauthenticatedError(_MALFORMED, code="TokenMalformed") from error
    if not isinstance(value, dict):
        raise UnauthenticatedError(_MALFORMED, code="TokenMalformed")
    return value


def fingerprint(token: str) -> bytes:
    """Key of caches: the token itself is never kept."""
    return hashlib.sha256(token.encode()).digest()


def expired() -> UnauthenticatedError:
    return UnauthenticatedError("the token has expired; get a new one", code="TokenExpired")

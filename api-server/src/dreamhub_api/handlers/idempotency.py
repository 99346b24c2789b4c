"""The `Idempotency-Key` header, read and answered."""

import hashlib
from typing import Any

from dreamhub.errors import InvalidInputError
from dreamhub_api.calls import Call
from dreamhub_api.services.idempotency import Attempt, Created

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
MAX_KEY_CHARACTERS = 255


def attempt_of(call: Call[Any, Any], body_digest: bytes) -> Attempt | None:
    """None when the caller sent no key. What is kept in Redis is keyed with the tenant's secret."""
    key = call.request.headers.get(HEADER)
    if key is None:
        return None
    if not key.strip() or len(key) > MAX_KEY_CHARACTERS or not key.isascii():
        raise InvalidInputError(
            f"{HEADER} must have between 1 and {MAX_KEY_CHARACTERS} ASCII characters", code="BadIdempotencyKey"
        )
    request = f"{call.request.method} {call.request.path}\n".encode() + body_digest
    keys = call.services.sessions.keys(call.tenant)
    return Attempt(call.tenant, key, keys.blind("content", hashlib.sha256(request).digest()).hex())


def replay_headers(created: Created) -> dict[str, str]:
    return {REPLAYED: "true"} if created.replayed else {}

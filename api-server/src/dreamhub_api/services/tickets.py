"""Single-use tickets that open a WebSocket where no Authorization header can be sent. Any instance redeems them.

A ticket carries its caller's token, which the connection verifies again and again. Redis holds it encrypted under a key
that only the ticket yields, and by the ticket's hash: who reads Redis has neither.
"""

import hashlib
import json
import os
import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from redis.asyncio import Redis
from redis.exceptions import RedisError

from dreamhub import names
from dreamhub.errors import UnauthenticatedError, UnavailableError
from dreamhub_api.auth.principal import ALL_SCOPES, Principal

LIFETIME_SECONDS = 30
_NONCE = 12


class TicketService:
    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def issue(self, principal: Principal) -> str:
        """`<tenant>.<secret>`."""
        secret = secrets.token_urlsafe(32)
        login = {"subject": principal.subject, "scopes": sorted(principal.scopes), "expires_at": principal.expires_at}
        value = _seal(principal.tenant, secret, json.dumps({**login, "token": principal.token}).encode())
        try:
            await self._redis.set(_key(principal.tenant, secret), value, ex=LIFETIME_SECONDS, nx=True)
        except RedisError as error:
            raise _redis_away() from error
        return f"{principal.tenant}.{secret}"

    async def redeem(self, ticket: str) -> Principal:
        """Works once. Raises UnauthenticatedError."""
        tenant, _, secret = ticket.partition(".")
        if not names.is_tenant_name(tenant) or not secret:
            raise _refused()
        try:
            value = await self._redis.getdel(_key(tenant, secret))
        except RedisError as error:
            raise _redis_away() from error
        if value is None:
            raise _refused()
        held = json.loads(_open(tenant, secret, value))
        scopes = frozenset(scope for scope in ALL_SCOPES if scope in held["scopes"])
        return Principal(tenant, held["subject"], scopes, held["expires_at"], held["token"])


def _key(tenant: str, secret: str) -> str:
    return f"{names.redis_prefix(tenant)}ticket:{hashlib.sha256(secret.encode()).hexdigest()}"


def _cipher(secret: str) -> AESGCM:
    """The secret is random and long: one hash makes a key of it, and another one Redis' name for it."""
    return AESGCM(hashlib.sha256(b"dreamhub ticket\0" + secret.encode()).digest())


def _seal(tenant: str, secret: str, login: bytes) -> bytes:
    nonce = os.urandom(_NONCE)
    return nonce + _cipher(secret).encrypt(nonce, login, tenant.encode())


def _open(tenant: str, secret: str, sealed: bytes | str) -> bytes:
    """A text is nothing of ours."""
    if isinstance(sealed, str):
        raise _refused()
    try:
        return _cipher(secret).decrypt(sealed[:_NONCE], sealed[_NONCE:], tenant.encode())
    except (InvalidTag, ValueError) as error:
        raise _refused() from error


def _refused() -> UnauthenticatedError:
    return UnauthenticatedError(
        f"the ticket is unknown, used or older than {LIFETIME_SECONDS} seconds; get a new one from POST /ws-tickets",
        code="TicketRefused",
    )


def _redis_away() -> UnavailableError:
    return UnavailableError("Redis does not answer; try again", code="RedisUnavailable")

"""Single-use tickets that open a WebSocket where no Authorization header can be sent. Any instance redeems them."""

import hashlib
import json
import secrets

from redis.asyncio import Redis
from redis.exceptions import RedisError

from dreamhub import names
from dreamhub.errors import UnauthenticatedError, UnavailableError
from dreamhub_api.auth.principal import ALL_SCOPES, Principal

LIFETIME_SECONDS = 30


class TicketService:
    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def issue(self, principal: Principal) -> str:
        """`<tenant>.<secret>`; Redis holds only the secret's hash."""
        secret = secrets.token_urlsafe(32)
        value = json.dumps(
            {"subject": principal.subject, "scopes": sorted(principal.scopes), "expires_at": principal.expires_at}
        )
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
        held = json.loads(value)
        scopes = frozenset(scope for scope in ALL_SCOPES if scope in held["scopes"])
        return Principal(tenant, held["subject"], scopes, held["expires_at"])


def _key(tenant: str, secret: str) -> str:
    return f"{names.redis_prefix(tenant)}ticket:{hashlib.sha256(secret.encode()).hexdigest()}"


def _refused() -> UnauthenticatedError:
    return UnauthenticatedError(
        f"the ticket is unknown, used or older than {LIFETIME_SECONDS} seconds; get a new one from POST /ws-tickets",
        code="TicketRefused",
    )


def _redis_away() -> UnavailableError:
    return UnavailableError("Redis does not answer; try again", code="RedisUnavailable")

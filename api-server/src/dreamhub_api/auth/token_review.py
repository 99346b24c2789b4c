"""Logins by a Kubernetes service-account token of the tenant's namespace, judged by the API server (TokenReview)."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from dreamhub import names
from dreamhub.errors import ForbiddenError, UnauthenticatedError
from dreamhub_api.auth.cache import ExpiringCache
from dreamhub_api.auth.principal import Identity, service_account_scopes
from dreamhub_api.auth.tokens import UnverifiedToken, expired, fingerprint

ACCEPTED_SECONDS = 60.0
"""How long a review is believed. A deleted service account is locked out after at most this."""

REFUSED_SECONDS = 10.0
CACHE_SIZE = 4096

_USER_PREFIX = "system:serviceaccount:"


@dataclass(frozen=True)
class Review:
    """What the API server said of a token."""

    authenticated: bool
    username: str = ""
    audiences: tuple[str, ...] = ()


Reviewer = Callable[[str], Awaitable[Review]]


class TokenReviewVerifier:
    def __init__(self, review: Reviewer, clock: Callable[[], float]) -> None:
        self._review = review
        self._clock = clock
        self._accepted: ExpiringCache[bytes, Identity] = ExpiringCache(CACHE_SIZE, clock)
        self._refused: ExpiringCache[bytes, bool] = ExpiringCache(CACHE_SIZE, clock)

    async def verify(self, token: str, peeked: UnverifiedToken) -> Identity:
        """Raises UnauthenticatedError, or ForbiddenError for a service account of no tenant's namespace."""
        self._check_before_asking(peeked)
        key = fingerprint(token)
        known = self._accepted.get(key)
        if known is not None:
            return known
        if self._refused.get(key):
            raise _refused()
        review = await self._review(token)
        if not review.authenticated or names.TOKEN_AUDIENCE not in review.audiences:
            self._refused.put(key, value=True, expires_at=self._clock() + REFUSED_SECONDS)
            raise _refused()
        expires_at = peeked.expires_at or self._clock() + ACCEPTED_SECONDS
        identity = identify(review.username, expires_at)
        self._accepted.put(key, identity, min(expires_at, self._clock() + ACCEPTED_SECONDS))
        return identity

    def _check_before_asking(self, peeked: UnverifiedToken) -> None:
        """Hopeless tokens never reach the API server, and get the clearer sentence."""
        if names.TOKEN_AUDIENCE not in peeked.audiences:
            raise UnauthenticatedError(
                f"the token's audience is not {names.TOKEN_AUDIENCE}: create it with --audience {names.TOKEN_AUDIENCE}",
                code="TokenAudience",
            )
        if peeked.expires_at is not None and peeked.expires_at <= self._clock():
            raise expired()


def identify(username: str, expires_at: float) -> Identity:
    """The tenant of `system:serviceaccount:dh-<tenant>:<account>`."""
    namespace, _, account = username.removeprefix(_USER_PREFIX).partition(":")
    tenant = names.tenant_of_namespace(namespace)
    if not username.startswith(_USER_PREFIX) or tenant is None:
        raise ForbiddenError(
            f"{username} is not a service account of a tenant's namespace: use one of dh-<tenant>", code="UnknownTenant"
        )
    return Identity("service-account", username, tenant, service_account_scopes(account), expires_at)


def _refused() -> UnauthenticatedError:
    return UnauthenticatedError("the cluster does not accept the token; get a new one", code="TokenRefused")

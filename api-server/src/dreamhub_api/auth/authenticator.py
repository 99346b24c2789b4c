"""From an Authorization header to a Principal: choose the verifier by issuer, verify, look the tenant up."""

from collections.abc import Callable
from dataclasses import replace

from dreamhub.crd.tenant import Tenant
from dreamhub_api.auth.oidc import OidcVerifier
from dreamhub_api.auth.principal import Principal, admit
from dreamhub_api.auth.token_review import TokenReviewVerifier
from dreamhub_api.auth.tokens import expired, peek, read_bearer


class Authenticator:
    """`find_tenant` reads the watch cache, so that a deleted tenant is locked out at once."""

    def __init__(
        self,
        oidc: OidcVerifier | None,
        service_accounts: TokenReviewVerifier,
        find_tenant: Callable[[str], Tenant | None],
        clock: Callable[[], float],
    ) -> None:
        self._oidc = oidc
        self._service_accounts = service_accounts
        self._find_tenant = find_tenant
        self._clock = clock

    async def authenticate(self, header: str | None) -> Principal:
        """Raises UnauthenticatedError, ForbiddenError or UnavailableError."""
        token = read_bearer(header)
        peeked = peek(token)
        if self._oidc is not None and peeked.issuer == self._oidc.issuer:
            identity = await self._oidc.verify(token, peeked)
        else:
            identity = await self._service_accounts.verify(token, peeked)
        return replace(admit(identity, self._find_tenant(identity.tenant)), token=token)

    def seconds_left(self, principal: Principal) -> float:
        """Until the token expires; at least a little, so that a caller who waits this long gets forward."""
        return max(0.05, principal.expires_at - self._clock())

    async def verify_again(self, principal: Principal) -> None:
        """For long connections: the token would still be let in, for the same tenant and person. Raises as above."""
        if principal.expires_at <= self._clock():
            raise expired()
        present = await self.authenticate(f"Bearer {principal.token}")
        if (present.tenant, present.subject) != (principal.tenant, principal.subject):
            raise expired()

"""From an Authorization header to a Principal: choose the verifier by issuer, verify, look the tenant up."""

from collections.abc import Callable

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
        return admit(identity, self._find_tenant(identity.tenant))

    def seconds_left(self, principal: Principal) -> float:
        """Until the token expires; at least a little, so that a caller who waits this long gets forward."""
        return max(0.05, principal.expires_at - self._clock())

    def still_holds(self, principal: Principal) -> None:
        """For long connections: the token has not expired and the tenant is still there. Raises as above."""
        if principal.expires_at <= self._clock():
            raise expired()
        tenant = self._find_tenant(principal.tenant)
        if tenant is None or tenant.metadata.deletion_timestamp is not None:
            raise expired()

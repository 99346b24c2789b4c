"""Logins by an OIDC provider's JWT: signature by the issuer's keys, issuer, audience, expiry, tenant claim."""

from collections.abc import Callable
from dataclasses import dataclass

from joserfc import jwt
from joserfc.errors import ExpiredTokenError, InvalidClaimError, JoseError, MissingClaimError

from dreamhub.errors import UnauthenticatedError
from dreamhub_api.auth.jwks import JwksCache
from dreamhub_api.auth.principal import Identity, oidc_scopes
from dreamhub_api.auth.tokens import UnverifiedToken, expired

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519")
"""Asymmetric only. A token never chooses: with HMAC in this list, a public key would do as a secret."""

LEEWAY_SECONDS = 30


@dataclass(frozen=True)
class OidcRules:
    issuer: str
    audience: str
    tenant_claim: str
    scope_claim: str


class OidcVerifier:
    def __init__(self, rules: OidcRules, keys: JwksCache, clock: Callable[[], float]) -> None:
        self._rules = rules
        self._keys = keys
        self._clock = clock

    @property
    def issuer(self) -> str:
        return self._rules.issuer

    async def verify(self, token: str, peeked: UnverifiedToken) -> Identity:
        """Raises UnauthenticatedError that names which check failed."""
        algorithm, kid = peeked.header.get("alg"), peeked.header.get("kid")
        if algorithm not in ALGORITHMS:
            raise UnauthenticatedError(
                f"the token's algorithm is not accepted; use one of {', '.join(ALGORITHMS)}", code="TokenAlgorithm"
            )
        key = await self._keys.find(kid if isinstance(kid, str) else None)
        try:
            claims = jwt.decode(token, key, algorithms=ALGORITHMS).claims
            self._registry().validate(claims)
        except ExpiredTokenError as error:
            raise expired() from error
        except (InvalidClaimError, MissingClaimError) as error:
            raise UnauthenticatedError(
                f"the token's claim {error.claim} is missing or wrong", code="TokenClaim"
            ) from error
        except (JoseError, ValueError) as error:
            raise UnauthenticatedError("the token's signature does not hold", code="TokenSignature") from error
        tenant = claims.get(self._rules.tenant_claim)
        if not isinstance(tenant, str):
            raise UnauthenticatedError(
                f"the token names no tenant: its claim {self._rules.tenant_claim} is missing", code="TokenTenant"
            )
        scopes = oidc_scopes(claims.get(self._rules.scope_claim))
        return Identity("oidc", str(claims["sub"]), tenant, scopes, float(claims["exp"]))

    def _registry(self) -> jwt.JWTClaimsRegistry:
        return jwt.JWTClaimsRegistry(
            now=int(self._clock()),
            leeway=LEEWAY_SECONDS,
            iss={"essential": True, "value": self._rules.issuer},
            aud={"essential": True, "value": self._rules.audience},
            exp={"essential": True},
            sub={"essential": True},
        )

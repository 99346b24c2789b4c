"""Decisions about tokens, with keys made here and a clock that tests move."""

import asyncio
import base64
import hmac
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from joserfc.jwk import ECKey

from dreamhub.crd.tenant import Tenant
from dreamhub.errors import DreamHubError, ForbiddenError, UnauthenticatedError, UnavailableError
from dreamhub_api.auth.authenticator import Authenticator
from dreamhub_api.auth.jwks import BROKEN_SECONDS, MAX_AGE_SECONDS, UNKNOWN_KID_SECONDS, JwksCache
from dreamhub_api.auth.oidc import OidcVerifier
from dreamhub_api.auth.principal import Identity, Principal, admit, oidc_scopes, require, service_account_scopes
from dreamhub_api.auth.token_review import ACCEPTED_SECONDS, REFUSED_SECONDS, Review, TokenReviewVerifier, identify
from dreamhub_api.auth.tokens import peek, read_bearer
from tests.unit.api.logins import KEY, NEXT_KEY, NOW, RULES, Clock, Issuer, claims, code_of, part, sign, tenant


class TestOidc:
    @pytest.fixture
    def clock(self) -> Clock:
        return Clock()

    @pytest.fixture
    def issuer(self) -> Issuer:
        return Issuer()

    @pytest.fixture
    def verifier(self, issuer: Issuer, clock: Clock) -> OidcVerifier:
        return OidcVerifier(RULES, JwksCache(issuer.fetch, clock), clock)

    async def test_good_token(self, verifier: OidcVerifier) -> None:
        token = sign(scope="openid dreamhub.read")
        identity = await verifier.verify(token, peek(token))
        assert identity == Identity("oidc", "jane", "acme", frozenset({"read"}), NOW + 600)

    @pytest.mark.parametrize(
        ("changes", "code"),
        [
            ({"iss": "https://other.example.com"}, "TokenClaim"),
            ({"aud": "another"}, "TokenClaim"),
            ({"aud": None}, "TokenClaim"),
            ({"sub": None}, "TokenClaim"),
            ({"exp": None}, "TokenClaim"),
            ({"exp": int(NOW) - 60}, "TokenExpired"),
            ({"nbf": int(NOW) + 600}, "TokenClaim"),
            ({"tenant": None}, "TokenTenant"),
            ({"tenant": ["acme"]}, "TokenTenant"),
        ],
    )
    async def test_refused_claims(self, verifier: OidcVerifier, changes: dict[str, Any], code: str) -> None:
        token = sign(**changes)
        assert await code_of(verifier.verify(token, peek(token))) == code

    async def test_several_audiences(self, verifier: OidcVerifier) -> None:
        token = sign(aud=["another", "dreamhub"])
        assert (await verifier.verify(token, peek(token))).tenant == "acme"

    async def test_public_key_is_no_shared_secret(self, verifier: OidcVerifier) -> None:
        """The classic confusion: HMAC with the issuer's public key."""
        signed = f"{part({'alg': 'HS256', 'kid': KEY.kid})}.{part(claims())}"
        signature = hmac.digest(KEY.as_pem(private=False), signed.encode(), "sha256")
        token = f"{signed}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"
        assert await code_of(verifier.verify(token, peek(token))) == "TokenAlgorithm"

    async def test_no_algorithm(self, verifier: OidcVerifier) -> None:
        token = f"{part({'alg': 'none'})}.{part(claims())}."
        assert await code_of(verifier.verify(token, peek(token))) == "TokenAlgorithm"

    async def test_other_key_under_a_known_id(self, verifier: OidcVerifier) -> None:
        token = sign(ECKey.generate_key("P-256"), kid="one")
        assert await code_of(verifier.verify(token, peek(token))) == "TokenSignature"

    async def test_algorithm_of_another_kind_of_key(self, verifier: OidcVerifier) -> None:
        token = sign(NEXT_KEY, "RS256", kid="one")
        assert await code_of(verifier.verify(token, peek(token))) == "TokenSignature"

    async def test_rotation_is_followed(self, verifier: OidcVerifier, issuer: Issuer) -> None:
        first, second = sign(), sign(NEXT_KEY, "RS256")
        await verifier.verify(first, peek(first))
        issuer.keys = [KEY, NEXT_KEY]
        assert (await verifier.verify(second, peek(second))).subject == "jane"
        assert issuer.fetches == 2


class TestJwks:
    async def test_made_up_ids_do_not_become_requests(self) -> None:
        issuer, clock = Issuer(), Clock()
        cache = JwksCache(issuer.fetch, clock)
        for _ in range(5):
            assert await code_of(cache.find("unknown")) == "TokenKey"
        assert issuer.fetches == 2
        clock.now += UNKNOWN_KID_SECONDS + 1
        assert await code_of(cache.find("unknown")) == "TokenKey"
        assert issuer.fetches == 3

    async def test_not_even_ever_other_ones(self) -> None:
        issuer, clock = Issuer(), Clock()
        cache = JwksCache(issuer.fetch, clock)
        await cache.find("one")
        for number in range(2_000):
            assert await code_of(cache.find(f"made-up-{number}")) == "TokenKey"
        assert issuer.fetches == 2
        clock.now += UNKNOWN_KID_SECONDS + 1
        issuer.keys = [KEY, NEXT_KEY]
        assert (await cache.find("two")).kid == "two", "a key of the issuer's is found in between"

    async def test_who_comes_while_keys_are_fetched_waits_for_them(self) -> None:
        issuer, gate = Issuer(), asyncio.Event()

        async def fetch() -> dict[str, Any]:
            if issuer.fetches:
                await gate.wait()
            return await issuer.fetch()

        cache = JwksCache(fetch, Clock())
        await cache.find("one")
        issuer.keys = [KEY, NEXT_KEY]
        finding = [asyncio.create_task(cache.find("two")) for _ in range(5)]
        await asyncio.sleep(0)
        gate.set()
        assert {(await task).kid for task in finding} == {"two"}
        assert issuer.fetches == 2

    async def test_a_broken_issuer_is_not_stormed(self) -> None:
        issuer, clock = Issuer(broken=True), Clock()
        cache = JwksCache(issuer.fetch, clock)
        for number in range(50):
            assert await code_of(cache.find(f"made-up-{number}")) == "IssuerUnavailable"
        assert issuer.fetches == 1
        issuer.broken = False
        clock.now += BROKEN_SECONDS + 1
        assert (await cache.find("one")).kid == "one"

    async def test_withdrawn_key_stops_working(self) -> None:
        issuer, clock = Issuer(), Clock()
        cache = JwksCache(issuer.fetch, clock)
        await cache.find("one")
        issuer.keys = [NEXT_KEY]
        await cache.find("one")
        clock.now += MAX_AGE_SECONDS + 1
        assert await code_of(cache.find("one")) == "TokenKey"

    async def test_known_keys_outlive_a_broken_issuer(self) -> None:
        issuer, clock = Issuer(), Clock()
        cache = JwksCache(issuer.fetch, clock)
        await cache.find("one")
        issuer.broken = True
        clock.now += MAX_AGE_SECONDS + 1
        assert (await cache.find("one")).kid == "one"

    async def test_broken_issuer_from_the_start(self) -> None:
        cache = JwksCache(Issuer(broken=True).fetch, Clock())
        assert await code_of(cache.find("one")) == "IssuerUnavailable"

    async def test_token_without_key_id_needs_a_single_key(self) -> None:
        issuer = Issuer()
        assert (await JwksCache(issuer.fetch, Clock()).find(None)).kid == "one"
        issuer.keys = [KEY, NEXT_KEY]
        assert await code_of(JwksCache(issuer.fetch, Clock()).find(None)) == "TokenKey"


@dataclass
class Cluster:
    review: Review
    tokens: list[str] = field(default_factory=list)

    async def __call__(self, token: str) -> Review:
        self.tokens.append(token)
        return self.review

    @property
    def asked(self) -> int:
        return len(self.tokens)


OWNER = "system:serviceaccount:dh-acme:owner"


class TestTokenReview:
    def token(self, **changes: Any) -> str:
        return sign(aud=changes.pop("aud", ["dreamhub"]), iss="https://kubernetes.default.svc", **changes)

    async def verify(self, verifier: TokenReviewVerifier, token: str) -> Identity:
        return await verifier.verify(token, peek(token))

    async def test_accepted_once_for_a_while(self) -> None:
        cluster, clock = Cluster(Review(True, OWNER, ("dreamhub",))), Clock()
        verifier, token = TokenReviewVerifier(cluster, clock), self.token()
        for _ in range(3):
            identity = await self.verify(verifier, token)
        assert (identity.tenant, identity.scopes, cluster.asked) == ("acme", frozenset({"read", "write"}), 1)
        clock.now += ACCEPTED_SECONDS + 1
        await self.verify(verifier, token)
        assert cluster.asked == 2

    async def test_refused_for_a_short_while(self) -> None:
        cluster, clock = Cluster(Review(authenticated=False)), Clock()
        verifier, token = TokenReviewVerifier(cluster, clock), self.token()
        for _ in range(3):
            assert await code_of(self.verify(verifier, token)) == "TokenRefused"
        assert cluster.asked == 1
        clock.now += REFUSED_SECONDS + 1
        assert await code_of(self.verify(verifier, token)) == "TokenRefused"
        assert cluster.asked == 2

    async def test_acceptance_ends_with_the_token(self) -> None:
        cluster, clock = Cluster(Review(True, OWNER, ("dreamhub",))), Clock()
        verifier, token = TokenReviewVerifier(cluster, clock), self.token(exp=int(NOW) + 5)
        await self.verify(verifier, token)
        clock.now += 6
        assert await code_of(self.verify(verifier, token)) == "TokenExpired"

    async def test_hopeless_tokens_are_not_asked_about(self) -> None:
        cluster = Cluster(Review(True, OWNER, ("dreamhub",)))
        verifier = TokenReviewVerifier(cluster, Clock())
        assert await code_of(self.verify(verifier, self.token(aud=["https://kubernetes"]))) == "TokenAudience"
        assert await code_of(self.verify(verifier, self.token(exp=int(NOW) - 1))) == "TokenExpired"
        assert cluster.asked == 0

    async def test_cluster_must_confirm_the_audience(self) -> None:
        """A cluster that ignores audiences would accept any token of any service."""
        verifier = TokenReviewVerifier(Cluster(Review(True, OWNER, ())), Clock())
        assert await code_of(self.verify(verifier, self.token())) == "TokenRefused"

    @pytest.mark.parametrize(
        "username",
        ["jane", "system:serviceaccount:default:owner", "system:serviceaccount:dh-:owner", "system:node:dh-acme"],
    )
    def test_not_of_a_tenant(self, username: str) -> None:
        with pytest.raises(ForbiddenError) as refused:
            identify(username, NOW)
        assert refused.value.code == "UnknownTenant"


class TestAdmission:
    IDENTITY = Identity("oidc", "jane", "acme", frozenset({"read"}), NOW)

    def test_tenant_that_is_there(self) -> None:
        assert admit(self.IDENTITY, tenant()) == Principal("acme", "jane", frozenset({"read"}), NOW)

    @pytest.mark.parametrize(
        ("found", "kind", "code"),
        [
            (None, ForbiddenError, "UnknownTenant"),
            (tenant(status={}), UnavailableError, "TenantNotReady"),
            (tenant(status={"namespace": {"name": "dh-acme", "uid": ""}}), UnavailableError, "TenantNotReady"),
            (
                tenant(status={"phase": "Orphaned", "namespace": {"name": "dh-acme", "uid": "u"}}),
                UnavailableError,
                "TenantNotReady",
            ),
            (tenant(status={"namespace": {"name": "dh-other", "uid": "u"}}), ForbiddenError, "UnknownTenant"),
            (
                tenant(metadata={"name": "acme", "deletionTimestamp": "2026-01-01T00:00:00Z"}),
                ForbiddenError,
                "TenantDeleting",
            ),
        ],
    )
    def test_refused(self, found: Tenant | None, kind: type[DreamHubError], code: str) -> None:
        with pytest.raises(kind) as refused:
            admit(self.IDENTITY, found)
        assert refused.value.code == code

    def test_scopes(self) -> None:
        reader = admit(self.IDENTITY, tenant())
        require(reader, "read")
        with pytest.raises(ForbiddenError):
            require(reader, "write")

    @pytest.mark.parametrize(
        ("claim", "scopes"),
        [
            (None, {"read", "write"}),
            ("openid profile", {"read", "write"}),
            ("openid dreamhub.read", {"read"}),
            (["dreamhub.write", 7], {"write"}),
            ("dreamhub.approve dreamhub.read", {"approve", "read"}),
            ("dreamhub.admin", set()),
        ],
    )
    def test_scope_claims(self, claim: object, scopes: set[str]) -> None:
        assert oidc_scopes(claim) == scopes

    def test_service_accounts(self) -> None:
        assert service_account_scopes("owner") == {"read", "write"}
        assert service_account_scopes("somebody") == {"read"}
        with pytest.raises(ForbiddenError):
            service_account_scopes("worker")

    @pytest.mark.parametrize(
        ("approver", "may"),
        [
            ({"kind": "ServiceAccount", "name": "owner", "namespace": "dh-acme"}, True),
            ({"kind": "ServiceAccount", "name": "owner", "namespace": "dh-rival"}, False),
            ({"kind": "User", "name": OWNER}, False),
        ],
    )
    def test_a_service_account_may_approve_where_the_tenant_says_so(
        self, approver: dict[str, str], *, may: bool
    ) -> None:
        identity = Identity("service-account", OWNER, "acme", frozenset({"read"}), NOW)
        found = tenant(spec={"approval": {"approvers": [approver]}})
        assert ("approve" in admit(identity, found).scopes) == may
        assert "approve" not in admit(replace(identity, kind="oidc"), found).scopes


class TestAuthenticator:
    def build(self, review: Review, find: Callable[[str], Tenant | None]) -> tuple[Authenticator, Cluster, Clock]:
        clock, cluster = Clock(), Cluster(review)
        oidc = OidcVerifier(RULES, JwksCache(Issuer().fetch, clock), clock)
        return Authenticator(oidc, TokenReviewVerifier(cluster, clock), find, clock), cluster, clock

    async def test_issuer_decides_who_verifies(self) -> None:
        authenticator, cluster, _ = self.build(Review(True, OWNER, ("dreamhub",)), tenant)
        principal = await authenticator.authenticate(f"Bearer {sign()}")
        assert (principal.subject, cluster.asked) == ("jane", 0)
        other = sign(iss="https://kubernetes.default.svc", aud=["dreamhub"])
        principal = await authenticator.authenticate(f"bearer {other}")
        assert (principal.subject, cluster.asked) == (OWNER, 1)

    async def test_long_connections_end_with_token_or_tenant(self) -> None:
        there: dict[str, Tenant] = {"acme": tenant()}
        authenticator, _, clock = self.build(Review(authenticated=False), there.get)
        principal = await authenticator.authenticate(f"Bearer {sign()}")
        await authenticator.verify_again(principal)
        del there["acme"]
        assert await code_of(authenticator.verify_again(principal)) == "UnknownTenant"
        there["acme"] = tenant(metadata={"name": "acme", "deletionTimestamp": "2026-01-01T00:00:00Z"})
        assert await code_of(authenticator.verify_again(principal)) == "TenantDeleting"
        there["acme"] = tenant()
        await authenticator.verify_again(principal)
        clock.now = principal.expires_at
        assert await code_of(authenticator.verify_again(principal)) == "TokenExpired"
        assert 0 < authenticator.seconds_left(principal) < 1

    async def test_long_connections_end_when_the_cluster_takes_the_token_back(self) -> None:
        authenticator, cluster, clock = self.build(Review(True, OWNER, ("dreamhub",)), tenant)
        token = sign(iss="https://kubernetes.default.svc", aud=["dreamhub"])
        principal = await authenticator.authenticate(f"Bearer {token}")
        cluster.review = Review(authenticated=False)
        await authenticator.verify_again(principal)
        assert cluster.asked == 1, "a review is believed for a while"
        clock.now += ACCEPTED_SECONDS + 1
        assert await code_of(authenticator.verify_again(principal)) == "TokenRefused"

    async def test_long_connections_end_with_the_issuers_key(self) -> None:
        clock, issuer = Clock(), Issuer()
        oidc = OidcVerifier(RULES, JwksCache(issuer.fetch, clock), clock)
        authenticator = Authenticator(oidc, TokenReviewVerifier(Cluster(Review(False)), clock), tenant, clock)
        principal = await authenticator.authenticate(f"Bearer {sign(exp=int(NOW) + 10_000)}")
        issuer.keys = [NEXT_KEY]
        clock.now += MAX_AGE_SECONDS + 1
        assert await code_of(authenticator.verify_again(principal)) == "TokenKey"

    async def test_a_principal_shows_no_token(self) -> None:
        authenticator, _, _ = self.build(Review(authenticated=False), tenant)
        token = sign()
        principal = await authenticator.authenticate(f"Bearer {token}")
        assert principal.token == token
        assert token not in repr(principal)


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer  ", "Basic abc", "Token abc"])
def test_headers_without_a_bearer_token(header: str | None) -> None:
    with pytest.raises(UnauthenticatedError):
        read_bearer(header)


@pytest.mark.parametrize("token", ["", "a.b", "a.b.c.d", "....", "bm90.anNvbg.x", "WzFd.WzFd.x", "é.é.é"])
def test_what_is_no_token(token: str) -> None:
    with pytest.raises(UnauthenticatedError):
        peek(token)

"""Keys, tokens and a clock of the tests' own."""

import base64
import json
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from dreamhub.crd.tenant import Tenant
from dreamhub.errors import DreamHubError
from dreamhub_api.auth.oidc import OidcRules

ISSUER = "https://login.example.com"
KEY = ECKey.generate_key("P-256", {"kid": "one"})
NEXT_KEY = RSAKey.generate_key(2048, {"kid": "two"})
NOW = 1_800_000_000.0
RULES = OidcRules(ISSUER, "dreamhub", "tenant", "scope")


@dataclass
class Clock:
    now: float = NOW

    def __call__(self) -> float:
        return self.now


@dataclass
class Issuer:
    """An identity provider's key endpoint."""

    keys: list[Any] = field(default_factory=lambda: [KEY])
    fetches: int = 0
    broken: bool = False

    async def fetch(self) -> dict[str, Any]:
        self.fetches += 1
        if self.broken:
            raise TimeoutError
        return {"keys": [key.as_dict(private=False) for key in self.keys]}


def claims(**changes: Any) -> dict[str, Any]:
    usual = {"iss": ISSUER, "aud": "dreamhub", "sub": "jane", "exp": int(NOW) + 600, "tenant": "acme"}
    return {name: value for name, value in {**usual, **changes}.items() if value is not None}


def sign(key: Any = KEY, algorithm: str = "ES256", **changes: Any) -> str:
    header = {"alg": algorithm, "kid": changes.pop("kid", key.kid)}
    return jwt.encode({k: v for k, v in header.items() if v}, claims(**changes), key, algorithms=[algorithm])


def part(value: object) -> str:
    """A segment of a token made by hand."""
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def tenant(name: str = "acme", **changes: Any) -> Tenant:
    manifest = {"metadata": {"name": name}, "status": {"namespace": {"name": f"dh-{name}", "uid": "u"}}}
    return Tenant.model_validate({**manifest, **changes})


async def code_of(call: Awaitable[object]) -> str:
    with pytest.raises(DreamHubError) as refused:
        await call
    return refused.value.code

"""An OIDC provider: discovery and keys over real HTTP, and tokens as it would sign them."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from joserfc import jwt
from joserfc.jwk import ECKey

KEY = ECKey.generate_key("P-256", {"kid": "k1"})


@asynccontextmanager
async def run_issuer() -> AsyncIterator[str]:
    """Yields the issuer's URL."""
    url = ""

    async def discovery(_request: web.Request) -> web.Response:
        return web.json_response({"issuer": url, "jwks_uri": f"{url}/keys"})

    async def keys(_request: web.Request) -> web.Response:
        return web.json_response({"keys": [KEY.as_dict(private=False)]})

    app = web.Application()
    app.router.add_get("/.well-known/openid-configuration", discovery)
    app.router.add_get("/keys", keys)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield url
    await runner.cleanup()


def sign(issuer: str, tenant: str | None, **changes: Any) -> str:
    """A token that holds unless a change says otherwise. Without a tenant it has no claim of one."""
    claims = {"iss": issuer, "aud": "dreamhub", "sub": "jane", "exp": int(time.time()) + 300}
    claim = {} if tenant is None else {"tenant": tenant}
    return jwt.encode({"alg": "ES256", "kid": "k1"}, {**claims, **claim, **changes}, KEY, algorithms=["ES256"])

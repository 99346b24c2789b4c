"""Logins by an identity provider: discovery, keys and tokens over real HTTP."""

import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest_asyncio

from dreamhub_api.settings import Settings
from tests.integration.api.conftest import MakeTenant
from tests.integration.api.identity_provider import run_issuer, sign
from tests.integration.api.platform import Caller, Tenant, run_server, until


@pytest_asyncio.fixture(scope="module")
async def issuer() -> AsyncIterator[str]:
    async with run_issuer() as url:
        yield url


@pytest_asyncio.fixture(scope="module")
async def oidc_server(settings: Settings, issuer: str) -> AsyncIterator[str]:
    async with run_server(settings.model_copy(update={"oidc_issuer": issuer})) as url:
        yield url


@pytest_asyncio.fixture(scope="module")
async def tenant(make_tenant: MakeTenant) -> Tenant:
    return await make_tenant()


async def refusal(caller: Caller) -> tuple[int, str]:
    status, problem = await caller.call("GET", "/documents")
    return status, problem["code"]


async def test_token_of_the_issuer(http: aiohttp.ClientSession, oidc_server: str, issuer: str, tenant: Tenant) -> None:
    caller = Caller(http, oidc_server, sign(issuer, tenant.name, scope="dreamhub.read"))

    async def known() -> bool:
        return (await caller.call("GET", "/tenants/self"))[0] == 200

    await until(known, "the server knows the tenant")
    me = await caller.ok("GET", "/tenants/self")
    assert (me["name"], me["subject"], me["scopes"]) == (tenant.name, "jane", ["read"])
    status, problem = await caller.upload("a.txt", b"text")
    assert (status, problem["code"]) == (403, "MissingScope")


async def test_refusals(http: aiohttp.ClientSession, oidc_server: str, issuer: str, tenant: Tenant) -> None:
    def caller(owner: str = tenant.name, **changes: Any) -> Caller:
        return Caller(http, oidc_server, sign(issuer, owner, **changes))

    assert await refusal(caller(exp=int(time.time()) - 60)) == (401, "TokenExpired")
    assert await refusal(caller(aud="another")) == (401, "TokenClaim")
    assert await refusal(caller("nobody")) == (403, "UnknownTenant")
    assert await refusal(caller("../etc")) == (403, "UnknownTenant")
    assert await refusal(caller(iss="https://other.example")) == (401, "TokenRefused")


async def test_service_accounts_work_beside_it(http: aiohttp.ClientSession, oidc_server: str, tenant: Tenant) -> None:
    assert (await Caller(http, oidc_server, tenant.token).call("GET", "/documents"))[0] == 200

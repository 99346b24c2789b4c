"""Service-account tokens against a real TokenReview."""

import aiohttp
import pytest

from dreamhub import names
from dreamhub.domain.keys import DataKeys
from tests.integration.api.platform import GROUP, Caller, Cluster, Tenant, until


@pytest.mark.parametrize(
    ("header", "code"),
    [
        (None, "TokenMissing"),
        ("Basic dXNlcjpwYXNz", "TokenMalformed"),
        ("Bearer", "TokenMalformed"),
        ("Bearer nonsense", "TokenMalformed"),
        ("Bearer a.b.c", "TokenMalformed"),
        ("Bearer " + "a" * 20_000, "TokenMalformed"),
    ],
)
async def test_no_token(http: aiohttp.ClientSession, server: str, header: str | None, code: str) -> None:
    if header is not None and len(header) > 8_000:
        header = header[:8_000]  # aiohttp refuses longer header lines itself
    headers = {"Authorization": header} if header else {}
    status, problem, answered = await Caller(http, server, None).full("GET", "/documents", headers=headers)
    assert (status, problem["code"]) == (401, code)
    assert answered["WWW-Authenticate"] == 'Bearer realm="dreamhub"'


async def test_who_am_i(caller: Caller, acme: Tenant) -> None:
    me = await caller.ok("GET", "/tenants/self")
    assert me["name"] == acme.name
    assert me["subject"] == f"system:serviceaccount:dh-{acme.name}:owner"
    assert me["scopes"] == ["read", "write"]
    assert me["models"] == {"embedding": "builtin/wordllama-256", "chat": "builtin/extractive"}
    assert me["phase"] == "Active"


async def test_token_of_another_audience(caller: Caller, cluster: Cluster, acme: Tenant) -> None:
    token = await cluster.create_token(names.namespace(acme.name), "owner", None)
    status, problem = await Caller(caller.session, caller.url, token).call("GET", "/documents")
    assert (status, problem["code"]) == (401, "TokenAudience")


async def test_tampered_token(caller: Caller, acme: Tenant) -> None:
    head, body, signature = acme.token.split(".")
    forged = ".".join((head, body, signature[::-1]))
    status, problem = await Caller(caller.session, caller.url, forged).call("GET", "/documents")
    assert (status, problem["code"]) == (401, "TokenRefused")


async def test_worker_may_nothing_and_others_only_read(caller: Caller, cluster: Cluster, acme: Tenant) -> None:
    namespace = names.namespace(acme.name)
    worker = await cluster.create_token(namespace, "worker", names.TOKEN_AUDIENCE)
    status, problem = await Caller(caller.session, caller.url, worker).call("GET", "/documents")
    assert (status, problem["code"]) == (403, "WorkerToken")
    viewer = Caller(caller.session, caller.url, await cluster.create_token(namespace, "viewer", names.TOKEN_AUDIENCE))
    assert (await viewer.call("GET", "/documents"))[0] == 200
    status, problem = await viewer.upload("a.txt", b"text")
    assert (status, problem["code"]) == (403, "MissingScope")


async def test_account_of_no_tenant(caller: Caller, cluster: Cluster) -> None:
    for namespace in (names.SYSTEM_NAMESPACE, "dh-nobody"):
        await cluster.make_namespace(namespace)
        await cluster.make_account(namespace, "owner")
        token = await cluster.create_token(namespace, "owner", names.TOKEN_AUDIENCE)
        status, problem = await Caller(caller.session, caller.url, token).call("GET", "/documents")
        assert (status, problem["code"]) == (403, "UnknownTenant")


async def test_tenant_that_is_still_being_set_up(caller: Caller, cluster: Cluster) -> None:
    """The resource is there, its database role is not."""
    token = await cluster.make_tenant("half-made", DataKeys.generate())
    half = Caller(caller.session, caller.url, token)

    async def refused_as_not_ready() -> bool:
        status, problem = await half.call("GET", "/documents")
        return (status, problem["code"]) == (503, "TenantNotReady")

    await until(refused_as_not_ready, "the tenant is known but not ready")
    assert "Retry-After" in (await half.full("GET", "/documents"))[2]


async def test_deleted_tenant_is_locked_out(caller: Caller, cluster: Cluster, acme: Tenant) -> None:
    await cluster.api.ok("DELETE", f"{GROUP}/tenants/{acme.name}")

    async def locked_out() -> bool:
        status, problem = await caller.call("GET", "/documents")
        return (status, problem["code"]) == (403, "UnknownTenant")

    await until(locked_out, "the tenant is gone for the server too")

"""Walls of the API that no route's table shows: where a tenant comes from, and what hangs on it."""

import asyncio

import aiohttp
import pytest
from redis.asyncio import Redis

from dreamhub import names
from dreamhub.errors import UnauthenticatedError
from dreamhub_api.services.tickets import TicketService
from tests.integration.api.conftest import ready_caller
from tests.integration.api.platform import Caller, Cluster, Tenant
from tests.integration.api.test_websocket import connect
from tests.integration.isolation.plants import Planted


async def test_tenant_named_in_a_request_is_not_heard(attack: Caller, attacker: Planted, victim: Planted) -> None:
    """Only the login says whose request it is."""
    named = victim.tenant.name
    headers = dict.fromkeys(
        ("X-Tenant", "X-Tenant-ID", "X-Dreamhub-Tenant", "X-Scope-OrgID", "X-Forwarded-User"), named
    )
    headers["Cookie"] = f"tenant={named}"
    assert (await attack.ok("GET", "/tenants/self", headers=headers))["name"] == attacker.tenant.name
    assert (await attack.call("GET", f"/documents/{victim.document}", headers=headers))[0] == 404
    for parameter in ("tenant", "tenant_id", "namespace"):
        status, problem = await attack.call("GET", "/documents", params={parameter: named})
        assert status == 400, problem
        assert problem["code"] == "InvalidFields"


async def test_namespace_that_is_only_called_like_a_tenant(attack: Caller, cluster: Cluster, victim: Planted) -> None:
    """Whoever may make a namespace can call it as the victim is called; the prefix is the operator's."""
    await cluster.make_namespace(victim.tenant.name)
    await cluster.make_account(victim.tenant.name, names.OWNER_SERVICE_ACCOUNT)
    token = await cluster.create_token(victim.tenant.name, names.OWNER_SERVICE_ACCOUNT, names.TOKEN_AUDIENCE)
    status, problem = await Caller(attack.session, attack.url, token).call("GET", "/documents")
    assert status == 403, problem
    assert problem["code"] == "UnknownTenant"


async def test_token_that_the_cluster_gave_for_others_is_refused(
    attack: Caller, cluster: Cluster, victim: Planted
) -> None:
    """The audience: a token that the victim's owner shows to another service opens nothing here."""
    namespace = names.namespace(victim.tenant.name)
    token = await cluster.create_token(namespace, names.OWNER_SERVICE_ACCOUNT, "another-service")
    assert (await Caller(attack.session, attack.url, token).call("GET", "/documents"))[0] == 401


async def test_ticket_opens_its_own_tenant(
    attack: Caller, attacker: Planted, victim: Planted, redis_session: Redis
) -> None:
    """A ticket names its tenant: naming another one makes it void, at the door and already where it is looked up."""
    ticket = (await attack.ok("POST", "/ws-tickets"))["ticket"]
    tenant, _, secret = ticket.partition(".")
    assert tenant == attacker.tenant.name
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        async with connect(attack, headers={}, params={"ticket": f"{victim.tenant.name}.{secret}"}):
            pass
    assert refused.value.status == 401
    another = (await attack.ok("POST", "/ws-tickets"))["ticket"].partition(".")[2]
    with pytest.raises(UnauthenticatedError):
        await TicketService(redis_session).redeem(f"{victim.tenant.name}.{another}")


async def test_ticket_moved_to_another_tenant_is_void(
    attack: Caller, attacker: Planted, victim: Planted, redis_session: Redis
) -> None:
    """The seal alone: somebody with a way into Redis files the attacker's ticket under the victim."""
    pattern = f"{names.redis_prefix(attacker.tenant.name)}ticket:*"
    for earlier in [key async for key in redis_session.scan_iter(pattern)]:
        await redis_session.delete(earlier)  # else they would follow, and be the victim's until they expire
    secret = (await attack.ok("POST", "/ws-tickets"))["ticket"].partition(".")[2]
    [key] = [key async for key in redis_session.scan_iter(pattern)]
    moved = key.decode().replace(attacker.tenant.name, victim.tenant.name)
    await redis_session.rename(key, moved)
    with pytest.raises(UnauthenticatedError):
        await TicketService(redis_session).redeem(f"{victim.tenant.name}.{secret}")
    await redis_session.delete(moved)


async def test_channel_of_another_tenant_is_absent(attack: Caller, attacker: Planted, victim: Planted) -> None:
    """Also with the name of a job that both have: nothing of one's own is told under the other's name."""
    shared = {"name": victim.job, "source": {"inline": {"name": "a.md", "text": "a"}}}
    await attack.call("POST", "/ingest-jobs", json=shared)
    async with connect(attack) as socket:
        await socket.send(op="subscribe", channel=f"job:{attacker.tenant.name}/{victim.job}")
        assert (await socket.receive())["type"] == "snapshot"
        for channel in (f"job:{victim.tenant.name}/{victim.job}", "job:nobody/x"):
            await socket.send(op="subscribe", channel=channel)
            assert (await socket.receive())["code"] == "ChannelNotFound"
    await attack.ok("DELETE", f"/ingest-jobs/{victim.job}")


async def test_board_shows_ones_own_jobs(attack: Caller, victim: Planted) -> None:
    """From the first message on, and as jobs come."""
    neighbour = Caller(attack.session, attack.url, victim.tenant.token)
    source = {"inline": {"name": "a.md", "text": "a"}}
    async with connect(attack) as socket:
        await socket.send(op="subscribe", channel="jobs")
        assert victim.marker not in str(await socket.receive())
        for caller, name in ((neighbour, f"{victim.marker}-board"), (attack, "own-board")):
            await caller.ok("POST", "/ingest-jobs", json={"name": name, "source": source})
        async with asyncio.timeout(60):
            heard = str(await socket.receive())
            while "own-board" not in heard:
                heard += str(await socket.receive())
        assert victim.marker not in heard
    for caller, name in ((neighbour, f"{victim.marker}-board"), (attack, "own-board")):
        await caller.ok("DELETE", f"/ingest-jobs/{name}")


async def test_idempotency_keys_are_ones_own(attack: Caller, squatter: Tenant) -> None:
    headers = {"Idempotency-Key": "the-same-for-both"}
    other = await ready_caller(attack.session, attack.url, squatter)
    _, first = await other.upload("idempotent.txt", b"The same bytes.", headers=headers)
    status, second = await attack.upload("idempotent.txt", b"The same bytes.", headers=headers)
    assert status == 201
    assert second["id"] != first["id"]
    await attack.ok("DELETE", f"/documents/{second['id']}")


async def test_reader_may_not_write(attack: Caller, cluster: Cluster, victim: Planted) -> None:
    """Scopes, within a tenant."""
    token = await cluster.create_token(names.namespace(victim.tenant.name), "viewer", names.TOKEN_AUDIENCE)
    viewer = Caller(attack.session, attack.url, token)
    assert (await viewer.call("GET", f"/documents/{victim.document}"))[0] == 200
    status, problem = await viewer.call("DELETE", f"/documents/{victim.document}")
    assert status == 403, problem
    assert problem["code"] == "MissingScope"
    token = await cluster.create_token(names.namespace(victim.tenant.name), "worker", names.TOKEN_AUDIENCE)
    status, problem = await Caller(attack.session, attack.url, token).call("GET", f"/documents/{victim.document}")
    assert status == 403, problem
    assert problem["code"] == "WorkerToken"

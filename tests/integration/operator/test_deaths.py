"""Killing the operator at every step of a tenant's life ends in the same place, and a neighbour notices nothing.

For each change that an undisturbed operator makes, one tenant's operator dies right before it, which to the servers is
right after the one before; a fresh process goes on. All victims of a round are prefixes of their neighbour's name.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from dreamhub.names import object_key
from dreamhub.storage.objects import ObjectStore
from dreamhub_operator.cluster import Cluster
from dreamhub_operator.connection import Connection, find_credentials
from dreamhub_operator.metrics import Metrics
from dreamhub_operator.process import open_context
from dreamhub_operator.settings import Settings
from tests.integration.operator.control_plane import Api
from tests.integration.operator.deployment import TENANTS, OperatorProcess, Stores, tenant_manifest
from tests.integration.operator.mortal import DeathError, Fate, World
from tests.integration.operator.test_deletion import has_object, read_vault
from tests.integration.operator.test_ingest_job import upload
from tests.integration.operator.test_tenant import read_credentials

AT_ONCE = 4
"""Tenants that are worked on at a time: as many as the operator does."""
MOST = 30
"""Changes in one deletion, at most: names are to fit."""

State = dict[str, Any]


@pytest_asyncio.fixture
async def world(
    api: Api, operator_process: OperatorProcess, operator_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[World]:
    """No other operator works on the same Tenants meanwhile."""
    if operator_process.is_running():
        operator_process.stop()
    for name, value in operator_environment.items():
        monkeypatch.setenv(name, value)
    async with AsyncExitStack() as stack:
        connection = Connection(find_credentials())
        session = connection.open_session()
        stack.push_async_callback(session.close)
        metrics = Metrics(CollectorRegistry())
        cluster = Cluster(connection.url, session, metrics.count_request)
        yield World(api, await open_context(Settings(), cluster, metrics, stack))


@pytest.fixture
def view(api: Api, stores: Stores, object_store: ObjectStore, redis_client: Redis) -> "View":
    return View(api, stores, object_store, redis_client)


class View:
    """What there is of a tenant, in every place."""

    def __init__(self, api: Api, stores: Stores, objects: ObjectStore, redis: Redis) -> None:
        self.api = api
        self.stores = stores
        self.objects = objects
        self.redis = redis

    async def fill(self, name: str, *, document: bool) -> None:
        if document:
            await upload(self.api, name)
        await self.objects.put(object_key(name, "ver_1"), b"x")
        await self.redis.set(f"dh:{{{name}}}:job:x", "1")

    async def look(self, name: str) -> State:
        """Comparable between tenants: without names, UIDs and secrets."""
        status, body = await self.api.call("GET", f"{TENANTS}/{name}")
        uid = body["metadata"]["uid"] if status == 200 else None
        namespace, _ = await self.api.call("GET", f"/api/v1/namespaces/dh-{name}")
        users = {str(user, "ascii") if isinstance(user, bytes) else user for user in await self.redis.acl_users()}
        return {
            "tenant": (status, body.get("metadata", {}).get("finalizers")),
            "namespace": namespace,
            "vault": {entry.rpartition(".")[2] for entry in await read_vault(self.api, name)},
            "object": await has_object(self.objects, object_key(name, "ver_1")),
            "redis": (f"t_{name}" in users, await self.redis.exists(f"dh:{{{name}}}:job:x")),
            **await self._look_at_database(name, uid),
        }

    async def _look_at_database(self, name: str, uid: str | None) -> State:
        conn = await asyncpg.connect(self.stores.database.url("dreamhub_operator"))
        logins = "select rolname, rolcanlogin from pg_roles where rolname like $1 or rolname like $2 order by 1"
        rows = await conn.fetch(logins, f"t\\_{name}", f"t\\_{name}.%")
        has_schema = await conn.fetchval("select 1 from pg_namespace where nspname = $1", f"t_{name}")
        documents = await conn.fetchval(f'select count(*) from "t_{name}".documents') if has_schema else None
        owner = await conn.fetchval("select dreamhub.tenant_owner($1)", name)
        await conn.close()
        roles = [(row["rolname"].removeprefix(f"t_{name}"), row["rolcanlogin"]) for row in rows]
        return {"roles": roles, "documents": documents, "owner": "its own" if uid and owner == uid else bool(owner)}


async def create(api: Api, name: str, policy: str) -> None:
    await api.ok("POST", TENANTS, tenant_manifest(name, deletionPolicy=policy))


async def spread(names: list[str], work: Callable[[str], Awaitable[None]]) -> None:
    """A few at a time."""
    limit = asyncio.Semaphore(AT_ONCE)

    async def one(name: str) -> None:
        async with limit:
            await work(name)

    async with asyncio.TaskGroup() as group:
        for name in names:
            group.create_task(one(name))


def assert_each(died: set[int], steps: int) -> None:
    """One died at each change that it came to; not all come to the last, as a status is told more or less often."""
    assert set(range(1, steps // 2)) <= died


NOTHING = {
    "tenant": (404, None),
    "namespace": 404,
    "vault": set(),
    "object": False,
    "redis": (False, 0),
    "roles": [],
    "documents": None,
    "owner": False,
}
RETAINED = {
    **NOTHING,
    "vault": {"json", "owner"},
    "object": True,
    "redis": (False, 1),
    "roles": [("", False), (".a", False)],
    "documents": 1,
    "owner": True,
}
WHOLE = {
    "tenant": (200, ["dreamhub.dev/operator"]),
    "namespace": 200,
    "vault": {"json", "owner"},
    "object": True,
    "redis": (True, 1),
    "roles": [("", False), (".a", True)],
    "documents": 1,
    "owner": "its own",
}


async def make(world: World, view: View, name: str, policy: str) -> None:
    await create(world.api, name, policy)
    await world.live(name, Fate())
    await view.fill(name, document=policy != "Block")


@pytest.mark.parametrize(("policy", "end"), [("Block", NOTHING), ("Retain", RETAINED), ("Erase", NOTHING)])
async def test_a_deletion_ends_the_same_wherever_the_operator_dies(
    world: World, view: View, policy: str, end: State
) -> None:
    base = f"d-{policy[0]}".lower()
    neighbour = f"{base}{'x' * MOST}-2"
    await make(world, view, neighbour, "Retain")
    stored = await read_vault(world.api, neighbour)

    undisturbed = Fate()
    await make(world, view, base, policy)
    await world.api.ok("DELETE", f"{TENANTS}/{base}")
    await world.live(base, undisturbed)
    assert await view.look(base) == end
    steps = len(undisturbed.changes)
    assert steps < MOST, undisturbed.changes
    died: set[int] = set()

    async def kill(name: str) -> None:
        at = len(name) - len(base)
        await make(world, view, name, policy)
        await world.api.ok("DELETE", f"{TENANTS}/{name}")
        if await world.outlive(name, at):
            died.add(at)
        assert await view.look(name) == end, f"died before {undisturbed.changes[at - 1]}"

    await spread([f"{base}{'x' * at}" for at in range(1, steps + 1)], kill)
    assert_each(died, steps)
    assert await view.look(neighbour) == WHOLE
    assert await read_vault(world.api, neighbour) == stored


async def test_provisioning_ends_the_same_wherever_the_operator_dies(world: World, view: View) -> None:
    """And from wherever it died, a deletion leaves nothing."""
    base = "p"
    undisturbed = Fate()
    await create(world.api, base, "Erase")
    await world.live(base, undisturbed)
    steps = len(undisturbed.changes)
    assert steps < MOST, undisturbed.changes
    died: set[int] = set()

    async def kill(name: str) -> None:
        at = len(name) - len(base)
        await create(world.api, name, "Erase")
        if await world.outlive(name, at):
            died.add(at)
        await view.fill(name, document=True)
        assert await view.look(name) == WHOLE, f"died before {undisturbed.changes[at - 1]}"
        login = await read_credentials(world.api, name)
        redis = Redis.from_url(login["redis-url"])
        assert await redis.ping()
        await redis.aclose()

    async def kill_and_delete(name: str) -> None:
        at = len(name) - len(base) - 2
        await create(world.api, name, "Erase")
        with suppress(DeathError):
            await world.live(name, Fate(at))
        await world.api.ok("DELETE", f"{TENANTS}/{name}")
        await world.live(name, Fate())
        assert await view.look(name) == NOTHING, f"died before {undisturbed.changes[at - 1]}"

    await spread([f"{base}{'x' * at}" for at in range(1, steps + 1)], kill)
    assert_each(died, steps)
    await spread([f"{base}-d{'x' * at}" for at in range(1, steps + 1)], kill_and_delete)

"""Taking tenants away: what each policy does, what blocks, and what is never touched."""

from typing import Any

import asyncpg
from redis.asyncio import Redis

from dreamhub.names import object_key
from dreamhub.storage.objects import ObjectStore
from tests.integration.operator.control_plane import Api
from tests.integration.operator.deployment import (
    TENANTS,
    OperatorProcess,
    Stores,
    condition,
    eventually,
    ready_tenant,
)
from tests.integration.operator.test_ingest_job import upload
from tests.integration.operator.test_tenant import VAULT, read_credentials


async def finalize_namespace(api: Api, name: str) -> None:
    """What the namespace controller does in the end, once the namespace is being deleted."""

    async def look() -> bool:
        status, body = await api.call("GET", f"/api/v1/namespaces/{name}")
        if status == 200 and body["metadata"].get("deletionTimestamp"):
            body["spec"]["finalizers"] = []
            await api.ok("PUT", f"/api/v1/namespaces/{name}/finalize", body)
        return status == 404

    await eventually(look, f"namespace {name} gone", 15)


async def wait_gone(api: Api, name: str) -> None:
    async def look() -> bool:
        return (await api.call("GET", f"{TENANTS}/{name}"))[0] == 404

    await eventually(look, f"tenant {name} gone", 20)


async def wait_blocked(api: Api, name: str) -> str:
    async def look() -> str | None:
        body: dict[str, Any] = await api.ok("GET", f"{TENANTS}/{name}")
        found = condition(body, "Stalled")
        return str(found["message"]) if found.get("reason") == "DeletionBlocked" else None

    return await eventually(look, f"tenant {name} blocked")


async def has_role(stores: Stores, tenant: str) -> bool:
    conn = await asyncpg.connect(stores.database.url("dreamhub_operator"))
    found = await conn.fetchval("select 1 from pg_roles where rolname = $1", f"t_{tenant}")
    await conn.close()
    return found is not None


async def has_keys(api: Api, tenant: str) -> bool:
    return f"{tenant}.json" in ((await api.ok("GET", VAULT)).get("data") or {})


async def has_object(store: ObjectStore, key: str) -> bool:
    try:
        return [part async for part in store.get_stream(key)] != []
    except Exception:  # noqa: BLE001 - absent, however the store says it
        return False


async def test_erase_leaves_nothing(
    api: Api, operator: OperatorProcess, stores: Stores, object_store: ObjectStore, redis_client: Redis
) -> None:
    await ready_tenant(api, "erased", deletionPolicy="Erase")
    await upload(api, "erased")
    mine, others = object_key("erased", "ver_1"), object_key("erased-2", "ver_1")
    await object_store.put(mine, b"x")
    await object_store.put(others, b"x")
    await redis_client.set("dh:{erased}:job:x", "1")
    await redis_client.set("dh:{erased-2}:job:x", "1")

    await api.ok("DELETE", f"{TENANTS}/erased")
    await finalize_namespace(api, "dh-erased")
    await wait_gone(api, "erased")

    assert not await has_role(stores, "erased")
    assert not await has_keys(api, "erased")
    assert not await has_object(object_store, mine)
    assert await has_object(object_store, others)
    assert await redis_client.exists("dh:{erased}:job:x") == 0
    assert await redis_client.exists("dh:{erased-2}:job:x") == 1
    users = {str(name, "ascii") if isinstance(name, bytes) else name for name in await redis_client.acl_users()}
    assert "t_erased" not in users


async def test_block_refuses_while_there_are_documents_and_says_how_many(
    api: Api, operator: OperatorProcess, stores: Stores
) -> None:
    await ready_tenant(api, "kept")
    await upload(api, "kept")
    await api.ok("DELETE", f"{TENANTS}/kept")

    assert "it has 1 document" in await wait_blocked(api, "kept")
    assert (await api.call("GET", "/api/v1/namespaces/dh-kept"))[1]["status"]["phase"] == "Active"

    await api.merge(f"{TENANTS}/kept", {"spec": {"deletionPolicy": "Retain"}})
    await finalize_namespace(api, "dh-kept")
    await wait_gone(api, "kept")
    assert await has_role(stores, "kept")
    assert await has_keys(api, "kept")


async def test_a_retained_tenant_comes_back_with_its_documents_and_keys(
    api: Api, operator: OperatorProcess, stores: Stores
) -> None:
    await ready_tenant(api, "phoenix", deletionPolicy="Retain")
    await upload(api, "phoenix")
    before = await read_credentials(api, "phoenix")
    await api.ok("DELETE", f"{TENANTS}/phoenix")
    await finalize_namespace(api, "dh-phoenix")
    await wait_gone(api, "phoenix")

    await ready_tenant(api, "phoenix")
    after = await read_credentials(api, "phoenix")
    assert after["keys.json"] == before["keys.json"]
    conn = await asyncpg.connect(after["database-url"])
    assert await conn.fetchval("select count(*) from documents") == 1
    await conn.close()


async def test_an_empty_tenant_goes_under_block(api: Api, operator: OperatorProcess, stores: Stores) -> None:
    await ready_tenant(api, "empty")
    await api.ok("DELETE", f"{TENANTS}/empty")
    await finalize_namespace(api, "dh-empty")
    await wait_gone(api, "empty")
    assert not await has_role(stores, "empty")


async def test_a_namespace_with_another_uid_is_never_deleted(api: Api, operator: OperatorProcess) -> None:
    """As after a restore, or when resources were recreated: the status names a namespace that this one is not."""
    await ready_tenant(api, "restored", deletionPolicy="Erase")
    operator.kill()
    await api.merge(f"{TENANTS}/restored/status", {"status": {"namespace": {"uid": "another"}}})
    await api.ok("DELETE", f"{TENANTS}/restored")
    operator.start()

    assert "not provably" in await wait_blocked(api, "restored")
    namespace = await api.ok("GET", "/api/v1/namespaces/dh-restored")
    assert "deletionTimestamp" not in namespace["metadata"]


async def test_a_deletion_survives_the_operators_death_at_each_step(
    api: Api, operator: OperatorProcess, stores: Stores
) -> None:
    await ready_tenant(api, "mortal", deletionPolicy="Erase")
    await upload(api, "mortal")
    operator.kill()
    await api.ok("DELETE", f"{TENANTS}/mortal")
    operator.start()

    async def deleting() -> bool:
        return bool((await api.ok("GET", "/api/v1/namespaces/dh-mortal"))["metadata"].get("deletionTimestamp"))

    await eventually(deleting, "the namespace is being deleted")
    operator.kill()
    await finalize_namespace(api, "dh-mortal")
    operator.start()
    await wait_gone(api, "mortal")
    assert not await has_role(stores, "mortal")
    assert not await has_keys(api, "mortal")

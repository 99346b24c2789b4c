"""Taking tenants away: what each policy does, what blocks, and what is never touched."""

import base64
from typing import Any

import asyncpg
import pytest
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
    tenant_manifest,
)
from tests.integration.operator.test_ingest_job import upload
from tests.integration.operator.test_tenant import VAULT, read_credentials

CONTENT = (
    "/api/v1/namespaces/{}/secrets",
    "/api/v1/namespaces/{}/serviceaccounts",
    "/api/v1/namespaces/{}/resourcequotas",
    "/api/v1/namespaces/{}/limitranges",
    "/apis/networking.k8s.io/v1/namespaces/{}/networkpolicies",
    "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/rolebindings",
)


async def finalize_namespace(api: Api, name: str) -> None:
    """What the namespace controller does once the namespace is being deleted: its content first."""

    async def look() -> bool:
        status, body = await api.call("GET", f"/api/v1/namespaces/{name}")
        if status == 200 and body["metadata"].get("deletionTimestamp"):
            for collection in CONTENT:
                await api.ok("DELETE", collection.format(name))
            body["spec"]["finalizers"] = []
            await api.call("PUT", f"/api/v1/namespaces/{name}/finalize", body)  # a conflict is tried again
        return status == 404

    await eventually(look, f"namespace {name} gone")


async def wait_gone(api: Api, name: str) -> None:
    async def look() -> bool:
        return (await api.call("GET", f"{TENANTS}/{name}"))[0] == 404

    await eventually(look, f"tenant {name} gone")


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


async def count_documents(stores: Stores, tenant: str) -> int:
    conn = await asyncpg.connect(stores.database.url("dreamhub_operator"))
    count: int = await conn.fetchval(f'select count(*) from "t_{tenant}".documents')
    await conn.close()
    return count


async def wait_orphaned(api: Api, name: str, reason: str) -> str:
    """What the Tenant says, once it says that it touches nothing."""

    async def look() -> str | None:
        body: dict[str, Any] = await api.ok("GET", f"{TENANTS}/{name}")
        found = condition(body, "Stalled")
        is_orphan = body.get("status", {}).get("phase") == "Orphaned" and found.get("status") == "True"
        return str(found["message"]) if is_orphan and found["reason"] == reason else None

    return await eventually(look, f"tenant {name} orphaned: {reason}")


async def wait_ready_again(api: Api, name: str) -> dict[str, Any]:
    async def look() -> dict[str, Any] | None:
        body: dict[str, Any] = await api.ok("GET", f"{TENANTS}/{name}")
        return body if condition(body, "Ready").get("status") == "True" else None

    return await eventually(look, f"tenant {name} Ready")


async def read_vault(api: Api, tenant: str) -> dict[str, str]:
    """The tenant's entries in the Secret of data keys."""
    entries = (await api.ok("GET", VAULT)).get("data") or {}
    return {name: text for name, text in entries.items() if name.partition(".")[0] == tenant}


async def has_keys(api: Api, tenant: str) -> bool:
    return bool(await read_vault(api, tenant))


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


async def test_a_retained_tenants_documents_and_keys_come_back_to_whom_adopts_it(
    api: Api, operator: OperatorProcess, stores: Stores
) -> None:
    """The name alone gives nobody another's documents."""
    first = await ready_tenant(api, "phoenix", deletionPolicy="Retain")
    await upload(api, "phoenix")
    before = await read_credentials(api, "phoenix")
    await api.ok("DELETE", f"{TENANTS}/phoenix")
    await finalize_namespace(api, "dh-phoenix")
    await wait_gone(api, "phoenix")
    with pytest.raises((asyncpg.InvalidPasswordError, asyncpg.InvalidAuthorizationSpecificationError)):
        await asyncpg.connect(before["database-url"])

    await api.ok("POST", TENANTS, tenant_manifest("phoenix"))
    message = await wait_orphaned(api, "phoenix", "StoresForeign")
    former = first["metadata"]["uid"]
    assert f"dreamhub.dev/adopt={former}" in message
    status, _ = await api.call("GET", "/api/v1/namespaces/dh-phoenix/secrets/dreamhub-credentials")
    assert status == 404
    assert (await api.ok("GET", f"{TENANTS}/phoenix"))["status"]["namespace"]["uid"] == ""
    await api.merge(f"{TENANTS}/phoenix", {"metadata": {"annotations": {"dreamhub.dev/adopt": former}}})
    await wait_ready_again(api, "phoenix")
    after = await read_credentials(api, "phoenix")
    assert after["keys.json"] == before["keys.json"]
    conn = await asyncpg.connect(after["database-url"])
    assert await conn.fetchval("select count(*) from documents") == 1
    await conn.close()


async def test_a_namesake_that_adopted_nothing_erases_nothing(
    api: Api, operator: OperatorProcess, stores: Stores, object_store: ObjectStore, redis_client: Redis
) -> None:
    await ready_tenant(api, "heir", deletionPolicy="Retain")
    await upload(api, "heir")
    original = object_key("heir", "ver_1")
    await object_store.put(original, b"x")
    await api.ok("DELETE", f"{TENANTS}/heir")
    await finalize_namespace(api, "dh-heir")
    await wait_gone(api, "heir")
    keys = await read_vault(api, "heir")

    await api.ok("POST", TENANTS, tenant_manifest("heir", deletionPolicy="Erase"))
    await wait_orphaned(api, "heir", "StoresForeign")
    await redis_client.set("dh:{heir}:job:x", "1")
    await api.ok("DELETE", f"{TENANTS}/heir")
    await finalize_namespace(api, "dh-heir")
    await wait_gone(api, "heir")

    assert await has_role(stores, "heir")
    assert await count_documents(stores, "heir") == 1
    assert await read_vault(api, "heir") == keys
    assert await has_object(object_store, original)
    assert await redis_client.exists("dh:{heir}:job:x") == 1


async def test_a_tenant_whose_finalizer_was_forced_away_leaves_everything_and_comes_back(
    api: Api, operator: OperatorProcess, stores: Stores
) -> None:
    first = await ready_tenant(api, "forced", deletionPolicy="Erase")
    await upload(api, "forced")
    namespace = await api.ok("GET", "/api/v1/namespaces/dh-forced")
    operator.kill()
    await api.ok("DELETE", f"{TENANTS}/forced")
    await api.merge(f"{TENANTS}/forced", {"metadata": {"finalizers": None}})
    await wait_gone(api, "forced")
    await api.ok("POST", TENANTS, tenant_manifest("forced", deletionPolicy="Erase"))
    operator.start()

    former = first["metadata"]["uid"]
    assert f"dreamhub.dev/adopt={former}" in await wait_orphaned(api, "forced", "NamespaceForeign")
    assert await has_role(stores, "forced")
    await api.merge(f"{TENANTS}/forced", {"metadata": {"annotations": {"dreamhub.dev/adopt": former}}})
    second = await wait_ready_again(api, "forced")
    assert second["status"]["namespace"]["uid"] == namespace["metadata"]["uid"]
    labels = (await api.ok("GET", "/api/v1/namespaces/dh-forced"))["metadata"]["labels"]
    assert labels["dreamhub.dev/owner-uid"] == second["metadata"]["uid"]
    assert await count_documents(stores, "forced") == 1

    await api.ok("DELETE", f"{TENANTS}/forced")
    await finalize_namespace(api, "dh-forced")
    await wait_gone(api, "forced")
    assert not await has_role(stores, "forced")
    assert not await has_keys(api, "forced")


async def test_an_empty_tenant_goes_under_block(api: Api, operator: OperatorProcess, stores: Stores) -> None:
    await ready_tenant(api, "empty")
    await api.ok("DELETE", f"{TENANTS}/empty")
    await finalize_namespace(api, "dh-empty")
    await wait_gone(api, "empty")
    assert not await has_role(stores, "empty")


async def test_a_namespace_with_another_uid_is_never_deleted(
    api: Api, operator: OperatorProcess, stores: Stores
) -> None:
    """As after a restore, or when the status was edited: it names a namespace that this one is not."""
    await ready_tenant(api, "restored", deletionPolicy="Erase")
    operator.kill()
    await api.merge(f"{TENANTS}/restored/status", {"status": {"namespace": {"uid": "another"}}})
    await api.ok("DELETE", f"{TENANTS}/restored")
    operator.start()

    assert "not provably" in await wait_orphaned(api, "restored", "NamespaceForeign")
    namespace = await api.ok("GET", "/api/v1/namespaces/dh-restored")
    assert "deletionTimestamp" not in namespace["metadata"]
    assert await has_role(stores, "restored")
    blocked = (await api.ok("GET", f"{TENANTS}/restored"))["status"]["deletion"]["blockedBy"]
    assert namespace["metadata"]["uid"] in blocked[0]


async def test_a_namespace_made_again_with_forged_labels_is_neither_used_nor_deleted(
    api: Api, operator: OperatorProcess, stores: Stores
) -> None:
    await ready_tenant(api, "forged", deletionPolicy="Erase")
    labels = (await api.ok("GET", "/api/v1/namespaces/dh-forged"))["metadata"]["labels"]
    operator.kill()
    await api.ok("DELETE", "/api/v1/namespaces/dh-forged")
    await finalize_namespace(api, "dh-forged")
    metadata = {"name": "dh-forged", "labels": labels}
    await api.ok("POST", "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    operator.start()

    assert "somebody made it again" in await wait_orphaned(api, "forged", "NamespaceForeign")
    assert (await api.call("GET", "/api/v1/namespaces/dh-forged/secrets/dreamhub-credentials"))[0] == 404
    await api.ok("DELETE", f"{TENANTS}/forged")

    async def blocked() -> bool:
        return "not provably" in str((await api.ok("GET", f"{TENANTS}/forged"))["status"].get("deletion"))

    await eventually(blocked, "the deletion waits for a person")
    assert "deletionTimestamp" not in (await api.ok("GET", "/api/v1/namespaces/dh-forged"))["metadata"]
    assert await has_role(stores, "forged")
    await api.ok("DELETE", "/api/v1/namespaces/dh-forged")
    await finalize_namespace(api, "dh-forged")
    await wait_gone(api, "forged")
    assert not await has_role(stores, "forged")


async def test_a_label_forged_on_a_foreign_namespace_does_not_doom_it(api: Api, operator: OperatorProcess) -> None:
    """It was never the Tenant's: no label makes it so once the deletion is ordered."""
    foreign = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "dh-stranger"}}
    await api.ok("POST", "/api/v1/namespaces", foreign)
    tenant = await api.ok("POST", TENANTS, tenant_manifest("stranger", deletionPolicy="Erase"))
    await wait_orphaned(api, "stranger", "NamespaceForeign")
    operator.kill()
    await api.ok("DELETE", f"{TENANTS}/stranger")
    labels = {"dreamhub.dev/tenant": "stranger", "dreamhub.dev/owner-uid": tenant["metadata"]["uid"]}
    await api.merge("/api/v1/namespaces/dh-stranger", {"metadata": {"labels": labels}})
    operator.start()

    async def blocked() -> bool:
        return "not provably" in str((await api.ok("GET", f"{TENANTS}/stranger"))["status"].get("deletion"))

    await eventually(blocked, "the deletion waits for a person")
    assert "deletionTimestamp" not in (await api.ok("GET", "/api/v1/namespaces/dh-stranger"))["metadata"]
    await api.merge("/api/v1/namespaces/dh-stranger", {"metadata": {"labels": {"dreamhub.dev/owner-uid": None}}})
    await wait_gone(api, "stranger")
    assert "deletionTimestamp" not in (await api.ok("GET", "/api/v1/namespaces/dh-stranger"))["metadata"]


async def test_keys_of_another_hold_the_erasure_up(api: Api, operator: OperatorProcess, stores: Stores) -> None:
    """As when the Secret of keys came out of a backup: documents and keys have to be one Tenant's."""
    await ready_tenant(api, "mixed", deletionPolicy="Erase")
    operator.kill()
    someone = base64.b64encode(b"someone").decode()
    await api.merge(VAULT, {"data": {"mixed.owner": someone}})
    await api.ok("DELETE", f"{TENANTS}/mixed")
    operator.start()

    assert "data keys of this name belong to another" in await wait_orphaned(api, "mixed", "StoresForeign")
    assert await has_role(stores, "mixed")
    await api.merge(f"{TENANTS}/mixed", {"metadata": {"annotations": {"dreamhub.dev/adopt": "someone"}}})
    await finalize_namespace(api, "dh-mixed")
    await wait_gone(api, "mixed")
    assert not await has_role(stores, "mixed")
    assert not await has_keys(api, "mixed")


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

"""Logins and data keys are replaced under load, by the operator as a process: nobody notices, nothing is left."""

import asyncio
import base64
import json
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from redis.asyncio import Redis
from redis.exceptions import AuthenticationError

from dreamhub.domain.envelope import MasterKeys, is_wrapped
from dreamhub.domain.keys import DataKeys
from dreamhub.sql.documents import list_chunks, list_documents
from dreamhub.sql.logins import end_login
from dreamhub.sql.tenants import build_scram_verifier
from dreamhub_operator.desired.credentials import read_credentials, read_entry
from tests.integration.operator.control_plane import Api
from tests.integration.operator.deployment import (
    SYSTEM,
    TENANTS,
    OperatorProcess,
    Stores,
    condition,
    eventually,
    ready_tenant,
)
from tests.integration.operator.rotation import (
    MASTERS,
    PATIENCE,
    VAULT,
    Load,
    Node,
    Site,
    look_thrice,
    start_old_worker,
)
from tests.integration.servers import pick_port
from tests.integration.sql.support import File, connected, ingest

ROTATION = {"overlap": "6s", "spread": "2s", "retiredKeysKept": "4s"}


@pytest.fixture
def hasty(
    operator_environment: dict[str, str], operator_process: OperatorProcess, tmp_path: Path
) -> Iterator[OperatorProcess]:
    """An operator in place of the others', for which hours are seconds."""
    if operator_process.is_running():
        operator_process.stop()
    port = pick_port()
    more = {
        "DREAMHUB_METRICS_PORT": str(port),
        "DREAMHUB_ROTATION": json.dumps(ROTATION),
        "DREAMHUB_JOB_DEADLINE_SECONDS": "5",
    }
    process = OperatorProcess({**operator_environment, **more}, tmp_path / "operator.log", port)
    process.start()
    yield process
    if process.is_running():
        process.stop()
    text = process.log.read_text()
    print(text[-8000:])  # noqa: T201 - pytest shows it when a test has failed
    assert "Traceback" not in text


@asynccontextmanager
async def site(api: Api) -> AsyncIterator[Site]:
    """A fresh tenant, gone afterwards: the operators of other tests need not look after it."""
    name = f"rot-{secrets.token_hex(3)}"
    await ready_tenant(api, name, deletionPolicy="Erase")
    yield Site(api, name)
    await api.ok("DELETE", f"{TENANTS}/{name}")

    async def gone() -> bool:
        return (await api.call("GET", f"{TENANTS}/{name}"))[0] == 404

    await api.ok("DELETE", f"/api/v1/namespaces/dh-{name}")
    with suppress(AssertionError):  # without its controllers nothing finishes a namespace
        await eventually(gone, "the tenant is gone", 1)


@pytest_asyncio.fixture
async def tenant(api: Api, hasty: OperatorProcess) -> AsyncIterator[Site]:
    async with site(api) as found:
        yield found


async def is_accepted(url: str) -> bool:
    try:
        conn = await asyncpg.connect(url)
    except asyncpg.InvalidAuthorizationSpecificationError:
        return False
    await conn.close()
    return True


async def goes_on(session: asyncpg.Connection) -> bool:
    try:
        return bool(await session.fetchval("SELECT count(*) FROM documents") == 0)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
        return False


async def is_known_to_redis(url: str) -> bool:
    client = Redis.from_url(url)
    try:
        return bool(await client.ping())
    except AuthenticationError:
        return False
    finally:
        await client.aclose()


async def work(tenant: Site, stop: asyncio.Event) -> int:
    """Pods that start all the time, each with what is mounted then."""
    number = 0
    while not stop.is_set():
        secret = await tenant.secret()
        conn = await asyncpg.connect(read_entry(secret, "database-url"))
        client = Redis.from_url(read_entry(secret, "redis-url") or "")
        for _ in range(5):
            assert await conn.fetchval("SELECT count(*) FROM documents") == 0
            assert await client.ping()
            number += 1
        await conn.close()
        await client.aclose()
    return number


async def rotate(tenant: Site, request: str, slot: str) -> None:
    """Once, with a session that goes on with the login before for as long as it may."""
    before, redis_before = await tenant.url(), await tenant.url("redis-url")
    session = await asyncpg.connect(before)
    await tenant.ask("rotate-credentials", request)
    await tenant.await_slot(slot, former=True)
    assert await tenant.url() != before
    until = await tenant.former_until()
    accepted = await is_accepted(before) and await is_known_to_redis(redis_before) and await goes_on(session)
    assert accepted or datetime.now(UTC) >= until
    await tenant.await_slot(slot, former=False)
    assert not await is_accepted(before)

    async def forgotten() -> bool:
        return not await is_known_to_redis(redis_before)

    await eventually(forgotten, "Redis refuses the password before", PATIENCE)
    session.terminate()


async def test_logins_rotate_twice_under_load_and_old_ones_end(tenant: Site) -> None:
    stop = asyncio.Event()
    working = asyncio.create_task(work(tenant, stop))
    await rotate(tenant, "first", "b")
    await rotate(tenant, "second", "a")
    assert not working.done(), "a request has failed"
    stop.set()
    assert await working > 0
    assert condition(await tenant.tenant(), "CredentialsFresh")["status"] == "True"


async def test_a_killed_operator_ends_in_the_same_place(tenant: Site, hasty: OperatorProcess) -> None:
    """Killed again and again in the middle of a rotation: one login works at the end, the one in the Secret."""
    before = await tenant.url()
    await tenant.ask("rotate-credentials", "now")
    for pause in (0.0, 0.05, 0.1, 0.2, 0.4, 0.8):
        await asyncio.sleep(pause)
        hasty.kill()
        assert await is_accepted(await tenant.url()), "what is mounted works at every moment"
        hasty.start()

        async def leads() -> bool:
            return "dreamhub_leader 1.0" in await hasty.fetch("/metrics")

        await eventually(leads, "the next one leads", PATIENCE)

    async def settled() -> bool:
        found = read_credentials(await tenant.secret())
        return found is not None and found.request == "now" and found.former is None

    await eventually(settled, "the rotation has ended", PATIENCE)
    assert await is_accepted(await tenant.url())
    assert not await is_accepted(before)
    logins = "SELECT rolname FROM pg_roles WHERE rolcanlogin AND rolname ^@ $1"
    async with connected(await tenant.url()) as conn:
        found = await conn.fetch(logins, f"t_{tenant.name}")
        assert [row["rolname"] for row in found] == [await conn.fetchval("SELECT session_user::text")]


async def test_a_login_of_the_first_release_is_rotated_at_once_and_ends_later(
    tenant: Site, hasty: OperatorProcess, stores: Stores
) -> None:
    """An upgrade: the tenant's role itself is the login, and its Secret says nothing of slots."""
    hasty.stop()
    async with connected(stores.database.url("dreamhub_operator")) as conn:
        verifier = build_scram_verifier("before")
        await conn.execute("SELECT dreamhub.provision_tenant($1, $2)", tenant.name, verifier)
        await end_login(conn, tenant.name, "a")
    old = stores.database.tenant_url(tenant.name, "", "before")
    secret = await tenant.secret()
    secret["data"]["database-url"] = base64.b64encode(old.encode()).decode()
    del secret["metadata"]["annotations"]
    await tenant.api.ok("PUT", f"/api/v1/namespaces/dh-{tenant.name}/secrets/dreamhub-credentials", secret)
    await tenant.api.merge(f"{TENANTS}/{tenant.name}/status", {"status": {"credentials": None}})
    running = await asyncpg.connect(old)
    hasty.start()
    await tenant.await_slot("a", former=True)
    until = await tenant.former_until()
    accepted = await is_accepted(old) and await goes_on(running)
    assert accepted or datetime.now(UTC) >= until
    assert await is_accepted(await tenant.url())
    await tenant.await_slot("a", former=False)
    assert not await is_accepted(old)
    running.terminate()
    async with connected(await tenant.url()) as conn:
        assert not await conn.fetchval("SELECT rolcanlogin FROM pg_roles WHERE rolname = current_user")


async def test_data_keys_rotate_under_load_until_the_old_one_is_gone(
    tenant: Site, hasty: OperatorProcess, tmp_path: Path
) -> None:
    node = Node(tenant, tmp_path)
    await node.refresh()
    await start_old_worker(tenant)
    load = Load(tmp_path, node)
    async with connected(load.url) as conn:
        for number in range(6):
            await ingest(conn, load.first, File(f"old {number}", tuple(f"old {number} {at}" for at in range(40))))
    load.start()
    running = asyncio.create_task(node.run())
    await tenant.ask("rotate-keys", "now")

    await let_old_worker_be_awaited(load, hasty)

    async def finished() -> dict[str, Any] | None:
        await load.check()
        if running.done():
            await running
        keys: dict[str, Any] = (await tenant.tenant())["status"].get("keys", {})
        return keys if keys.get("active") == "2" and keys.get("reencryption", {}).get("state") == "Done" else None

    keys = await eventually(finished, "content is under the new key", PATIENCE)
    assert min(await load.end()) > 0
    assert keys["reencryption"]["percent"] == 100
    assert keys["reencryption"]["total"] == keys["reencryption"]["done"] > 240

    async def destroyed() -> bool:
        status = (await tenant.tenant())["status"]["keys"]
        return not status.get("retired") and not (await tenant.ring()).retired

    await eventually(destroyed, "the retired key is destroyed", PATIENCE)
    running.cancel()
    assert node.jobs >= 2, "what the worker of before has written was found, and brought under the new key"
    await check_readable(tenant)


async def let_old_worker_be_awaited(load: Load, operator: OperatorProcess) -> None:
    """It writes its last rows when the operator could have retired its key."""

    async def rewritten() -> bool:
        await load.check()
        return load.node.jobs > 0

    await eventually(rewritten, "content was re-encrypted a first time", PATIENCE)
    await look_thrice(load.node.site.api, operator)
    load.node.watched = True


async def check_readable(tenant: Site) -> None:
    """By the new key alone, which is what pods have."""
    ring = await tenant.ring()
    assert list(ring.keys.keys) == ["2"]
    assert DataKeys.parse(await tenant.url("keys.json")) == ring.keys
    async with connected(await tenant.url()) as conn:
        documents = (await list_documents(conn, ring.keys, limit=100)).items
        assert len(documents) == 12
        for document in documents:
            await list_chunks(conn, ring.keys, document.id, limit=100)


async def test_entries_follow_the_master_key_and_nothing_is_lost_without_it(api: Api, tenant: Site) -> None:
    ring, entry = await tenant.ring(), f"{tenant.name}.json"
    plain = base64.b64encode(ring.dump().encode()).decode()
    await api.merge(VAULT, {"data": {entry: plain}})

    async def wrapped_by(master: str | None = None) -> bool:
        text = read_entry(await api.ok("GET", VAULT), entry) or ""
        return is_wrapped(text) and (master is None or json.loads(text)["master"] == master)

    await eventually(wrapped_by, "a plain entry of an earlier release is wrapped", PATIENCE)
    before = await api.ok("GET", MASTERS)
    active = MasterKeys.parse(read_entry(before, "master-keys.json") or "").active
    await api.merge(MASTERS, {"metadata": {"annotations": {"dreamhub.dev/rotate-keys": secrets.token_hex(4)}}})

    async def rotated() -> bool:
        masters = MasterKeys.parse(read_entry(await api.ok("GET", MASTERS), "master-keys.json") or "")
        return masters.active != active and await wrapped_by(masters.active)

    await eventually(rotated, "the entry is under the new master key", PATIENCE)
    assert await tenant.ring() == ring
    lost = await api.ok("GET", MASTERS)
    await api.ok("DELETE", MASTERS)

    async def complains() -> dict[str, Any] | None:
        found = condition(await tenant.tenant(), "Stalled")
        return found if found.get("reason") == "KeysLost" else None

    message = (await eventually(complains, "the Tenant tells that the master keys are gone", PATIENCE))["message"]
    assert "dreamhub-master-keys" in message
    assert "restore it from a backup" in message
    kept = {name: lost["metadata"].get(name) for name in ("name", "namespace", "labels", "annotations")}
    await api.ok("POST", f"/api/v1/namespaces/{SYSTEM}/secrets", {**lost, "metadata": kept})

    async def ready() -> bool:
        return condition(await tenant.tenant(), "Ready").get("status") == "True"

    await eventually(ready, "all is well again", PATIENCE)
    assert await tenant.ring() == ring

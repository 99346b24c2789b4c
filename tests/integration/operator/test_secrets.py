"""The operator's logins are changed while it works: it goes on as the same process."""

import base64
import signal
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from redis.asyncio import Redis

from tests.integration.operator.control_plane import Api
from tests.integration.operator.deployment import OperatorProcess, Stores, eventually, ready_tenant
from tests.integration.operator.test_ingest_job import create, upload, wait_for_job

SESSIONS = "SELECT pid FROM pg_stat_activity WHERE application_name = 'dreamhub-operator'"


async def run(stores: Stores, statement: str) -> set[int]:
    """As the superuser; the first column of what it answers."""
    conn = await asyncpg.connect(stores.database.server.superuser_url)
    try:
        return {row[0] for row in await conn.fetch(statement)}
    finally:
        await conn.close()


def write(file: str, text: str) -> str:
    """As Kubernetes does it: in one step. Returns what was there."""
    path = Path(file)
    before = path.read_text()
    path.with_suffix(".next").write_text(text)
    path.with_suffix(".next").rename(path)
    return before


@pytest.mark.parametrize("asked", [False, True], ids=["by itself", "at a SIGHUP"])
async def test_the_password_of_the_database(
    api: Api,
    operator: OperatorProcess,
    operator_environment: dict[str, str],
    stores: Stores,
    *,
    asked: bool,
) -> None:
    file, password = operator_environment["DREAMHUB_DATABASE_URL_FILE"], f"next-{asked}"
    await ready_tenant(api, f"before-{asked}".lower())
    old = await run(stores, SESSIONS)
    before = write(file, stores.database.server.url("dreamhub_operator", password))
    try:
        await run(stores, f"ALTER ROLE dreamhub_operator PASSWORD '{password}'")
        if asked:
            assert operator.process is not None
            operator.process.send_signal(signal.SIGHUP)

        async def renewed() -> bool:
            return not old & await run(stores, SESSIONS)

        await ready_tenant(api, f"after-{asked}".lower())
        await eventually(renewed, "old sessions are let go of", 60)
    finally:
        await run(stores, f"ALTER ROLE dreamhub_operator PASSWORD '{stores.database.password}'")
        write(file, before)
    assert operator.is_running()


async def test_the_password_of_redis(
    api: Api,
    operator: OperatorProcess,
    operator_environment: dict[str, str],
    redis_client: Redis,
    stores: Stores,
) -> None:
    raw: Any = redis_client  # its raw command is untyped
    await raw.execute_command("ACL", "SETUSER", "dreamhub_next", "on", ">next", "~*", "&*", "+@all")
    before = write(operator_environment["DREAMHUB_REDIS_URL_FILE"], stores.redis.url("dreamhub_next", "next"))
    try:

        async def taken_over() -> bool:
            return any(client["user"] == "dreamhub_next" for client in await redis_client.client_list())

        await eventually(taken_over, "the new login is used", 60)
        await ready_tenant(api, "other-redis-login")
    finally:
        write(operator_environment["DREAMHUB_REDIS_URL_FILE"], before)

        async def given_up() -> bool:
            return all(client["user"] != "dreamhub_next" for client in await redis_client.client_list())

        await eventually(given_up, "the old login is used again", 60)
        await redis_client.acl_deluser("dreamhub_next")


async def test_the_keys_of_the_object_store(
    api: Api, operator: OperatorProcess, operator_environment: dict[str, str], stores: Stores
) -> None:
    """What is signed from then on is signed with the new ones."""
    tenant = "resigned"
    await ready_tenant(api, tenant)
    folder = operator_environment["DREAMHUB_S3_CREDENTIALS_DIR"]
    before = write(f"{folder}/access-key", "next-key")
    try:
        document = await upload(api, tenant)
        kubelet = await create(api, "order", tenant, source={"documents": {"ids": [document]}})
        await wait_for_job(api, kubelet)
        secret = await api.ok("GET", f"/api/v1/namespaces/dh-{tenant}/secrets/{kubelet.job}-input")
        assert b"next-key" in base64.b64decode(secret["data"]["job.json"])
    finally:
        write(f"{folder}/access-key", before)
    assert before.strip() == stores.s3.access_key

"""Tenants on a real API server: what is made, what is set back, what is refused."""

import base64
from typing import Any

import asyncpg
from redis.asyncio import Redis

from tests.integration.operator.conftest import TENANTS, OperatorProcess, condition, eventually, ready_tenant
from tests.integration.operator.control_plane import Api


async def test_a_tenant_gets_everything_and_its_logins_work(api: Api, operator: OperatorProcess) -> None:
    tenant = await ready_tenant(api, "acme", owners=[{"kind": "User", "name": "ada"}])

    assert tenant["status"]["phase"] == "Active"
    namespace = await api.ok("GET", "/api/v1/namespaces/dh-acme")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert tenant["status"]["namespace"] == {"name": "dh-acme", "uid": namespace["metadata"]["uid"]}
    secret = await api.ok("GET", "/api/v1/namespaces/dh-acme/secrets/dreamhub-credentials")
    logins = {key: base64.b64decode(text).decode() for key, text in secret["data"].items()}
    conn = await asyncpg.connect(logins["database-url"])
    assert await conn.fetchval("select current_user") == "t_acme"
    await conn.close()
    client = Redis.from_url(logins["redis-url"])
    assert await client.ping()
    await client.aclose()

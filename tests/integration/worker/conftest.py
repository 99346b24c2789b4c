"""A fresh tenant with a worker for each test."""

import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from dreamhub import names
from dreamhub.sql.connections import Pool
from dreamhub.storage.redis_acl import digest_password, set_tenant_user
from tests.integration.conftest import TenantLogin
from tests.integration.servers import RedisServer
from tests.integration.worker.support import ObjectServer, Rig, run_object_server


@pytest_asyncio.fixture
async def objects() -> AsyncIterator[ObjectServer]:
    async with run_object_server() as server:
        yield server


@pytest_asyncio.fixture
async def redis_url(tenant: TenantLogin, redis_server: RedisServer, redis_admin: Redis) -> str:
    """The tenant's own login."""
    password = secrets.token_hex(16)
    await set_tenant_user(redis_admin, tenant.tenant, [digest_password(password)])
    return redis_server.url(names.redis_user(tenant.tenant), password)


@pytest.fixture
def rig(tenant: TenantLogin, tenant_pool: Pool, redis_url: str, objects: ObjectServer, tmp_path: Path) -> Rig:
    return Rig(tenant, redis_url, tenant_pool, objects, tmp_path)

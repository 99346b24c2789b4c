"""Two tenants on one platform: a victim with a marker in everything it has, and an attacker who has the like."""

from collections.abc import AsyncIterator

import aiohttp
import pytest
import pytest_asyncio
from redis.asyncio import Redis

from dreamhub import names
from dreamhub.sql.connections import Connection
from dreamhub.storage.objects import ObjectStoreSettings
from dreamhub_api.settings import Settings
from tests.integration.api.conftest import (
    MakeTenant,
    cluster,
    http,
    make_tenant,
    patience,
    ready_caller,
    server,
    settings,
)
from tests.integration.api.identity_provider import run_issuer
from tests.integration.api.platform import Caller, Cluster, Tenant, run_server
from tests.integration.conftest import Database
from tests.integration.isolation.plants import Gardener, Planted, plant
from tests.integration.isolation.witness import Witness
from tests.integration.servers import RedisServer

__all__ = ["cluster", "http", "make_tenant", "patience", "server", "settings"]


@pytest_asyncio.fixture(scope="session")
async def issuer() -> AsyncIterator[str]:
    async with run_issuer() as url:
        yield url


@pytest_asyncio.fixture(scope="session")
async def platform(settings: Settings, issuer: str) -> AsyncIterator[str]:
    """An API server that takes service accounts and the provider's tokens."""
    async with run_server(settings.model_copy(update={"oidc_issuer": issuer})) as url:
        yield url


@pytest_asyncio.fixture(scope="session")
async def redis_session(redis_server: RedisServer) -> AsyncIterator[Redis]:
    client = Redis.from_url(redis_server.url())
    yield client
    await client.aclose()


@pytest.fixture(scope="session")
def gardener(cluster: Cluster, redis_session: Redis, operator_connection: Connection) -> Gardener:
    return Gardener(cluster, redis_session, operator_connection)


@pytest_asyncio.fixture(scope="session")
async def victim(http: aiohttp.ClientSession, platform: str, make_tenant: MakeTenant, gardener: Gardener) -> Planted:
    tenant = await make_tenant()
    return await plant(tenant, await ready_caller(http, platform, tenant), gardener)


@pytest_asyncio.fixture(scope="session")
async def attacker(http: aiohttp.ClientSession, platform: str, make_tenant: MakeTenant, gardener: Gardener) -> Planted:
    """Has rows of its own, so that an answer without the victim's is not an empty one by chance."""
    tenant = await make_tenant()
    return await plant(tenant, await ready_caller(http, platform, tenant), gardener)


@pytest_asyncio.fixture(scope="session")
async def squatter(http: aiohttp.ClientSession, platform: str, make_tenant: MakeTenant) -> Tenant:
    """Takes the victim's names for things of its own."""
    tenant = await make_tenant()
    await ready_caller(http, platform, tenant)
    return tenant


@pytest_asyncio.fixture(scope="session")
async def stray_token(cluster: Cluster) -> str:
    """Of a service account that the cluster accepts, in a namespace of no tenant."""
    await cluster.make_account("default", "stray")
    return await cluster.create_token("default", "stray", names.TOKEN_AUDIENCE)


@pytest.fixture(scope="session")
def witness(
    database: Database, redis_session: Redis, s3_settings: ObjectStoreSettings, cluster: Cluster, victim: Planted
) -> Witness:
    return Witness(database, redis_session, s3_settings, cluster, victim.tenant.name)


@pytest.fixture
def attack(http: aiohttp.ClientSession, platform: str, attacker: Planted) -> Caller:
    return Caller(http, platform, attacker.tenant.token)

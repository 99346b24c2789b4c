"""Session-wide real servers, and a database made exactly as in production: bootstrap.sql, then the migrator."""

import io
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio
from redis.asyncio import Redis

from dreamhub.domain.keys import DataKeys
from dreamhub.sql.connections import Connection, Pool
from dreamhub.sql.logins import FormerSlot, build_url, set_login
from dreamhub.sql.migrate import load_migrations, migrate_up
from dreamhub.sql.pool import PoolOptions, open_pool
from dreamhub.sql.tenants import build_scram_verifier, provision_tenant
from dreamhub.storage.functions import load_functions
from dreamhub.storage.objects import ObjectStore, ObjectStoreSettings
from tests.integration.servers import (
    PostgresServer,
    RedisServer,
    S3Server,
    run_postgres,
    run_redis,
    run_s3,
    temporary_folder,
)

MIGRATIONS = Path(__file__).parents[2] / "migrations"
LOGINS = ("dreamhub_owner", "dreamhub_api", "dreamhub_operator")


@dataclass(frozen=True, slots=True)
class Database:
    """A migrated database; `url("dreamhub_api")` logs in as that service."""

    server: PostgresServer
    password: str
    name: str = "dreamhub"

    def url(self, login: str) -> str:
        return self.server.url(login, self.password, self.name)

    def tenant_url(self, tenant: str, slot: FormerSlot, password: str) -> str:
        return build_url(f"127.0.0.1:{self.server.port}/{self.name}", tenant, slot, password)


@dataclass(frozen=True, slots=True)
class TenantLogin:
    """A provisioned tenant: what its worker has."""

    tenant: str
    url: str
    keys: DataKeys


NewTenant = Callable[[], Awaitable[TenantLogin]]


async def bootstrap(server: PostgresServer, password: str) -> None:
    """What the embedded PostgreSQL does at its first start."""
    conn = await asyncpg.connect(server.superuser_url)
    await conn.execute((MIGRATIONS / "bootstrap.sql").read_text())
    for login in LOGINS:
        await conn.execute(f"ALTER ROLE {login} PASSWORD '{build_scram_verifier(password)}'")
    await conn.close()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    with temporary_folder() as folder, run_postgres(folder) as server:
        yield server


@pytest_asyncio.fixture(scope="session")
async def database(postgres_server: PostgresServer) -> Database:
    database = Database(postgres_server, secrets.token_hex(8))
    await bootstrap(postgres_server, database.password)
    conn = await asyncpg.connect(database.url("dreamhub_owner"))
    await migrate_up(conn, load_migrations(MIGRATIONS), io.StringIO())
    await conn.close()
    return database


@pytest_asyncio.fixture(scope="session")
async def api_pool(database: Database) -> AsyncIterator[Pool]:
    """The API server's pool: nothing without `tenant_transaction`."""
    pool = await open_pool(database.url("dreamhub_api"), PoolOptions(maximum=5))
    yield pool
    await pool.close()


@pytest_asyncio.fixture(scope="session")
async def operator_connection(database: Database) -> AsyncIterator[Connection]:
    conn = await asyncpg.connect(database.url("dreamhub_operator"))
    yield conn
    await conn.close()


@pytest_asyncio.fixture(scope="session")
async def new_tenant(database: Database, operator_connection: Connection) -> NewTenant:
    """A factory of fresh tenants, so that tests share the servers and nothing else."""

    async def provision() -> TenantLogin:
        tenant, password = f"t-{secrets.token_hex(6)}", secrets.token_hex(16)
        await provision_tenant(operator_connection, tenant)
        await set_login(operator_connection, tenant, "a", build_scram_verifier(password))
        return TenantLogin(tenant, database.tenant_url(tenant, "a", password), DataKeys.generate())

    return provision


@pytest_asyncio.fixture
async def tenant(new_tenant: NewTenant) -> TenantLogin:
    return await new_tenant()


@pytest_asyncio.fixture
async def tenant_pool(tenant: TenantLogin) -> AsyncIterator[Pool]:
    """The tenant's worker's pool."""
    pool = await open_pool(tenant.url, PoolOptions(maximum=4))
    yield pool
    await pool.close()


@pytest_asyncio.fixture
async def tenant_connection(tenant_pool: Pool) -> AsyncIterator[Connection]:
    async with tenant_pool.acquire() as conn:
        yield conn


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    with temporary_folder() as folder, run_redis(folder) as server:
        yield server


@pytest_asyncio.fixture
async def redis_admin(redis_server: RedisServer) -> AsyncIterator[Redis]:
    client = Redis.from_url(redis_server.url())
    await load_functions(client)
    yield client
    await client.aclose()


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    with temporary_folder() as folder, run_s3(folder) as server:
        yield server


@pytest.fixture(scope="session")
def s3_settings(s3_server: S3Server) -> ObjectStoreSettings:
    return ObjectStoreSettings(
        endpoint=s3_server.endpoint,
        bucket="dreamhub",
        region="us-east-1",
        access_key=s3_server.access_key,
        secret_key=s3_server.secret_key,
    )


@pytest_asyncio.fixture(scope="session")
async def object_store(s3_settings: ObjectStoreSettings) -> ObjectStore:
    store = ObjectStore(s3_settings)
    await store.ensure_bucket()
    return store

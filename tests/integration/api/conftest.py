"""One Kubernetes API server, one DreamHub API server and fresh tenants."""

import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
import yaml

from dreamhub.sql.connections import Connection
from dreamhub.storage import model_budget
from dreamhub.storage.objects import ObjectStore, ObjectStoreSettings
from dreamhub_api.services import readiness
from dreamhub_api.settings import Settings
from tests.integration.api.platform import Caller, Cluster, Tenant, run_server, until
from tests.integration.conftest import Database, NewTenant
from tests.integration.operator.control_plane import Api, install_crds, start_control_plane, wait_ready
from tests.integration.servers import RedisServer

CRDS = Path(__file__).parents[3] / "crds"
UPLOAD_LIMIT = 1_000_000
JOB_TOKEN_KEY = "a key for the tokens of all workers"

MakeTenant = Callable[[], Awaitable[Tenant]]


@pytest_asyncio.fixture(scope="session")
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest_asyncio.fixture(scope="session")
async def cluster(http: aiohttp.ClientSession) -> AsyncIterator[Cluster]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        plane = start_control_plane(Path(folder))
        try:
            api = Api(http, plane.url)
            await wait_ready(api, plane)
            await install_crds(api, [yaml.safe_load(path.read_text()) for path in sorted(CRDS.glob("*.yaml"))])
            cluster = Cluster(api)
            await cluster.prepare()
            yield cluster
        finally:
            plane.stop()


@pytest.fixture(scope="session")
def patience() -> Iterator[None]:
    """On a busy machine no store is away, however long an answer takes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(readiness, "CHECK_SECONDS", 60.0)
        patch.setattr(model_budget, "_REDIS_SECONDS", 60.0)
        yield


@pytest_asyncio.fixture(scope="session")
async def settings(  # noqa: PLR0913, PLR0917 - the parts of a platform
    cluster: Cluster,
    database: Database,
    redis_server: RedisServer,
    s3_settings: ObjectStoreSettings,
    object_store: ObjectStore,
    patience: None,
) -> AsyncIterator[Settings]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = {
            "database-url": database.url("dreamhub_api"),
            "redis-url": redis_server.url(),
            "access-key": s3_settings.access_key,
            "secret-key": s3_settings.secret_key,
            "current": JOB_TOKEN_KEY,
        }
        for file, value in files.items():
            (folder / file).write_text(value)
        yield Settings(
            database_url_file=folder / "database-url",
            redis_url_file=folder / "redis-url",
            s3_endpoint=s3_settings.endpoint,
            s3_bucket=s3_settings.bucket,
            s3_credentials_dir=folder,
            job_token_keys_dir=folder,
            upload_limit_bytes=UPLOAD_LIMIT,
            kubeconfig=await cluster.write_kubeconfig(folder),
        )


@pytest_asyncio.fixture(scope="session")
async def server(settings: Settings) -> AsyncIterator[str]:
    async with run_server(settings) as url:
        yield url


@pytest_asyncio.fixture(scope="session")
async def make_tenant(cluster: Cluster, new_tenant: NewTenant, operator_connection: Connection) -> MakeTenant:
    async def make() -> Tenant:
        login = await new_tenant()
        token = await cluster.make_tenant(login.tenant, login.keys)
        return Tenant(login.tenant, token, login.keys, login.url)

    return make


@pytest_asyncio.fixture
async def acme(make_tenant: MakeTenant) -> Tenant:
    return await make_tenant()


@pytest_asyncio.fixture
async def caller(http: aiohttp.ClientSession, server: str, acme: Tenant) -> Caller:
    """The owner of a fresh tenant."""
    return await ready_caller(http, server, acme)


@pytest_asyncio.fixture
async def stranger(http: aiohttp.ClientSession, server: str, make_tenant: MakeTenant) -> Caller:
    """The owner of another fresh tenant."""
    return await ready_caller(http, server, await make_tenant())


async def ready_caller(http: aiohttp.ClientSession, server: str, tenant: Tenant) -> Caller:
    """Once the server has heard of the tenant: caches follow the cluster within moments, not at once."""
    caller = Caller(http, server, tenant.token)

    async def known() -> bool:
        return (await caller.call("GET", "/documents"))[0] == 200

    await until(known, f"the server knows {tenant.name}")
    return caller

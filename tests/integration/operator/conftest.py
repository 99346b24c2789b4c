"""A real API server with our CRDs and rights, real PostgreSQL, Redis and S3, and the operator as a process."""

from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest
import pytest_asyncio
from redis.asyncio import Redis

from dreamhub.crd.definitions import DEFINITIONS, build_crd
from dreamhub.storage.objects import ObjectStore, ObjectStoreSettings
from tests.integration.conftest import Database
from tests.integration.operator import drift
from tests.integration.operator.control_plane import (
    Api,
    ControlPlane,
    install_crds,
    start_control_plane,
    wait_ready,
)
from tests.integration.operator.deployment import (
    TENANTS,
    OperatorProcess,
    Stores,
    build_environment,
    create_token,
    install_rights,
)
from tests.integration.servers import RedisServer, pick_port


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    plane = start_control_plane(tmp_path_factory.mktemp("control-plane"))
    yield plane
    plane.stop()


@pytest_asyncio.fixture(scope="session")
async def api(control_plane: ControlPlane) -> AsyncIterator[Api]:
    """The administrator, on a server that has our CRDs, roles and policies."""
    async with aiohttp.ClientSession() as session:
        api = Api(session, control_plane.url)
        await wait_ready(api, control_plane)
        await install_crds(api, [build_crd(definition) for definition in DEFINITIONS])
        await install_rights(api)
        yield api


@pytest.fixture(scope="session")
def stores(
    database: Database, redis_server: RedisServer, s3_settings: ObjectStoreSettings, object_store: ObjectStore
) -> Stores:
    return Stores(database, redis_server, s3_settings)


@pytest_asyncio.fixture(scope="module", autouse=True)
async def _leave_no_tenants(api: Api) -> AsyncIterator[None]:
    """The operator looks at every Tenant each second: what a module leaves would slow the next ones down.

    Only the Tenants go: their data stays, as if somebody had taken their finalizers away. One is for several modules.
    """
    yield
    names = {tenant["metadata"]["name"] for tenant in (await api.ok("GET", TENANTS))["items"]}
    for name in names - {drift.TENANT}:
        path = f"{TENANTS}/{name}"
        await api.call("DELETE", path)
        await api.call("PATCH", path, {"metadata": {"finalizers": None}}, "application/merge-patch+json")


@pytest_asyncio.fixture(scope="session")
async def operator_token(api: Api) -> str:
    return await create_token(api)


@pytest.fixture(scope="session")
def operator_environment(
    operator_token: str, control_plane: ControlPlane, stores: Stores, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    return build_environment(operator_token, control_plane, stores, tmp_path_factory.mktemp("operator"))


@pytest.fixture
def operator(operator_process: OperatorProcess) -> OperatorProcess:
    """Running, whatever the test before did to it."""
    operator_process.ensure()
    return operator_process


@pytest.fixture(scope="session")
def operator_process(
    operator_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OperatorProcess]:
    """One for all tests."""
    port = pick_port()
    environment = {**operator_environment, "DREAMHUB_METRICS_PORT": str(port)}
    process = OperatorProcess(environment, tmp_path_factory.mktemp("log") / "operator.log", port)
    process.ensure()
    yield process
    code = process.stop() if process.is_running() else 0
    text = process.log.read_text()
    print(text[:5000], text[-10000:])  # noqa: T201 - pytest shows it when a test has failed
    assert code == 0
    assert "exc_type" not in text
    assert "Traceback" not in text


@pytest_asyncio.fixture
async def redis_client(redis_server: RedisServer) -> AsyncIterator[Redis]:
    client = Redis.from_url(redis_server.url())
    yield client
    await client.aclose()

"""The running release, and tenants on it. `make test-e2e` brings both up first; without them tests fail, not skip."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from dreamhub_client import open_client
from dreamhub_client.errors import ClientError
from hack.cluster.settings import read_settings
from tests.e2e.kube import SYSTEM, Kube, eventually
from tests.e2e.tenants import READY_SECONDS, Tenant, open_tenant

HINT = "`make test-e2e` brings up the cluster and installs DreamHub before it runs these tests"


@pytest_asyncio.fixture(scope="session")
async def kube() -> Kube:
    """The local cluster, which answers."""
    kube = Kube(read_settings())
    try:
        await kube.ask("get", "--raw", "/readyz")
    except (RuntimeError, FileNotFoundError) as error:
        pytest.fail(f"no cluster: {error}. {HINT}")
    return kube


@pytest_asyncio.fixture(scope="session")
async def server(kube: Kube) -> str:
    """Address of the release's API, which is ready or becomes so."""
    address = f"http://127.0.0.1:{kube.settings.port}"
    async with open_client(address, None) as client:

        async def ready() -> bool:
            try:
                await client.check_ready()
            except ClientError:
                return False
            return True

        try:
            await eventually(ready, READY_SECONDS, f"{address}/readyz")
        except TimeoutError as error:
            pods = await kube.within(SYSTEM).ask("get", "pods")
            pytest.fail(f"no release: {error}\n{pods}\n{HINT}")
    return address


@pytest_asyncio.fixture(scope="session")
async def tenant(kube: Kube, server: str) -> AsyncIterator[Tenant]:
    """The tenant that most tests share; each test uses documents and jobs of its own."""
    async with open_tenant(kube, server, "main") as opened:
        yield opened


@pytest_asyncio.fixture(scope="session")
async def rival(kube: Kube, server: str) -> AsyncIterator[Tenant]:
    """Another tenant, who must see nothing of the first."""
    async with open_tenant(kube, server, "rival") as opened:
        yield opened

from collections.abc import AsyncIterator
from ipaddress import ip_network

import pytest_asyncio

from dreamhub_worker.fetch_guard import AllowedNetwork
from tests.integration.sources.site import Site, run_site

LOOPBACK = (AllowedNetwork(ip_network("127.0.0.0/8")),)


@pytest_asyncio.fixture
async def site() -> AsyncIterator[Site]:
    async with run_site() as running:
        yield running

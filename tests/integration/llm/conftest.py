from collections.abc import AsyncIterator

import pytest_asyncio

from tests.integration.llm.provider_server import Provider, run_provider


@pytest_asyncio.fixture
async def provider() -> AsyncIterator[Provider]:
    async with run_provider() as server:
        yield server

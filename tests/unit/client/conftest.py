from collections.abc import AsyncIterator

import pytest_asyncio

from dreamhub_client import Client, StaticToken, open_client
from dreamhub_client.retry import RetryPolicy
from dreamhub_client.watch import WatchSettings
from tests.unit.client.double import Double, run_double

FAST = RetryPolicy(attempts=3, base=0.001, longest=0.01)
FAST_WATCH = WatchSettings(
    socket_attempts=2, reconnect_seconds=0.001, poll_seconds=0.001, longest_poll_seconds=0.01, patience=0.5
)


@pytest_asyncio.fixture
async def double() -> AsyncIterator[Double]:
    async with run_double() as server:
        yield server


@pytest_asyncio.fixture
async def client(double: Double) -> AsyncIterator[Client]:
    async with open_client(double.server, StaticToken("t0"), policy=FAST, watching=FAST_WATCH) as opened:
        yield opened

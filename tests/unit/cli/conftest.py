import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest
import pytest_asyncio
from typer.testing import CliRunner, Result

from dreamhub_cli.app import build_app, configure
from tests.unit.client.double import Double, run_double

Cli = Callable[..., Coroutine[Any, Any, Result]]


@pytest_asyncio.fixture
async def double() -> AsyncIterator[Double]:
    async with run_double() as server:
        yield server


@pytest.fixture
def cli(double: Double) -> Cli:
    """Runs `dreamhub` against the double, in a thread, since each command has a loop of its own."""

    async def run(*arguments: str) -> Result:
        app = build_app("dreamhub", configure)
        before = ["--server", double.server, "--token", "t0"]
        return await asyncio.to_thread(CliRunner().invoke, app, [*before, *arguments])

    return run

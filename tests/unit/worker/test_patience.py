"""What is waited for is told, and that it came."""

import asyncio

import pytest

from dreamhub.errors import UnavailableError
from dreamhub_worker import patience as module
from dreamhub_worker.context import Stop
from dreamhub_worker.patience import Patience

AWAY = UnavailableError("the scanner is away; the next try may succeed", code="ScannerUnavailable")


async def test_a_wait_is_told_once_and_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FIRST_SECONDS", 0)
    told: list[str] = []
    patience = Patience(Stop(), 60, told.append, _pause=0)
    patience.reset()
    async with asyncio.timeout(30):
        await patience.wait(AWAY)
        await patience.wait(AWAY)
    patience.reset()
    assert told == ["the scanner is away; the next try may succeed (ScannerUnavailable)", ""]


async def test_it_ends() -> None:
    with pytest.raises(UnavailableError):
        await Patience(Stop(), 0).wait(AWAY)

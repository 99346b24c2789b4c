"""What is waited for is told, and that it came."""

import asyncio
import random

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


async def test_a_server_that_is_back_at_once_is_met_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first tries of an outage fall close together, the later ones further and further apart, up to a limit."""
    pauses: list[float] = []

    async def pass_over(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr(random, "uniform", lambda _low, high: high)
    monkeypatch.setattr(asyncio, "sleep", pass_over)
    patience = Patience(Stop(), 600)
    for _ in range(20):
        await patience.wait(AWAY)
    assert sum(pauses[:5]) < 1.5
    assert pauses == sorted(pauses)
    assert pauses[-1] == 15.0
    patience.reset()
    await patience.wait(AWAY)
    assert pauses[-1] == pauses[0] == 0.1


async def test_it_ends() -> None:
    with pytest.raises(UnavailableError):
        await Patience(Stop(), 0).wait(AWAY)

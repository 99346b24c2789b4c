"""Who reads a run's source, by what is known of the others."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from dreamhub.errors import UnavailableError
from dreamhub.sql.ingest import Reading, RunAttempt
from dreamhub_worker import reading_turn
from dreamhub_worker.context import Stop, StoppingError
from dreamhub_worker.reading_turn import await_turn

OVER = Reading(is_over=True, is_under_way=False, first_alive=0)
BUSY = Reading(is_over=False, is_under_way=True, first_alive=0)
FREE = Reading(is_over=False, is_under_way=False, first_alive=0)
ORPHANED = Reading(is_over=False, is_under_way=False, first_alive=2)


class Tools:
    def __init__(self) -> None:
        self.stop = Stop()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[None]:
        yield


async def ask(
    monkeypatch: pytest.MonkeyPatch, worker: int, *found: Reading | Exception, grants: Sequence[bool] = (True,)
) -> tuple[bool, int]:
    """Whether it is the worker's turn, and how many looks were left over then."""
    left, taken = list(found), iter(grants)

    async def look(*_: object) -> Reading:
        reading = left.pop(0)
        if isinstance(reading, Exception):
            raise reading
        return reading

    async def take(*_: object) -> bool:
        return next(taken)

    for name in ("LOOK_SECONDS", "FIRST_SECONDS"):
        monkeypatch.setattr(reading_turn, name, 0)
    monkeypatch.setattr(reading_turn, "find_reading", look)
    monkeypatch.setattr(reading_turn, "take_reading", take)
    turn = await await_turn(cast("Any", Tools()), RunAttempt("uid", 1, worker))
    return turn, len(left)


@pytest.mark.parametrize(
    ("worker", "found", "turn"),
    [
        (0, [FREE], True),
        (0, [BUSY, BUSY, OVER], False),
        (0, [BUSY, FREE], True),
        (2, [FREE, BUSY, FREE, OVER], False),
        (2, [FREE, ORPHANED], True),
        (3, [ORPHANED, OVER], False),
        (2, [UnavailableError("away"), ORPHANED], True),
    ],
)
async def test_whose_turn_it_is(
    monkeypatch: pytest.MonkeyPatch,
    worker: int,
    found: list[Reading | Exception],
    turn: bool,  # noqa: FBT001 - a column
) -> None:
    assert await ask(monkeypatch, worker, *found) == (turn, 0)


async def test_of_two_that_come_together_one_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await ask(monkeypatch, 2, ORPHANED, ORPHANED, OVER, grants=(False, False)) == (False, 0)


async def test_a_worker_that_is_stopped_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading_turn, "FIRST_SECONDS", 3_600)
    tools = Tools()
    tools.stop.event.set()
    with pytest.raises(StoppingError):
        async with asyncio.timeout(30):
            await await_turn(cast("Any", tools), RunAttempt("uid", 1, 1))

"""One read for everybody who asks within a while."""

import asyncio

import pytest

from dreamhub_operator.recent import Recent


class Source:
    def __init__(self) -> None:
        self.reads = 0

    async def fetch(self) -> int:
        self.reads += 1
        await asyncio.sleep(0)
        return self.reads


async def test_who_asks_meanwhile_waits_for_the_same_answer() -> None:
    source, now = Source(), [5.0]
    recent = Recent(source.fetch, 10, clock=lambda: now[0])
    assert await asyncio.gather(*(recent.get() for _ in range(20))) == [(1, 5.0)] * 20
    now[0] = 15.5
    assert await recent.get() == (2, 15.5)


async def test_a_failure_is_everybodys_and_the_next_one_tries_again() -> None:
    answers: list[str | Exception] = [OSError("away"), "here"]

    async def fetch() -> str:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    recent = Recent(fetch, 10)
    with pytest.raises(OSError, match="away"):
        await recent.get()
    assert (await recent.get())[0] == "here"

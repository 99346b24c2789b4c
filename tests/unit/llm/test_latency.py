"""What is learned from answers: how long to wait for one, how many to ask for at a time, what they take."""

import asyncio

import pytest

from dreamhub.llm.concurrency import Gradient, Slots
from dreamhub.llm.latency import ENOUGH, AttemptTime
from dreamhub.llm.packing import MAX_REQUEST_TOKENS, MAX_TEXT_TOKENS, TokenScale, request_tokens


def test_a_hang_is_given_up_after_several_times_what_answers_take() -> None:
    times = AttemptTime(ceiling=30.0)
    assert times.allow(1000, 0) == 10.0
    for _ in range(ENOUGH):
        times.learn(1000, 0.5)
    assert times.allow(1000, 0) == 2.0
    assert times.allow(3000, 0) == 6.0, "a larger request may take longer"
    assert [times.allow(1000, tries) for tries in range(1, 5)] == [4.0, 8.0, 16.0, 30.0]


def test_one_hang_in_a_hundred_teaches_nothing_and_a_slow_provider_does() -> None:
    times = AttemptTime(ceiling=30.0)
    for number in range(100):
        times.learn(10, 2.0 if number == 95 else 0.1)
    assert times.allow(10, 0) == 1.0
    for _ in range(10):
        times.learn(10, 5.0)
    assert times.allow(10, 0) == 20.0


def run(gradient: Gradient, provider_slots: int, answers: int) -> None:
    """A provider that works on some at a time and lets the others wait."""
    for _ in range(answers):
        under_way = int(gradient.limit)
        gradient.learn(100, 0.1 * max(1.0, under_way / provider_slots), under_way)


def test_the_limit_finds_what_a_provider_does_at_once() -> None:
    gradient = Gradient(most=1000)
    for _ in range(20):
        run(gradient, provider_slots=20, answers=950)
        assert 15 <= gradient.limit <= 60
    run(gradient, provider_slots=5, answers=3000)
    assert gradient.limit <= 20


def test_the_limit_keeps_to_the_list_and_above_nothing() -> None:
    gradient = Gradient(most=4)
    run(gradient, provider_slots=1000, answers=100)
    assert gradient.limit == 4
    for _ in range(100):
        gradient.back_off()
    assert gradient.limit == 1


def test_a_limit_that_does_not_bind_and_small_requests_teach_nothing() -> None:
    gradient = Gradient(most=100)
    gradient.learn(100, 0.1, under_way=1)
    gradient.learn(3, 0.001, under_way=8)
    assert gradient.limit == 8


async def test_slots_are_given_in_order_and_one_that_gives_up_passes_its_on() -> None:
    slots, order = Slots(Gradient(most=1)), []

    async def use(name: str) -> None:
        async with slots.slot():
            order.append(name)
            await asyncio.sleep(0)

    async with slots.slot():
        tasks = [asyncio.ensure_future(use(name)) for name in "abc"]
        await asyncio.sleep(0)
        tasks[0].cancel()
    await asyncio.wait(tasks)
    assert (order, slots.under_way) == (["b", "c"], 0)


async def test_a_turn_that_was_given_to_somebody_cancelled_is_not_lost() -> None:
    slots = Slots(Gradient(most=1))
    holding = slots.slot()
    await holding.__aenter__()
    waiting = asyncio.ensure_future(slots.slot().__aenter__())
    await asyncio.sleep(0)
    await holding.__aexit__(None, None, None)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert slots.under_way == 0


def test_what_texts_take_is_learned() -> None:
    scale = TokenScale()
    assert scale.expect(["abcd" * 100]) == 201
    for _ in range(20):
        scale.learn(["abcd" * 100], 100)
    assert scale.expect(["abcd" * 100]) == 101


@pytest.mark.parametrize(
    ("limit", "size"),
    [(None, MAX_REQUEST_TOKENS), (1_000_000, 20_000), (10_000, MAX_TEXT_TOKENS), (10**9, MAX_REQUEST_TOKENS)],
)
def test_requests_are_a_small_part_of_a_minute(limit: int | None, size: int) -> None:
    assert request_tokens(limit) == size

import asyncio

from dreamhub.cancelling import cancel_all


async def test_a_task_that_swallows_a_cancellation_is_ended_all_the_same() -> None:
    swallowed = asyncio.Event()

    async def stubborn() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            swallowed.set()
        await asyncio.Event().wait()

    tasks = [asyncio.create_task(stubborn()), asyncio.create_task(asyncio.Event().wait())]
    await asyncio.sleep(0)
    async with asyncio.timeout(30):
        await cancel_all(tasks)
    assert swallowed.is_set()
    assert all(task.cancelled() for task in tasks)


async def test_failures_of_what_is_ended_are_nobodys() -> None:
    async def fail() -> None:
        raise ValueError("too late")

    task = asyncio.create_task(fail())
    await cancel_all([task])
    assert task.done()

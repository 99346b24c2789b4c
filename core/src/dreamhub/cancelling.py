"""Ending tasks for sure."""

import asyncio
from collections.abc import Collection
from typing import Any

_AGAIN_SECONDS = 1.0


async def cancel_all(tasks: Collection[asyncio.Future[Any]]) -> None:
    """End tasks, again and again: a wait that ends as it is cancelled may swallow the cancellation."""
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=_AGAIN_SECONDS)
    await asyncio.gather(*tasks, return_exceptions=True)

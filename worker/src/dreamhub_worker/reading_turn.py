"""Whose turn it is to read a run's source: one worker's, and another's when that one is lost.

The first worker reads. When its pod is gone, the room of the tenant's quota that it had may go to the pod of another
index, and then nobody starts it again before the others end, who would wait for it for ever. So whoever lives and has
the lowest number takes over. The lost one may only have stalled: should it come back, it finds that it was overtaken.
"""

import asyncio

from dreamhub.errors import UnavailableError
from dreamhub.sql.ingest import RunAttempt, find_reading, take_reading
from dreamhub_worker.context import Toolbox

LOOK_SECONDS = 5.0
"""Between looks at who lives."""
FIRST_SECONDS = 45.0
"""That the others give the first worker before they look: its pod may take a while to start."""


async def await_turn(tools: Toolbox, run: RunAttempt) -> bool:
    """False when all was read by others. Raises StoppingError."""
    if run.worker:
        await tools.stop.guard(asyncio.sleep(FIRST_SECONDS))
    while True:
        turn = await _look(tools, run)
        if turn is not None:
            return turn
        await tools.stop.guard(asyncio.sleep(LOOK_SECONDS))


async def _look(tools: Toolbox, run: RunAttempt) -> bool | None:
    """Whether its turn has come; None while that is open. Whoever takes documents waits for the database, too."""
    try:
        async with tools.connection() as conn:
            reading = await find_reading(conn, run)
            if reading.is_over:
                return False
            if reading.is_under_way or reading.first_alive < run.worker:
                return None
            return await take_reading(conn, run) or None
    except UnavailableError:
        return None

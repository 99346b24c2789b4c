"""Whose turn it is to read a run's source: one worker's, and another's when that one is lost.

The first worker reads. When its pod is gone, the room of the tenant's quota that it had may go to the pod of another
index, and then nobody starts it again before the others end, who would wait for it for ever. So whoever lives and has
the lowest number takes over. Should two of them read for a while, they disturb each other no more than two jobs do.
"""

import asyncio

import structlog

from dreamhub.errors import UnavailableError
from dreamhub.sql.ingest import Reading, RunAttempt, find_reading
from dreamhub.sql.landing import LEASE_SECONDS
from dreamhub_worker.context import Toolbox

LOOK_SECONDS = 5.0
"""Between looks at who lives."""
FIRST_SECONDS = LEASE_SECONDS
"""That the others give the first worker before they look."""

log = structlog.get_logger()


async def await_turn(tools: Toolbox, run: RunAttempt) -> bool:
    """False when all was read by others. Raises StoppingError."""
    if run.worker:
        await tools.stop.guard(asyncio.sleep(FIRST_SECONDS))
    while True:
        reading = await _look(tools, run)
        if reading is not None and reading.is_over:
            return False
        if reading is not None and not reading.is_under_way and reading.first_alive >= run.worker:
            if run.worker:
                log.warning("reading_taken_over", worker=run.worker)
            return True
        await tools.stop.guard(asyncio.sleep(LOOK_SECONDS))


async def _look(tools: Toolbox, run: RunAttempt) -> Reading | None:
    """None while nobody can tell; whoever takes documents waits for the database, too."""
    try:
        async with tools.connection() as conn:
            return await find_reading(conn, run)
    except UnavailableError:
        return None

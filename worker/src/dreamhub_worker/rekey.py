"""`python -m dreamhub_worker.rekey`: bring the tenant's content under its active data key, and end.

A Job of its own, with the tenant's login and keys and nothing else. It may be killed at any moment, run twice at once,
or meet uploads, deletions and landings: see `dreamhub.sql.rekey`.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

import structlog

from dreamhub.domain.keys import DataKeys
from dreamhub.errors import UnavailableError
from dreamhub.secret_files import secret_source
from dreamhub.sql.connections import Pool, translate_failures
from dreamhub.sql.pool import PoolOptions, open_pool
from dreamhub.sql.rekey import START, Place, begin_rekey, count_outdated, finish_rekey, rekey_batch
from dreamhub.telemetry.logs import configure_logging
from dreamhub_worker.context import Stop
from dreamhub_worker.failures import EXIT_DONE, as_ours, exit_code
from dreamhub_worker.key_file import KeyFile
from dreamhub_worker.settings import DEFAULT_CREDENTIALS_DIR

KEY_VARIABLE = "DREAMHUB_KEY_ID"
"""The key that content is to come under: the one that was active when the Job was made."""

IDLE_PASSES = 30
PAUSE_SECONDS = 1.0
"""After a pass that found nothing but rows that somebody else holds."""

log = structlog.get_logger()


async def rekey(pool: Pool, keys: DataKeys, stop: Stop) -> None:
    """Pass after pass, until no row is under another key. Raises StoppingError, UnavailableError."""
    with translate_failures():
        async with pool.acquire() as conn:
            left = await begin_rekey(conn, keys.active)
    log.info("rekey_begun", key=keys.active, rows=left)
    idle = 0
    while left:
        rows = await _pass(pool, keys, stop)
        idle = 0 if rows else idle + 1
        if idle > IDLE_PASSES:
            raise UnavailableError(f"{left} rows are held by somebody else all the time; the next try may succeed")
        if not rows:
            await stop.guard(asyncio.sleep(PAUSE_SECONDS))
        with translate_failures():
            async with pool.acquire() as conn:
                left = await count_outdated(conn, keys.active)
    with translate_failures():
        async with pool.acquire() as conn:
            await finish_rekey(conn, keys.active)
    log.info("rekey_finished", key=keys.active)


async def _pass(pool: Pool, keys: DataKeys, stop: Stop) -> int:
    """Through all rows once; returns how many were brought under the key."""
    rows = 0
    place: Place | None = START
    while place is not None:
        stop.check()
        with translate_failures():
            async with pool.acquire() as conn:
                step = await rekey_batch(conn, keys, place)
        rows, place = rows + step.rows, step.place
    return rows


async def run(environment: Mapping[str, str]) -> int:
    """The edge where every error becomes an exit code."""
    [outcome] = await asyncio.gather(_run(environment), return_exceptions=True)
    if outcome is None:
        return EXIT_DONE
    error = as_ours(outcome)
    log.error("rekey_ended", code=error.code, message=error.message)
    return exit_code(error)


async def _run(environment: Mapping[str, str]) -> None:
    credentials = Path(environment.get("DREAMHUB_CREDENTIALS_DIR", DEFAULT_CREDENTIALS_DIR))
    keys, wanted = KeyFile(credentials / "keys.json").read(), environment.get(KEY_VARIABLE, "")
    if keys.active != wanted:
        raise UnavailableError(f"data key {keys.active} is active in the mounted Secret, not {wanted} yet or any more")
    stop = Stop()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.event.set)
    options = PoolOptions(maximum=1, application="dreamhub-rekey")
    pool = await open_pool(secret_source(credentials / "database-url"), options)
    try:
        await rekey(pool, keys, stop)
    finally:
        await pool.close()


def main() -> None:
    configure_logging("rekey", os.environ.get("DREAMHUB_LOG_LEVEL", "INFO"))
    sys.exit(asyncio.run(run(os.environ)))


if __name__ == "__main__":
    main()

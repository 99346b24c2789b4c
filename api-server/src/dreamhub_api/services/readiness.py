"""Whether this instance can serve: its dependencies answer and its caches are filled. Liveness asks none of this."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from redis.asyncio import Redis
from redis.exceptions import RedisError

from dreamhub.errors import DreamHubError, UnavailableError
from dreamhub.sql.connections import Pool, translate_failures
from dreamhub.sql.schema import SCHEMA_MIN, fetch_schema_version, is_compatible

CHECK_SECONDS = 2.0

Check = Callable[[], Awaitable[None]]


async def find_faults(checks: Mapping[str, Check]) -> dict[str, str]:
    """The checks that fail, with their reasons; all run at once, each with its own deadline."""
    results = await asyncio.gather(*(_run(check) for check in checks.values()))
    return {name: fault for name, fault in zip(checks, results, strict=True) if fault is not None}


async def _run(check: Check) -> str | None:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            await check()
    except DreamHubError as error:
        return error.message
    except TimeoutError:
        return f"no answer within {CHECK_SECONDS:g} s"
    return None


def schema_check(pool: Pool) -> Check:
    async def check() -> None:
        with translate_failures():
            async with pool.acquire() as conn:
                version = await fetch_schema_version(conn)
        if not is_compatible(version):
            raise UnavailableError(f"the schema is at {version}, this build needs at least {SCHEMA_MIN}")

    return check


def redis_check(redis: Redis) -> Check:
    async def check() -> None:
        try:
            await redis.ping()
        except RedisError as error:
            raise UnavailableError("Redis does not answer") from error

    return check


def cache_check(synced: Callable[[], bool]) -> Check:
    async def check() -> None:
        if not synced():
            raise UnavailableError("the objects of the cluster have not been read yet")

    return check

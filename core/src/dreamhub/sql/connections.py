"""Types of connections, and how their failures read as ours."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias

import asyncpg

from dreamhub.errors import UnavailableError

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

Record: TypeAlias = asyncpg.Record
Connection: TypeAlias = "asyncpg.Connection[Record] | PoolConnectionProxy[Record]"
"""What every repository function takes: a plain connection or one lent by a pool."""
Pool: TypeAlias = "asyncpg.Pool[Record]"

_AWAY = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.DeadlockDetectedError,
    asyncpg.LockNotAvailableError,
    asyncpg.InterfaceError,
)


@contextmanager
def translate_failures() -> Iterator[None]:
    """Turn an absent, restarting or overloaded PostgreSQL into UnavailableError; all else passes."""
    try:
        yield
    except _AWAY as error:
        raise UnavailableError(
            f"PostgreSQL does not answer ({type(error).__name__}); the next try may succeed", code="DatabaseUnavailable"
        ) from error

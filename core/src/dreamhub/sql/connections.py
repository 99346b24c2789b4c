"""Types of connections, and how their failures read as ours."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias

import asyncpg

from dreamhub.errors import UnavailableError
from dreamhub.sql.refusals import read_refusal

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
    asyncpg.PostgresSystemError,
    asyncpg.TransactionRollbackError,
    asyncpg.LockNotAvailableError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.ReadOnlySQLTransactionError,  # a server that is a standby now
    asyncpg.InvalidCachedStatementError,  # a migration came between
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # what asyncpg says when a connection was ended between two statements
)


@contextmanager
def translate_failures() -> Iterator[None]:
    """Turn an absent, restarting or overloaded PostgreSQL into UnavailableError; all else passes.

    What a quota refuses becomes a QuotaExceededError, or ForbiddenError `TenantSuspended` where that is the reason.
    """
    try:
        yield
    except _AWAY as error:
        raise UnavailableError(
            f"PostgreSQL does not answer ({type(error).__name__}); the next try may succeed", code="DatabaseUnavailable"
        ) from error
    except asyncpg.PostgresError as error:
        refusal = read_refusal(error)
        if refusal is None:
            raise
        raise refusal from error

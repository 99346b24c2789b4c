"""Connections to PostgreSQL, and the one place where a tenant becomes a database role."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg


@dataclass(frozen=True, slots=True)
class PoolOptions:
    minimum: int = 1
    maximum: int = 10
    application: str = "dreamhub"
    command_timeout: float = 30.0
    """Seconds for one statement, unless the call says otherwise."""
    role_guard: bool = True
    """Refuse a login that is a superuser or bypasses row security, and a pgvector with known faults."""


async def open_pool(url: str, options: PoolOptions = PoolOptions()) -> asyncpg.Pool:
    """Open a pool with binary codecs for `halfvec` and `sparsevec` and with custom plans only.

    Raises UnavailableError when the server does not answer, ForbiddenError when `role_guard` refuses the login.
    """
    raise NotImplementedError


@asynccontextmanager
async def tenant_transaction(
    pool: asyncpg.Pool, tenant: str, *, readonly: bool = False
) -> AsyncIterator[asyncpg.Connection]:
    """A transaction as the tenant's role (`SET LOCAL ROLE`): what the API wraps around every repository call.

    The role, and with it the schema, ends with the transaction. Raises NotFoundError for a tenant without a role. A
    worker does not need it: its login is the tenant.
    """
    raise NotImplementedError
    yield

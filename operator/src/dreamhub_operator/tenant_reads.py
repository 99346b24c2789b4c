"""Reads of one tenant's tables by the operator, whose few connections serve all tenants.

A tenant's sessions may lock its tables for as long as they like. So a read of them waits a moment for a lock, holds one
connection for each tenant, and for a while after one that was in vain the others of that tenant do not wait at all.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from weakref import WeakValueDictionary

import asyncpg

from dreamhub.errors import UnavailableError
from dreamhub.sql.connections import Connection, Pool, translate_failures

LOCK_MILLISECONDS = 250
LOCKED_SECONDS = 2.0
"""After a lock that was not given, nobody asks for it so long."""


@dataclass(frozen=True)
class TenantReads:
    pool: Pool
    clock: Callable[[], float] = time.monotonic
    _turns: WeakValueDictionary[str, asyncio.Lock] = field(default_factory=WeakValueDictionary)
    _locked_until: dict[str, float] = field(default_factory=dict)

    @asynccontextmanager
    async def read(self, tenant: str) -> AsyncIterator[Connection]:
        """Raises UnavailableError when a session of the tenant has locked what is read."""
        turn = self._turns.setdefault(tenant, asyncio.Lock())
        async with turn:
            if self.clock() < self._locked_until.get(tenant, 0.0):
                raise _refuse(tenant)
            try:
                with translate_failures():
                    async with self._transaction() as conn:
                        yield conn
            except UnavailableError as error:
                if not isinstance(error.__cause__, asyncpg.LockNotAvailableError):
                    raise
                self._locked_until[tenant] = self.clock() + LOCKED_SECONDS
                raise _refuse(tenant) from error
            self._locked_until.pop(tenant, None)

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Connection]:
        async with self.pool.acquire() as conn, conn.transaction(readonly=True):
            await conn.execute(f"SET LOCAL lock_timeout = {LOCK_MILLISECONDS}")
            yield conn


def _refuse(tenant: str) -> UnavailableError:
    return UnavailableError(
        f"a session of tenant {tenant} has locked its tables; the next try may succeed", code="DatabaseUnavailable"
    )

"""One tenant's tables by the operator, whose few connections serve all tenants.

A tenant's sessions may lock its tables for as long as they like. So whoever asks for them takes turns with all others
who ask for that tenant's, and holds one connection among them; waits a moment for a lock; and after one that was in
vain nobody of that tenant asks for a while, ever longer.
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
"""After a lock that was not given, nobody asks for it so long; twice as long after the next one."""
LOCKED_SECONDS_MOST = 30.0


@dataclass(frozen=True, slots=True)
class _Locked:
    until: float
    seconds: float


@dataclass(frozen=True)
class TenantTurns:
    pool: Pool
    clock: Callable[[], float] = time.monotonic
    _turns: WeakValueDictionary[str, asyncio.Lock] = field(default_factory=WeakValueDictionary)
    _locked: dict[str, _Locked] = field(default_factory=dict)

    @asynccontextmanager
    async def read(self, tenant: str) -> AsyncIterator[Connection]:
        """A transaction. Raises UnavailableError when a session of the tenant has locked what is read."""
        async with self._turn(tenant) as conn, conn.transaction(readonly=True):
            await conn.execute(f"SET LOCAL lock_timeout = {LOCK_MILLISECONDS}")
            yield conn

    @asynccontextmanager
    async def change(self, tenant: str) -> AsyncIterator[Connection]:
        """For functions of the database that wait two seconds for a lock: storing a batch holds the quota for a moment.

        Raises UnavailableError as above.
        """
        async with self._turn(tenant) as conn:
            yield conn

    @asynccontextmanager
    async def _turn(self, tenant: str) -> AsyncIterator[Connection]:
        turn = self._turns.setdefault(tenant, asyncio.Lock())
        async with turn:
            known = self._locked.get(tenant)
            if known is not None and self.clock() < known.until:
                raise _refuse(tenant)
            try:
                with translate_failures():
                    async with self.pool.acquire() as conn:
                        yield conn
            except UnavailableError as error:
                if not isinstance(error.__cause__, asyncpg.LockNotAvailableError):
                    raise
                seconds = min(known.seconds * 2, LOCKED_SECONDS_MOST) if known is not None else LOCKED_SECONDS
                self._locked[tenant] = _Locked(self.clock() + seconds, seconds)
                raise _refuse(tenant) from error
            self._locked.pop(tenant, None)


def _refuse(tenant: str) -> UnavailableError:
    return UnavailableError(
        f"a session of tenant {tenant} has locked its tables; the next try may succeed", code="DatabaseUnavailable"
    )

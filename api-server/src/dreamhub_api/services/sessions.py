"""A tenant's database transaction together with its data keys: what each service that touches content opens."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from dreamhub.domain.keys import DataKeys
from dreamhub.errors import NotFoundError, UnavailableError
from dreamhub.sql.connections import Connection, Pool
from dreamhub.sql.pool import tenant_transaction


@dataclass(frozen=True)
class Session:
    conn: Connection
    keys: DataKeys


class Sessions:
    """`find_keys` reads the watched Secret. Transactions are short: nothing but SQL happens inside."""

    def __init__(
        self, pool: Pool, find_keys: Callable[[str], DataKeys | None], reread_keys: Callable[[], Awaitable[None]]
    ) -> None:
        self._pool = pool
        self._find_keys = find_keys
        self._reread_keys = reread_keys

    def keys(self, tenant: str) -> DataKeys:
        """Raises UnavailableError `TenantNotReady` while the operator has not made them."""
        keys = self._find_keys(tenant)
        if keys is None:
            raise _not_ready(tenant)
        return keys

    @asynccontextmanager
    async def open(self, tenant: str, *, readonly: bool = False) -> AsyncIterator[Session]:
        """Raises UnavailableError for a tenant without role or keys yet, and when PostgreSQL is away."""
        keys = self.keys(tenant)
        try:
            async with AsyncExitStack() as stack:
                try:
                    conn = await stack.enter_async_context(tenant_transaction(self._pool, tenant, readonly=readonly))
                except NotFoundError as error:
                    raise _not_ready(tenant) from error
                yield Session(conn, keys)
        except UnavailableError as error:
            if error.code == "DataKeyMissing":  # the next try, which the error asks for, finds it
                await self._reread_keys()
            raise

    @asynccontextmanager
    async def connection(self, tenant: str) -> AsyncIterator[Connection]:
        """A transaction of its own for what is entered beside the caller's work."""
        async with self.open(tenant) as session:
            yield session.conn


def _not_ready(tenant: str) -> UnavailableError:
    return UnavailableError(f"tenant {tenant} is still being set up; try again", code="TenantNotReady")

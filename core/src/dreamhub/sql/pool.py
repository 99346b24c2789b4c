"""Connections to PostgreSQL, and the one place where a tenant becomes a database role."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import asyncpg
from typing_extensions import override

from dreamhub import names
from dreamhub.errors import ForbiddenError, NotFoundError, UnavailableError
from dreamhub.secret_files import SecretSource
from dreamhub.sql.codecs import register_codecs
from dreamhub.sql.connections import Connection, Pool, translate_failures
from dreamhub.sql.fresh_login import FreshLogin
from dreamhub.sql.queries import load_queries

if TYPE_CHECKING:
    _AnyConnection = asyncpg.Connection[asyncpg.Record]
else:
    _AnyConnection = asyncpg.Connection

_SQL = load_queries("pool")

_SETTINGS = {
    "plan_cache_mode": "force_custom_plan",  # a generic plan costs a 62 ms spike at the sixth execution
    "jit": "off",  # compiling costs more than any of our queries takes
    "search_path": '"$user", public',  # the role decides the schema
    "hnsw.ef_search": "800",  # for a recall@10 of 0.99 also among vectors that hardly differ
    "hnsw.iterative_scan": "strict_order",  # goes on where documents in flight have taken the places
}

_RENEW_SECONDS = 10.0
"""Others may have borrowed what was idle."""

PGVECTOR_MINIMUM = (0, 8, 4)
POSTGRES_FIXED = {16: 10, 17: 6}
"""First minor releases in which no known fault lets a query see past row security."""


@dataclass(frozen=True, slots=True)
class PoolOptions:
    minimum: int = 1
    maximum: int = 10
    application: str = "dreamhub"
    command_timeout: float = 30.0
    """Seconds for one statement, unless the call says otherwise."""
    lock_timeout: float = 0
    """Seconds to wait for what somebody else has locked; 0 waits for as long as the statement may."""
    idle_in_transaction: float = 60.0
    """Seconds that a client may say nothing in the midst of a transaction before the server takes its locks away."""
    role_guard: bool = True
    """Refuse a login that is a superuser or bypasses row security, and a pgvector with known faults."""


DEFAULT_OPTIONS = PoolOptions()


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """What the guard looks at."""

    version: int
    """`server_version_num`, such as 180006."""
    pgvector: str | None
    login: str
    superuser: bool
    bypasses_row_security: bool
    unguarded_tables: tuple[str, ...]
    """Parents without forced row security."""
    owns_objects: bool = False
    """Owners see past grants, and may give them."""
    reads_content: bool = False
    """Whether the login, as itself, may touch chunks of a tenant."""


def find_fault(facts: ServerFacts) -> str | None:
    """Why this server or login must not be used, with the next step; None when it is fine."""
    return _fault_of_login(facts) or _fault_of_server(facts)


def _fault_of_login(facts: ServerFacts) -> str | None:
    login = f"the login {facts.login}"
    if facts.superuser or facts.bypasses_row_security:
        return f"{login} sees past row security; use one without SUPERUSER and BYPASSRLS"
    if facts.owns_objects:
        return f"{login} owns objects; give them to dreamhub_owner (REASSIGN OWNED BY)"
    if facts.reads_content:
        return f"{login} may touch tenants' chunks without taking a role; revoke that grant or membership"
    return None


def _fault_of_server(facts: ServerFacts) -> str | None:
    major, minor = divmod(facts.version, 10_000)
    if major < 16 or minor < POSTGRES_FIXED.get(major, 0):
        return f"PostgreSQL {major}.{minor} has known faults in row security; use 16.10, 17.6, 18 or later"
    if facts.pgvector is None:
        return "the extension vector is missing; run migrations/bootstrap.sql as a superuser"
    if tuple(int(part) for part in facts.pgvector.split(".")) < PGVECTOR_MINIMUM:
        return f"pgvector {facts.pgvector} is too old; ALTER EXTENSION vector UPDATE to 0.8.4 or later"
    if facts.unguarded_tables:
        return f"row security is not forced on {', '.join(facts.unguarded_tables)}; run the migrations"
    return None


async def fetch_facts(conn: Connection) -> ServerFacts:
    row = await conn.fetchrow(_SQL["fetch_server_facts"])
    if row is None:
        raise UnavailableError("PostgreSQL told nothing of itself; the next try may succeed")
    return ServerFacts(
        version=row["version"],
        pgvector=row["pgvector"],
        login=row["login"],
        superuser=row["superuser"],
        bypasses_row_security=row["bypasses_row_security"],
        unguarded_tables=tuple(row["unguarded_tables"]),
        owns_objects=row["owns_objects"],
        reads_content=row["reads_content"],
    )


class _LentConnection(_AnyConnection):
    """Leaves no role behind, whatever its borrower did: asyncpg's own reset takes back settings, but not the role."""

    @override
    def get_reset_query(self) -> str:
        return f"{super().get_reset_query()}\nRESET ROLE;"


async def open_pool(url: str | SecretSource, options: PoolOptions = DEFAULT_OPTIONS) -> Pool:
    """Open a pool with binary codecs for `halfvec` and `sparsevec` and with custom plans only.

    A `url` that is a source is asked before each connection is made, so that a changed login is taken over;
    `renew_pool` then lets go of what the login before has opened.

    Raises UnavailableError when the server does not answer, ForbiddenError when `role_guard` refuses server or login.
    """
    login = FreshLogin(url if callable(url) else lambda: url, _inspect if options.role_guard else None)
    with translate_failures():
        return await asyncpg.create_pool(
            min_size=options.minimum,
            max_size=options.maximum,
            command_timeout=options.command_timeout,
            server_settings={
                **_SETTINGS,
                "application_name": options.application,
                "lock_timeout": f"{options.lock_timeout * 1000:.0f}ms",
                "idle_in_transaction_session_timeout": f"{options.idle_in_transaction * 1000:.0f}ms",
            },
            connect=login.connect,
            connection_class=_LentConnection,
            init=register_codecs,
        )


async def renew_pool(pool: Pool) -> None:
    """Open idle connections anew, now; those in use follow when they come back."""
    await pool.expire_connections()
    async with AsyncExitStack() as held:  # all at once: the pool lends the one that came back last
        with suppress(TimeoutError):
            for _ in range(pool.get_idle_size()):
                await held.enter_async_context(pool.acquire(timeout=_RENEW_SECONDS))


async def _inspect(conn: Connection) -> None:
    fault = find_fault(await fetch_facts(conn))
    if fault is not None:
        raise ForbiddenError(f"this database is refused: {fault}", code="DatabaseRefused")


@asynccontextmanager
async def tenant_transaction(pool: Pool, tenant: str, *, readonly: bool = False) -> AsyncIterator[Connection]:
    """A transaction as the tenant's role (`SET LOCAL ROLE`): what the API wraps around every repository call.

    The role, and with it the schema, ends with the transaction. Raises NotFoundError for a tenant without a role. A
    worker does not need it: its login is the tenant.
    """
    with translate_failures():
        async with pool.acquire() as conn, conn.transaction(readonly=readonly):
            await _become(conn, tenant)
            yield conn


async def _become(conn: Connection, tenant: str) -> None:
    """Names are checked first, so nothing in the statement needs escaping beyond the quotes."""
    absent = NotFoundError(f"there is no tenant {tenant}", code="TenantNotFound")
    if not names.is_tenant_name(tenant):
        raise absent
    try:
        await conn.execute(f'SET LOCAL ROLE "{names.database_role(tenant)}"')
    except (asyncpg.InvalidParameterValueError, asyncpg.InsufficientPrivilegeError) as error:
        raise absent from error

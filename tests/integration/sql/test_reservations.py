"""Tokens kept for jobs: a limit holds however many race for it, and nothing is left behind by any end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import asyncpg
import pytest

from dreamhub.domain.cost import Seen
from dreamhub.errors import UnavailableError
from dreamhub.sql.connections import Connection, Pool
from dreamhub.sql.pool import PoolOptions, open_pool
from dreamhub.sql.quota import Limits, TokenUse, admit_jobs, release_jobs, set_limits, use_tokens
from dreamhub.sql.reservations import Shortage, fetch_ratios, reserve_tokens
from tests.integration.conftest import Database, TenantLogin
from tests.integration.sql.support import File, connected, ingest, patient

RACERS, POOL = 50, 10
LIMIT = 150
"""Less than what the first that the pool lets through want together."""


@asynccontextmanager
async def pool_of_operators(database: Database) -> AsyncIterator[Pool]:
    """With all connections open: they shall meet within the time that a lock is waited for."""
    pool = await open_pool(database.url("dreamhub_operator"), PoolOptions(maximum=POOL))
    async with AsyncExitStack() as stack:
        for _ in range(POOL):
            await stack.enter_async_context(pool.acquire())
    yield pool
    await pool.close()


async def admit(conn: Connection, tenant: str, *uids: str) -> None:
    await admit_jobs(conn, tenant, {f"job-{uid}": uid for uid in uids})


async def limit(conn: Connection, tenant: str, day: int | None = None, month: int | None = None) -> None:
    await set_limits(conn, tenant, Limits(tokens_per_day=day, tokens_per_month=month), suspended=False)


async def wait_for_racers(conn: Connection) -> None:
    """Until as many as the pool lets through stand before a lock."""
    async with asyncio.timeout(120):
        waiting = 0
        while waiting < POOL:
            waiting = await conn.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%reserve_tokens%'"
            )


async def test_jobs_that_race_cannot_pass_a_limit_together(
    database: Database, tenant: TenantLogin, operator_connection: Connection
) -> None:
    """What was granted fits, and what was refused would not have fitted beside it. They meet before the last step."""
    wishes = {f"u{number}": 1 + number * 37 % 100 for number in range(RACERS)}
    await limit(operator_connection, tenant.tenant, day=LIMIT)
    await admit(operator_connection, tenant.tenant, *wishes)
    url = database.server.superuser_url
    async with (
        patient(url, "reserve_tokens(text,text,bigint)"),
        connected(url) as gate,
        pool_of_operators(database) as pool,
    ):

        async def race(uid: str) -> Shortage | None:
            async with pool.acquire() as conn:
                return await reserve_tokens(conn, tenant.tenant, uid, wishes[uid])

        async with gate.transaction():
            await gate.execute(f'LOCK TABLE "t_{tenant.tenant}".job_admissions IN EXCLUSIVE MODE')
            racers = [asyncio.create_task(race(uid)) for uid in wishes]
            await wait_for_racers(gate)
        outcomes = dict(zip(wishes, await asyncio.gather(*racers), strict=True))
    refused = {uid: shortage for uid, shortage in outcomes.items() if shortage is not None}
    granted = sum(tokens for uid, tokens in wishes.items() if uid not in refused)
    assert refused
    assert granted <= LIMIT
    assert all(granted + wishes[uid] > LIMIT for uid in refused), "room was left for one that was refused"
    assert all(shortage.kept + shortage.missing > LIMIT for shortage in refused.values())


async def test_what_is_used_counts_once(
    tenant: TenantLogin, operator_connection: Connection, tenant_connection: Connection
) -> None:
    """Uses of a job come out of its reservation; others come on top; more than was reserved counts, too."""
    await limit(operator_connection, tenant.tenant, day=100)
    await admit(operator_connection, tenant.tenant, "one", "two")
    assert await reserve_tokens(operator_connection, tenant.tenant, "one", 60) is None
    await use_tokens(tenant_connection, TokenUse("m", "ingest", 40, job="one"))
    await use_tokens(tenant_connection, TokenUse("m", "search", 10))
    assert await reserve_tokens(operator_connection, tenant.tenant, "two", 30) is None
    short = await reserve_tokens(operator_connection, tenant.tenant, "two", 31)
    assert short is not None
    assert (short.quota, short.used, short.kept, short.missing) == ("tokensPerDay", 50, 20, 31)
    await use_tokens(tenant_connection, TokenUse("m", "ingest", 25, job="one"))
    short = await reserve_tokens(operator_connection, tenant.tenant, "two", 26)
    assert short is not None
    assert (short.used, short.kept) == (75, 0)


async def test_a_job_that_goes_on_needs_only_what_it_has_not_used(
    tenant: TenantLogin, operator_connection: Connection, tenant_connection: Connection
) -> None:
    await limit(operator_connection, tenant.tenant, day=100)
    await admit(operator_connection, tenant.tenant, "one")
    await use_tokens(tenant_connection, TokenUse("m", "ingest", 90, job="one"))
    assert await reserve_tokens(operator_connection, tenant.tenant, "one", 100) is None
    assert await reserve_tokens(operator_connection, tenant.tenant, "one", 101) is not None
    assert await reserve_tokens(operator_connection, tenant.tenant, "one", 10) is None, "nothing is missing"


async def test_the_end_of_a_job_gives_back_what_it_did_not_use(
    tenant: TenantLogin, operator_connection: Connection, tenant_connection: Connection
) -> None:
    await limit(operator_connection, tenant.tenant, month=100)
    await admit(operator_connection, tenant.tenant, "one", "two")
    assert await reserve_tokens(operator_connection, tenant.tenant, "one", 100) is None
    await use_tokens(tenant_connection, TokenUse("m", "ingest", 7, job="one"))
    short = await reserve_tokens(operator_connection, tenant.tenant, "two", 93)
    assert short is not None
    assert (short.quota, short.hopeless) == ("tokensPerMonth", False)
    await release_jobs(operator_connection, tenant.tenant, ["job-one"])
    assert await reserve_tokens(operator_connection, tenant.tenant, "two", 93) is None


async def test_a_namesake_takes_over_the_place_without_the_reservation(
    tenant: TenantLogin, operator_connection: Connection
) -> None:
    await limit(operator_connection, tenant.tenant, day=100)
    await admit(operator_connection, tenant.tenant, "one")
    assert await reserve_tokens(operator_connection, tenant.tenant, "one", 100) is None
    await admit_jobs(operator_connection, tenant.tenant, {"job-one": "later", "job-two": "two"})
    assert await reserve_tokens(operator_connection, tenant.tenant, "two", 100) is None


async def test_a_new_day_has_room_for_what_the_old_one_had_not(
    database: Database, tenant: TenantLogin, operator_connection: Connection, tenant_connection: Connection
) -> None:
    await limit(operator_connection, tenant.tenant, day=100)
    await admit(operator_connection, tenant.tenant, "one")
    await use_tokens(tenant_connection, TokenUse("m", "search", 90))
    assert await reserve_tokens(operator_connection, tenant.tenant, "one", 50) is not None
    async with connected(database.server.superuser_url) as conn:
        await conn.execute(f'UPDATE "t_{tenant.tenant}".quota SET day = day - 1')
    assert await reserve_tokens(operator_connection, tenant.tenant, "one", 50) is None


async def test_nothing_is_kept_for_a_job_without_a_place(tenant: TenantLogin, operator_connection: Connection) -> None:
    with pytest.raises(UnavailableError, match="place in the queue"):
        await reserve_tokens(operator_connection, tenant.tenant, "nobody", 1)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE job_admissions SET reserved_tokens = 0",
        "INSERT INTO job_admissions (name, reserved_tokens) VALUES ('x', 1)",
    ],
)
async def test_a_tenant_cannot_change_what_is_kept(tenant_connection: Connection, statement: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await tenant_connection.execute(statement)


async def test_a_tenant_cannot_reserve(tenant: TenantLogin, tenant_connection: Connection) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await tenant_connection.fetchval("SELECT dreamhub.reserve_tokens($1, 'u', 0)", tenant.tenant)


async def test_ratios_are_what_documents_have_taken(
    tenant: TenantLogin, operator_connection: Connection, tenant_connection: Connection
) -> None:
    assert (await fetch_ratios(operator_connection, tenant.tenant)).seen == {}
    landed = await ingest(
        tenant_connection, tenant.keys, File("page.md", ("one part", "another"), media_type="text/html")
    )
    await tenant_connection.execute(
        "INSERT INTO ingest_runs (uid, job, holder, worker_build, progress) VALUES ('uid', 'job', 'pod', '0.1.0', '{}')"
    )
    await tenant_connection.execute(
        "INSERT INTO ingest_run_documents (uid, document_id, version_id, outcome, chunks, pages, tokens) "
        "VALUES ('uid', $1, $2, 'Done', 2, 1, 9)",
        landed.document_id,
        landed.version_id,
    )
    ratios = await fetch_ratios(operator_connection, tenant.tenant)
    assert ratios.seen == {"text/html": Seen(len("one part\nanother"), 9)}

"""The ledger of tokens and the usage beside it: added up, reset, reserved, and out of a thief's reach."""

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from dreamhub.errors import QuotaExceededError, UnavailableError
from dreamhub.sql.connections import Connection, Pool, translate_failures
from dreamhub.sql.quota import (
    Limits,
    QuotaUsage,
    TokenTotal,
    TokenUse,
    admit_jobs,
    check_tokens,
    fetch_own_usage,
    fetch_token_totals,
    fetch_usage,
    reserved_tokens,
    set_limits,
    use_tokens,
)
from tests.integration.conftest import Database, TenantLogin
from tests.integration.sql.support import File, connected, ingest

QUESTION = TokenUse("test/model", "search", 10)
FILE = File("page.md", ("one part", "another"))


async def usage_of(conn: Connection, tenant: TenantLogin) -> QuotaUsage:
    return (await fetch_usage(conn, [tenant.tenant]))[tenant.tenant]


async def test_tokens_add_up_by_model_and_purpose(tenant: TenantLogin, tenant_connection: Connection) -> None:
    for use in (TokenUse("one", "search", 3), TokenUse("one", "search", 4), TokenUse("one", "ingest", 50)):
        await use_tokens(tenant_connection, use)
    await use_tokens(tenant_connection, TokenUse("two", "answer", 9, job="uid"))
    await use_tokens(tenant_connection, TokenUse("two", "answer", 0))
    assert await fetch_token_totals(tenant_connection) == (
        TokenTotal("one", "ingest", 50, 50),
        TokenTotal("two", "answer", 9, 9),
        TokenTotal("one", "search", 7, 7),
    )
    usage = await fetch_own_usage(tenant_connection)
    assert (usage.tokens_today, usage.tokens_month) == (66, 66)


async def test_each_call_keeps_the_prompt_it_was_made_with(tenant_pool: Pool, tenant_connection: Connection) -> None:
    await use_tokens(tenant_connection, TokenUse("one", "search", 3, prompt="question/1"))
    async with reserved_tokens(tenant_pool.acquire, TokenUse("two", "answer", 9, prompt="answer/1")) as spending:
        spending.tokens = 4
    rows = await tenant_connection.fetch(
        "SELECT model, prompt, sum(tokens)::int FROM token_uses GROUP BY 1, 2 ORDER BY 1"
    )
    assert [tuple(row) for row in rows] == [("one", "question/1", 3), ("two", "answer/1", 4)]


async def test_a_refusal_of_tokens_says_when_they_come_back(
    tenant: TenantLogin, tenant_connection: Connection, operator_connection: Connection
) -> None:
    await set_limits(
        operator_connection, tenant.tenant, Limits(tokens_per_day=15, tokens_per_month=25), suspended=False
    )
    await check_tokens(tenant_connection)
    await use_tokens(tenant_connection, QUESTION)
    with pytest.raises(QuotaExceededError, match="limit of 15 tokens a day") as refusal, translate_failures():
        await use_tokens(tenant_connection, QUESTION)
    today = (await fetch_own_usage(tenant_connection)).today
    midnight = datetime(today.year, today.month, today.day, tzinfo=UTC) + timedelta(days=1)
    assert refusal.value.figures.resets_at == midnight
    await use_tokens(tenant_connection, replace(QUESTION, tokens=5))
    with pytest.raises(QuotaExceededError, match="limit of 15 tokens a day") as early:
        await check_tokens(tenant_connection)
    assert early.value.figures.resets_at == midnight


async def test_a_new_day_and_a_new_month_begin_at_nothing(
    database: Database, tenant: TenantLogin, tenant_connection: Connection, operator_connection: Connection
) -> None:
    await set_limits(
        operator_connection, tenant.tenant, Limits(tokens_per_day=10, tokens_per_month=20), suspended=False
    )
    for back, month_so_far in ((timedelta(days=62), 10), (timedelta(), 10)):
        async with connected(database.server.superuser_url) as conn:
            await conn.execute(
                f'UPDATE "t_{tenant.tenant}".quota SET day = day - $1::interval, tokens_day = 10, tokens_month = 20',
                back,
            )
        if back:
            assert (await usage_of(operator_connection, tenant)).tokens_today == 0
            assert (await usage_of(operator_connection, tenant)).tokens_month == 0
            await use_tokens(tenant_connection, QUESTION)
            usage = await usage_of(operator_connection, tenant)
            assert (usage.tokens_today, usage.tokens_month) == (10, month_so_far)
    with pytest.raises(QuotaExceededError, match="limit of 20 tokens a month") as refusal, translate_failures():
        await use_tokens(tenant_connection, QUESTION)
    resets = refusal.value.figures.resets_at
    assert resets is not None
    assert resets.day == 1


@pytest.mark.parametrize(("spent", "charged"), [(30, 30), (0, 0), (130, 130), (None, 100)])
async def test_a_reservation_is_settled_to_what_was_spent(
    tenant: TenantLogin, tenant_pool: Pool, spent: int | None, charged: int
) -> None:
    async with reserved_tokens(tenant_pool.acquire, TokenUse("far/model", "answer", 100)) as spending:
        async with tenant_pool.acquire() as conn:
            assert (await fetch_own_usage(conn)).tokens_today == 100
        spending.tokens = spent
    async with tenant_pool.acquire() as conn:
        usage = await fetch_own_usage(conn)
        assert (usage.tokens_today, usage.tokens_month) == (charged, charged)
        assert [(total.model, total.month) for total in await fetch_token_totals(conn)] == [("far/model", charged)]


async def test_a_call_that_failed_cost_nothing(tenant_pool: Pool) -> None:
    with pytest.raises(UnavailableError):
        async with reserved_tokens(tenant_pool.acquire, TokenUse("far/model", "ingest", 100)):
            raise UnavailableError("the provider is away")
    async with tenant_pool.acquire() as conn:
        assert (await fetch_own_usage(conn)).tokens_today == 0


async def test_what_was_reserved_on_an_earlier_day_gives_nothing_to_this_one(
    database: Database, tenant: TenantLogin, tenant_pool: Pool
) -> None:
    async with tenant_pool.acquire() as conn:
        await use_tokens(conn, replace(QUESTION, tokens=40))
    async with reserved_tokens(tenant_pool.acquire, TokenUse("far/model", "ingest", 100)) as spending:
        async with connected(database.server.superuser_url) as conn:
            await conn.execute(f'UPDATE "t_{tenant.tenant}".token_uses SET day = day - 62 WHERE reserved')
            await conn.execute(f'UPDATE "t_{tenant.tenant}".quota SET tokens_day = 40, tokens_month = 40')
        spending.tokens = 1
    async with tenant_pool.acquire() as conn:
        usage = await fetch_own_usage(conn)
        assert (usage.tokens_today, usage.tokens_month) == (40, 40)
        assert await conn.fetchval("SELECT sum(tokens)::bigint FROM token_uses") == 41


# What a thief with the tenant's login may not do

FORBIDDEN = (
    "UPDATE quota SET max_documents = NULL",
    "UPDATE quota SET documents = 0",
    "DELETE FROM quota",
    "INSERT INTO quota (documents) VALUES (0)",
    "TRUNCATE documents CASCADE",
    "TRUNCATE chunks",
    "UPDATE token_uses SET tokens = 0",
    "DELETE FROM token_uses",
    "INSERT INTO token_uses (model, purpose, tokens, day) VALUES ('m', 'search', 1, '2000-01-01')",
    "INSERT INTO token_uses (settles, model, purpose, tokens) VALUES (gen_random_uuid(), 'm', 'search', -1)",
    "INSERT INTO token_uses (settles, model, purpose, tokens) SELECT id, 'm', 'search', -101 FROM token_uses",
    "INSERT INTO token_uses (settles, model, purpose, tokens) SELECT id, 'm', 'search', -1 FROM token_uses",
    "UPDATE document_versions SET size_bytes = 0",
    "INSERT INTO job_admissions (name) VALUES ('mine')",
    "DELETE FROM job_admissions",
    "UPDATE job_admissions SET name = 'mine'",
    "ALTER TABLE documents DISABLE TRIGGER ALL",
    "DROP TRIGGER quota_insert ON documents",
    "SET session_replication_role = replica",
    "SELECT dreamhub.set_limits('{tenant}', '{{}}')",
    "SELECT dreamhub.use_quota('t_{tenant}', 'documents', -1, false)",
    "SELECT dreamhub.provision_quota('{tenant}')",
    "SELECT dreamhub.release_jobs('{tenant}', '{{}}')",
    "SELECT dreamhub.admit_jobs('{tenant}', '{{}}', '{{}}')",
)


@pytest.mark.parametrize("statement", FORBIDDEN)
async def test_a_stolen_login_lifts_nothing(tenant: TenantLogin, tenant_connection: Connection, statement: str) -> None:
    await ingest(tenant_connection, tenant.keys, FILE)
    await use_tokens(tenant_connection, QUESTION)
    await tenant_connection.execute(
        "INSERT INTO token_uses (model, purpose, tokens, reserved) VALUES ('far', 'search', 100, true)"
    )
    before = await fetch_own_usage(tenant_connection)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await tenant_connection.execute(statement.format(tenant=tenant.tenant))
    assert await fetch_own_usage(tenant_connection) == before


async def test_a_reservation_is_given_back_once(tenant_connection: Connection) -> None:
    reservation = uuid.uuid4()
    await tenant_connection.execute(
        "INSERT INTO token_uses (id, model, purpose, tokens, reserved) VALUES ($1, 'far', 'search', 100, true)",
        reservation,
    )
    settle = "INSERT INTO token_uses (settles, model, purpose, tokens) VALUES ($1, 'm', 'search', -60)"
    await tenant_connection.execute(settle, reservation)
    with pytest.raises(asyncpg.UniqueViolationError):
        await tenant_connection.execute(settle, reservation)
    await tenant_connection.execute(f"{settle} ON CONFLICT DO NOTHING", reservation)
    assert (await fetch_own_usage(tenant_connection)).tokens_today == 40


async def test_negative_use_is_no_use(tenant_connection: Connection) -> None:
    with pytest.raises(asyncpg.CheckViolationError):
        await tenant_connection.execute("INSERT INTO token_uses (model, purpose, tokens) VALUES ('m', 'search', -1)")


async def test_nobody_keeps_the_operator_waiting(
    tenant: TenantLogin, tenant_connection: Connection, operator_connection: Connection
) -> None:
    async with tenant_connection.transaction():
        await use_tokens(tenant_connection, QUESTION)
        with pytest.raises(asyncpg.LockNotAvailableError):
            await set_limits(operator_connection, tenant.tenant, Limits(), suspended=False)
        with pytest.raises(asyncpg.LockNotAvailableError):
            await admit_jobs(operator_connection, tenant.tenant, {"job": "uid"})
        assert (await usage_of(operator_connection, tenant)).tokens_today == 0, "reading waits for nobody"
    assert await admit_jobs(operator_connection, tenant.tenant, {"job": "uid"}) == {"job"}

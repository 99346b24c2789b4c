"""What the operator reads of tenants, whatever one of them has written into its tables or locked."""

import asyncio
import json

import pytest

from dreamhub import ids
from dreamhub.domain.cost import Seen
from dreamhub.errors import UnavailableError
from dreamhub.sql.connections import Connection
from dreamhub.sql.ingest import NewRun, start_run
from dreamhub.sql.pool import PoolOptions, open_pool
from dreamhub.sql.reservations import fetch_ratios
from dreamhub.sql.runs import fetch_progress, resolve_documents
from dreamhub.sql.vectors import fetch_vector_indexes
from dreamhub_operator import tenant_turns
from dreamhub_operator.stores import PostgresDatabase, PostgresQuotas
from dreamhub_operator.tenant_turns import TenantTurns
from tests.integration.conftest import Database, NewTenant, TenantLogin
from tests.integration.sql.support import File, connected, ingest
from tests.integration.sql.test_hostile_login import PATIENCE, held

RUN = NewRun(uid="11111111-2222", job="handbook", build="1.0", holder="pod", documents_total=1)
LONG = "x" * 1_000_000
USE = "INSERT INTO token_uses (id, model, purpose, tokens) VALUES (gen_random_uuid(), 'm', 'ingest', 1)"
"""Holds what the tenant has used until the transaction ends."""


async def test_a_tenant_that_locks_its_indexes_is_passed_over(
    operator_connection: Connection, new_tenant: NewTenant
) -> None:
    thief, other = await new_tenant(), await new_tenant()
    for tenant in (thief, other):
        async with connected(tenant.url) as conn:
            await ingest(conn, tenant.keys, File("a.txt", ("x",)))
    async with held(thief.url, "LOCK TABLE index_generations"), asyncio.timeout(PATIENCE):
        assert set(await fetch_vector_indexes(operator_connection, [thief.tenant, other.tenant])) == {other.tenant}


async def test_a_tenant_that_locks_its_runs_takes_no_connection_from_others(
    database: Database, new_tenant: NewTenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many ask about it, and though nobody else's patience with locks is short."""
    monkeypatch.setattr(tenant_turns, "LOCK_MILLISECONDS", 3_000)  # time enough for the other on a busy machine
    thief, other = await new_tenant(), await new_tenant()
    pool = await open_pool(database.url("dreamhub_operator"), PoolOptions(maximum=2))
    stores = PostgresDatabase(pool, TenantTurns(pool))
    async with held(thief.url, "LOCK TABLE ingest_runs, document_versions"), asyncio.timeout(PATIENCE):
        asked = [asyncio.create_task(stores.fetch_runs(thief.tenant, ["u"])) for _ in range(200)]
        assert await stores.fetch_runs(other.tenant, ["u"]) == {}
        assert not all(task.done() for task in asked)
        assert {type(answer) for answer in await asyncio.gather(*asked, return_exceptions=True)} == {UnavailableError}
    await pool.close()


async def test_a_tenant_that_locks_its_quota_takes_no_connection_from_others(
    database: Database, new_tenant: NewTenant
) -> None:
    """Places and tokens of others are kept meanwhile, however many of its own IngestJobs want some."""
    thief, other = await new_tenant(), await new_tenant()
    pool = await open_pool(database.url("dreamhub_operator"), PoolOptions(maximum=2))
    turns = TenantTurns(pool)
    stores = PostgresQuotas(pool, turns)
    async with held(thief.url, USE), asyncio.timeout(PATIENCE):
        asked: list[asyncio.Future[object]] = [
            asyncio.ensure_future(ask)
            for n in range(100)
            for ask in (
                stores.reserve_tokens(thief.tenant, f"u{n}", 1),
                stores.admit_jobs(thief.tenant, {f"j{n}": f"u{n}"}),
            )
        ]
        assert await stores.admit_jobs(other.tenant, {"job": "uid"}) == {"job"}
        assert await stores.reserve_tokens(other.tenant, "uid", 1) is None
        assert not all(task.done() for task in asked)
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert {type(answer) for answer in answers} == {UnavailableError}
    await pool.close()


async def test_what_is_too_long_stays_in_the_database(
    tenant: TenantLogin, tenant_connection: Connection, operator_connection: Connection
) -> None:
    conn = tenant_connection
    document = (await ingest(conn, tenant.keys, File("a.md", ("x",)))).document_id
    await start_run(conn, RUN)
    await conn.execute("UPDATE ingest_runs SET worker_build = $1", LONG)
    found = await fetch_progress(operator_connection, tenant.tenant, [RUN.uid])
    assert len(found[RUN.uid].build) == 200
    await conn.execute("UPDATE ingest_runs SET progress = progress || $1::jsonb", json.dumps({"long": LONG}))
    assert await fetch_progress(operator_connection, tenant.tenant, [RUN.uid]) == {}
    await conn.execute("UPDATE index_generations SET model = $1", LONG)
    assert len((await fetch_vector_indexes(operator_connection, [tenant.tenant]))[tenant.tenant].model) == 200
    version = ids.new_id("ver")
    await conn.execute(
        "INSERT INTO document_versions (id, document_id, number, media_type, content_key, size_bytes) "
        "VALUES ($1, $2, 2, $3, '', 18014398509481984)",
        version,
        document,
        LONG,
    )
    await conn.execute(
        "INSERT INTO ingest_run_documents (uid, document_id, version_id, outcome, chunks, pages, tokens) "
        "VALUES ($1, $2, $3, 'Done', 1, 1, 18014398509481984)",
        RUN.uid,
        document,
        version,
    )
    resolved = await resolve_documents(operator_connection, tenant.tenant, [document])
    assert len(resolved[document].media_type) == 200
    assert (await fetch_ratios(operator_connection, tenant.tenant)).seen == {"x" * 200: Seen(2**53, 2**53)}

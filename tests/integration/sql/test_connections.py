"""Which failures of PostgreSQL pass by themselves."""

import asyncio

import pytest

from dreamhub.errors import UnavailableError
from dreamhub.sql.connections import Connection, translate_failures
from dreamhub.sql.ingest import NewRun, start_run
from dreamhub.sql.pool import PoolOptions, open_pool
from tests.integration.conftest import TenantLogin

LOCK = "SELECT FROM ingest_runs FOR UPDATE"


async def test_a_server_that_became_a_standby_is_an_outage(tenant_connection: Connection) -> None:
    await tenant_connection.execute("SET default_transaction_read_only = on")
    with pytest.raises(UnavailableError, match="ReadOnlySQLTransactionError"), translate_failures():
        await start_run(tenant_connection, NewRun("uid", "job", "1.0", "pod"))


async def test_who_stalls_in_a_transaction_loses_its_locks_and_takes_that_for_an_outage(
    tenant: TenantLogin, tenant_connection: Connection
) -> None:
    await start_run(tenant_connection, NewRun("uid", "job", "1.0", "pod"))
    pool = await open_pool(tenant.url, PoolOptions(maximum=1, idle_in_transaction=0.2))
    stalled = await pool.acquire()
    await stalled.execute("BEGIN")
    await stalled.execute(LOCK)
    async with asyncio.timeout(30):
        await tenant_connection.execute(LOCK)  # waits until the server has ended the other
    with pytest.raises(UnavailableError), translate_failures():
        await stalled.execute(LOCK)
    await pool.release(stalled)
    assert await pool.fetchval("SELECT 1") == 1
    await pool.close()

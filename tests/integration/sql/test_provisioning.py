import asyncpg

from tests.integration.conftest import TenantLogin, Database


async def test_tenant_logs_in_and_sees_empty_tables(tenant: TenantLogin) -> None:
    conn = await asyncpg.connect(tenant.url)
    assert await conn.fetchval("SELECT count(*) FROM chunks") == 0
    await conn.close()

"""A service does not start on a server where a wall is missing, and says which and how to put it back."""

import pytest

from dreamhub.errors import ForbiddenError
from dreamhub.sql.pool import open_pool
from tests.integration.conftest import Database, TenantLogin
from tests.integration.sql.support import connected

BREACHES = {
    "a superuser": ("ALTER ROLE dreamhub_api SUPERUSER", "ALTER ROLE dreamhub_api NOSUPERUSER", "sees past"),
    "past row security": ("ALTER ROLE dreamhub_api BYPASSRLS", "ALTER ROLE dreamhub_api NOBYPASSRLS", "sees past"),
    "row security not forced": (
        "ALTER TABLE dreamhub.chunks NO FORCE ROW LEVEL SECURITY",
        "ALTER TABLE dreamhub.chunks FORCE ROW LEVEL SECURITY",
        "not forced on chunks; run the migrations",
    ),
    "row security off": (
        "ALTER TABLE dreamhub.quota DISABLE ROW LEVEL SECURITY",
        "ALTER TABLE dreamhub.quota ENABLE ROW LEVEL SECURITY",
        "not forced on quota; run the migrations",
    ),
    "an owner": (
        "CREATE TABLE public.stray (); ALTER TABLE public.stray OWNER TO dreamhub_api",
        "DROP TABLE public.stray",
        "owns objects; give them to dreamhub_owner",
    ),
    "a grant on a partition": (
        'GRANT SELECT ON "t_{tenant}".chunks TO dreamhub_api',
        'REVOKE SELECT ON "t_{tenant}".chunks FROM dreamhub_api',
        "revoke that grant or membership",
    ),
    "a grant to everybody": (
        "GRANT INSERT ON dreamhub.chunks TO PUBLIC",
        "REVOKE INSERT ON dreamhub.chunks FROM PUBLIC",
        "revoke that grant or membership",
    ),
    "rights without taking the role": (
        'GRANT "t_{tenant}" TO dreamhub_api WITH INHERIT TRUE',
        'GRANT "t_{tenant}" TO dreamhub_api WITH INHERIT FALSE',
        "revoke that grant or membership",
    ),
}


async def start(database: Database) -> None:
    async with await open_pool(database.url("dreamhub_api")):
        pass


@pytest.mark.parametrize("breach", BREACHES)
async def test_a_missing_wall_is_refused_until_it_stands_again(
    database: Database, tenant: TenantLogin, breach: str
) -> None:
    make, mend, words = BREACHES[breach]
    async with connected(database.server.superuser_url) as conn:
        await conn.execute(make.format(tenant=tenant.tenant))
        try:
            with pytest.raises(ForbiddenError, match=words) as caught:
                await start(database)
        finally:
            await conn.execute(mend.format(tenant=tenant.tenant))
    assert caught.value.code == "DatabaseRefused"
    await start(database)


async def test_every_services_login_starts(database: Database, tenant: TenantLogin) -> None:
    for url in (database.url("dreamhub_api"), database.url("dreamhub_operator"), tenant.url):
        async with await open_pool(url):
            pass

import inspect

import asyncpg
import pytest

from dreamhub.errors import InvalidInputError
from dreamhub.sql import documents, ingest, landing, search
from dreamhub.sql.connections import Connection
from dreamhub.sql.logins import set_login
from dreamhub.sql.tenants import build_scram_verifier, fetch_tenants, provision_tenant
from tests.integration.conftest import Database, TenantLogin
from tests.integration.sql.support import connected

VERIFIER = build_scram_verifier("secret")


async def test_provisioning_again_keeps_everything(operator_connection: Connection, tenant: TenantLogin) -> None:
    async with connected(tenant.url) as conn:
        await conn.execute("INSERT INTO term_counts (term, chunks) VALUES (1, 1)")
        await provision_tenant(operator_connection, tenant.tenant)
        assert await conn.fetchval("SELECT chunks FROM term_counts") == 1
    async with connected(tenant.url) as conn:
        assert await conn.fetchval("SELECT chunks FROM term_counts") == 1


async def test_provisioning_mends_a_lost_partition_and_grant(
    operator_connection: Connection, database: Database, tenant: TenantLogin
) -> None:
    async with connected(database.server.superuser_url) as admin:
        await admin.execute(f'DROP TABLE "t_{tenant.tenant}".term_counts')
        await admin.execute(f'REVOKE ALL ON "t_{tenant.tenant}".chunks FROM "t_{tenant.tenant}"')
    await provision_tenant(operator_connection, tenant.tenant)
    async with connected(tenant.url) as conn:
        assert await conn.fetchval("SELECT count(*) FROM term_counts") == 0
        assert await conn.fetchval("SELECT count(*) FROM chunks") == 0


@pytest.mark.parametrize("name", ["", "Acme", "a_b", "-a", "a-", "a" * 41, "a\n", 'a"b', "a'b", "ünï"])
async def test_bad_names_are_refused_inside_sql(operator_connection: Connection, name: str) -> None:
    with pytest.raises(InvalidInputError, match="not a tenant name"):
        await provision_tenant(operator_connection, name)


@pytest.mark.parametrize("verifier", ["", "plain password", "md5" + "0" * 32, VERIFIER + "'", VERIFIER + "\n"])
async def test_only_verifiers_reach_the_role(
    operator_connection: Connection, tenant: TenantLogin, verifier: str
) -> None:
    with pytest.raises(InvalidInputError, match="not a SCRAM-SHA-256 verifier"):
        await set_login(operator_connection, tenant.tenant, "a", verifier)
    async with connected(tenant.url) as conn:
        assert await conn.fetchval("SELECT 1") == 1


async def test_longest_and_hyphenated_names_work(operator_connection: Connection, database: Database) -> None:
    name = "a-" + "b" * 38
    await provision_tenant(operator_connection, name)
    await set_login(operator_connection, name, "b", VERIFIER)
    assert name in await fetch_tenants(operator_connection)
    async with connected(database.tenant_url(name, "b", "secret")) as conn:
        assert await conn.fetchval("SELECT count(*) FROM chunks") == 0


async def test_only_the_operator_provisions(database: Database, tenant: TenantLogin) -> None:
    for url in (database.url("dreamhub_api"), tenant.url):
        async with connected(url) as conn:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await conn.execute("SELECT dreamhub.provision_tenant($1)", "mine")
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await conn.execute("SELECT dreamhub.set_login($1, 'b', $2)", tenant.tenant, VERIFIER)


async def test_definer_functions_pin_their_search_path(database: Database) -> None:
    async with connected(database.server.superuser_url) as conn:
        rows = await conn.fetch(
            "SELECT proname, proconfig, prosecdef, proacl::text AS acl FROM pg_proc "
            "WHERE pronamespace = 'dreamhub'::regnamespace"
        )
    assert {row["proname"] for row in rows if row["prosecdef"]} == {
        "provision_tenant",
        "drop_tenant",
        "set_login",
        "strip_tenant",
        "expire_login",
        "end_login",
        "count_sealed",
        "count_rows",
        "count_storage",
        "count_tokens",
        "check_settlement",
        "guard_admissions",
        "set_limits",
        "admit_jobs",
        "release_jobs",
        "tenant_owner",
        "claim_tenant",
        "erase_tenant",
        "release_tenant",
        "reserve_tokens",
        "fetch_vector_indexes",
        "build_vector_index",
        "drop_vector_indexes",
        "refresh_statistics",
    }
    for row in rows:
        assert "search_path=pg_catalog, pg_temp" in row["proconfig"], row["proname"]
        entries = row["acl"].strip("{}").split(",")
        assert not [entry for entry in entries if entry.startswith("=")], f"PUBLIC may call {row['proname']}"


@pytest.mark.parametrize(("suffix", "wanted"), [("", set()), (".a", {"rolcanlogin"})])
async def test_tenant_roles_have_no_attribute_but_login(
    database: Database, tenant: TenantLogin, suffix: str, wanted: set[str]
) -> None:
    async with connected(database.server.superuser_url) as conn:
        row = await conn.fetchrow("SELECT * FROM pg_roles WHERE rolname = $1", f"t_{tenant.tenant}{suffix}")
    assert row is not None
    flags = ("rolsuper", "rolinherit", "rolcreaterole", "rolcreatedb", "rolcanlogin", "rolreplication", "rolbypassrls")
    assert {flag for flag in flags if row[flag]} == wanted


def test_no_repository_function_takes_a_tenant() -> None:
    for module in (documents, ingest, landing, search):
        for name, function in inspect.getmembers(module, inspect.iscoroutinefunction):
            parameters = list(inspect.signature(function).parameters)
            assert parameters[0] == "conn", f"{module.__name__}.{name}"
            assert not {"tenant", "schema", "role"} & set(parameters), f"{module.__name__}.{name}"

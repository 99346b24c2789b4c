"""What somebody changes by hand of a tenant's Redis user, or of its role and grants in PostgreSQL, is put back."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from redis.asyncio import Redis

from tests.integration.operator.control_plane import Api
from tests.integration.operator.deployment import (
    TENANTS,
    OperatorProcess,
    Stores,
    condition,
    eventually,
    ready_tenant,
)
from tests.integration.operator.drift import TENANT, ensure_tenant, watch_drift


@pytest_asyncio.fixture(scope="module")
async def tenant(api: Api, operator_process: OperatorProcess) -> str:
    operator_process.ensure()
    await ensure_tenant(api)
    return TENANT


@pytest.fixture
def _settled(tenant: str, operator: OperatorProcess) -> None:
    """There is such a Tenant, and an operator."""


@pytest.mark.usefixtures("_settled")
@pytest.mark.parametrize(
    ("rule", "field"),
    [
        ("~*", "keys"),
        ("&*", "channels"),
        ("+get", "commands"),
        ("-ping", "commands"),
        (">guessed", "passwords"),
        ("nopass", "passwords"),
        ("off", "on"),
        ("", "the whole user"),
    ],
)
async def test_a_redis_user_is_set_back(
    api: Api, operator: OperatorProcess, redis_client: Redis, rule: str, field: str
) -> None:
    user = f"t_{TENANT}"

    async def read() -> str | None:
        return find_user(await redis_client.acl_list(), user)

    before = await eventually(read, "the user is there", 60)
    witness = await watch_drift(api, operator, "RedisUser")
    assert await change(redis_client, user, rule) != before

    async def restored() -> bool:
        return await read() == before

    await eventually(restored, "the user is as before", 60)
    await witness.expect(f"RedisUser/{user}", field)


async def change(redis: Any, user: str, rule: str) -> str | None:
    """The user with this rule more, or gone for want of one; read in the same step, before anybody sets it back.

    `redis` is Any because redis-py's raw command is untyped.
    """
    async with redis.pipeline(transaction=True) as both:
        both.execute_command("ACL", *(("SETUSER", user, rule) if rule else ("DELUSER", user)))
        both.execute_command("ACL", "LIST")
        _, lines = await both.execute()
    return find_user(lines, user)


def find_user(lines: list[str | bytes], user: str) -> str | None:
    """Its line of `ACL LIST`."""
    texts = [line if isinstance(line, str) else line.decode() for line in lines]
    return next((line for line in texts if line.split(" ")[1] == user), None)


Look = Callable[[asyncpg.Connection], Awaitable[bool]]


def _holds(query: str) -> Look:
    async def look(conn: asyncpg.Connection) -> bool:
        return bool(await conn.fetchval(query))

    return look


@dataclass(frozen=True)
class Grant:
    statement: str
    """What a superuser does by hand."""
    right: str
    """A query that is true when it is undone."""
    field: str


GRANTS = [
    Grant(
        "GRANT SELECT ON t_adrift.documents TO PUBLIC",
        "SELECT NOT has_table_privilege('dreamhub_tenant', 't_adrift.documents', 'SELECT')",
        "table documents: grants to PUBLIC",
    ),
    Grant(
        "GRANT UPDATE (id) ON t_adrift.documents TO dreamhub_api",
        "SELECT NOT has_column_privilege('dreamhub_api', 't_adrift.documents', 'id', 'UPDATE')",
        "table documents (id): grants to dreamhub_api",
    ),
    Grant(
        "REVOKE SELECT ON t_adrift.chunks FROM t_adrift",
        "SELECT has_table_privilege('t_adrift', 't_adrift.chunks', 'SELECT')",
        "table chunks: grants to *",
    ),
    Grant(
        "REVOKE ALL ON SCHEMA t_adrift FROM t_adrift",
        "SELECT has_schema_privilege('t_adrift', 't_adrift', 'USAGE')",
        "schema: grants to *",
    ),
    Grant(
        "ALTER TABLE t_adrift.chunks DISABLE TRIGGER USER",
        "SELECT bool_and(tgenabled = 'O') FROM pg_trigger WHERE tgrelid = 't_adrift.chunks'::regclass",
        "table chunks: trigger quota_insert",
    ),
    Grant(
        "ALTER ROLE t_adrift SET row_security = off",
        "SELECT rolconfig IS NULL FROM pg_roles WHERE rolname = 't_adrift'",
        "role: setting row_security",
    ),
    Grant(
        "ALTER ROLE t_adrift INHERIT",
        "SELECT NOT rolinherit FROM pg_roles WHERE rolname = 't_adrift'",
        "role: attributes",
    ),
]


@pytest.mark.usefixtures("_settled")
@pytest.mark.parametrize("grant", GRANTS, ids=lambda grant: grant.statement)
async def test_grants_and_roles_are_set_back(api: Api, operator: OperatorProcess, stores: Stores, grant: Grant) -> None:
    conn = await asyncpg.connect(stores.database.server.superuser_url)
    look = _holds(grant.right)
    assert await look(conn)
    witness = await watch_drift(api, operator, "Database")
    await conn.execute(grant.statement)
    await eventually(lambda: look(conn), grant.right, 60)
    await conn.close()
    await witness.expect(f"Database/t_{TENANT}", grant.field)


@pytest.mark.usefixtures("_settled")
async def test_a_power_that_only_a_superuser_can_take_away_stops_the_tenant(
    api: Api, operator: OperatorProcess, stores: Stores
) -> None:
    conn = await asyncpg.connect(stores.database.server.superuser_url)
    await conn.execute("ALTER ROLE t_adrift BYPASSRLS")

    async def refused() -> str | None:
        found = condition(await api.ok("GET", f"{TENANTS}/{TENANT}"), "DatabaseReady")
        return found["message"] if found["status"] == "False" else None

    message = await eventually(refused, "DatabaseReady False", 60)
    assert "superuser" in message
    assert "role: attributes" in message
    await conn.execute("ALTER ROLE t_adrift NOBYPASSRLS")
    await conn.close()

    async def ready() -> bool:
        return bool(condition(await api.ok("GET", f"{TENANTS}/{TENANT}"), "Ready")["status"] == "True")

    await eventually(ready, "Ready again", 60)


async def test_a_redis_that_forgot_its_users_is_no_drift(
    api: Api, operator: OperatorProcess, redis_client: Redis
) -> None:
    """After a restart of Redis without an ACL file every user is gone, and nobody did it. The test cannot restart the
    shared server, so it starts the operator again instead: a process that has not seen the user cannot accuse anybody.
    """
    await ready_tenant(api, "cache-forgot")
    operator.kill()
    await redis_client.acl_deluser("t_cache-forgot")
    operator.start()

    async def back() -> bool:
        return "t_cache-forgot" in [
            name.decode() if isinstance(name, bytes) else name for name in await redis_client.acl_users()
        ]

    await eventually(back, "the user is back", 60)
    assert "drift" not in (await api.ok("GET", f"{TENANTS}/cache-forgot"))["status"]

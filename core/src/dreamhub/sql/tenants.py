"""Tenants as PostgreSQL knows them: a role, a schema, partitions. For the operator only."""

import base64
import hashlib
import hmac
import os
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from dreamhub import names
from dreamhub.errors import InvalidInputError, NotFoundError, UnavailableError
from dreamhub.sql.connections import Connection
from dreamhub.sql.queries import load_queries

_SQL = load_queries("tenants")

COUNT_SECONDS = 600.0
"""Counting looks at every row of the tenant."""


@dataclass(frozen=True, slots=True)
class RekeyRun:
    """How far a tenant's rows have come under a data key."""

    total: int
    done: int
    finished_at: datetime | None


def build_scram_verifier(password: str, *, salt: bytes | None = None, iterations: int = 4096) -> str:
    """The SCRAM-SHA-256 verifier that PostgreSQL stores (RFC 5802), so that no password ever stands in SQL or a log.

    `salt` is random unless given. Passwords are ours: ASCII, so SASLprep changes nothing. The iteration count is
    PostgreSQL's default: the passwords are long random ones, which no count makes safer.
    """
    if not password.isascii() or not password:
        raise InvalidInputError("database passwords are ASCII and not empty")
    salt = os.urandom(16) if salt is None else salt
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    stored_key = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    encoded = [base64.b64encode(part).decode() for part in (salt, stored_key, server_key)]
    return f"SCRAM-SHA-256${iterations}:{encoded[0]}${encoded[1]}:{encoded[2]}"


async def provision_tenant(conn: Connection, tenant: str) -> None:
    """Make or complete role, schema, partitions and grants. Idempotent. Nobody logs in yet: see `dreamhub.sql.logins`.

    Raises InvalidInputError for a bad name (the database decides, whoever calls).
    """
    try:
        await conn.execute(_SQL["provision_tenant"], tenant)
    except asyncpg.InvalidParameterValueError as error:
        raise InvalidInputError(f"the tenant was not provisioned: {error}") from error


async def drop_tenant(conn: Connection, tenant: str) -> None:
    """Destroy sessions, schema with every row, and role. Idempotent: an absent tenant is fine.

    Raises UnavailableError when a long transaction holds the tables: the next try may succeed.
    """
    try:
        await conn.execute(_SQL["drop_tenant"], tenant)
    except asyncpg.InvalidParameterValueError as error:
        raise InvalidInputError(f"the tenant was not dropped: {error}") from error
    except asyncpg.LockNotAvailableError as error:
        raise UnavailableError(f"tables of tenant {tenant} are in use; the next try may succeed") from error


async def count_documents(conn: Connection, tenant: str) -> int:
    """Documents of a tenant, searchable or not. Raises NotFoundError when it has no schema."""
    absent = NotFoundError(f"tenant {tenant} has no tables yet", code="TenantNotFound")
    if not names.is_tenant_name(tenant):
        raise absent
    sql = _SQL["count_documents"].format(schema=f'"{names.database_role(tenant)}"')
    try:
        count: int = await conn.fetchval(sql)
    except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError) as error:
        raise absent from error
    return count


async def fetch_tenants(conn: Connection) -> frozenset[str]:
    """Tenants that have a schema: what the operator compares with its Tenant resources."""
    rows = await conn.fetch(_SQL["fetch_tenants"])
    return frozenset(row["tenant"] for row in rows)


async def count_sealed(conn: Connection, tenant: str, key_id: str) -> int:
    """Rows that this data key has encrypted. It may be taken away when there are none, whatever the tenant says."""
    counted: int = await conn.fetchval(_SQL["count_sealed"], tenant, key_id, timeout=COUNT_SECONDS)
    return counted


async def fetch_rekey_run(conn: Connection, tenant: str, key_id: str) -> RekeyRun | None:
    """None before the first row is looked at. Raises NotFoundError when the tenant has no tables."""
    absent = NotFoundError(f"tenant {tenant} has no tables yet", code="TenantNotFound")
    if not names.is_tenant_name(tenant):
        raise absent
    sql = _SQL["fetch_rekey_run"].format(schema=f'"{names.database_role(tenant)}"')
    try:
        row = await conn.fetchrow(sql, key_id)
    except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError) as error:
        raise absent from error
    return RekeyRun(row["total"], row["done"], row["finished_at"]) if row is not None else None

"""Tenants as PostgreSQL knows them: a role, a schema, partitions. For the operator only."""

import asyncpg


def build_scram_verifier(password: str, *, salt: bytes | None = None, iterations: int = 4096) -> str:
    """The SCRAM-SHA-256 verifier that PostgreSQL stores (RFC 5802), so that no password ever stands in SQL or a log.

    `salt` is random unless given. Passwords are ours: ASCII, so SASLprep changes nothing.
    """
    raise NotImplementedError


async def provision_tenant(conn: asyncpg.Connection, tenant: str, verifier: str) -> None:
    """Make or complete role, schema, partitions and grants, and set the login's verifier. Idempotent.

    Raises InvalidInputError for a bad name.
    """
    raise NotImplementedError


async def fetch_tenants(conn: asyncpg.Connection) -> frozenset[str]:
    """Tenants that have a schema: what the operator compares with its Tenant resources."""
    raise NotImplementedError

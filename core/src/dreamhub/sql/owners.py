"""Whose stores bear a tenant's name: the UID of the Tenant that they were made for. For the operator only.

A name may come back as another Tenant. It destroys nothing that its namesake left, and takes it over only when its
author names the former owner.
"""

import asyncpg

from dreamhub.errors import ConflictError, InvalidInputError, UnavailableError
from dreamhub.sql.connections import Connection
from dreamhub.sql.queries import load_queries

_SQL = load_queries("owners")


async def fetch_owner(conn: Connection, tenant: str) -> str | None:
    """None when nobody has claimed them: there are none, or they are older than this record."""
    owner: str | None = await conn.fetchval(_SQL["fetch_owner"], tenant)
    return owner


async def claim_tenant(conn: Connection, tenant: str, owner: str, former: str | None) -> None:
    """Make `owner` the owner of what is nobody's, its own already, or `former`'s. Idempotent.

    Raises ConflictError when it is somebody else's.
    """
    try:
        holder: str = await conn.fetchval(_SQL["claim_tenant"], tenant, owner, former)
    except asyncpg.CheckViolationError as error:
        raise InvalidInputError(f"the tenant was not claimed: {error}") from error
    if holder != owner:
        raise ConflictError(f"the stores of tenant {tenant} belong to the Tenant with UID {holder}")


async def erase_tenant(conn: Connection, tenant: str, owner: str) -> None:
    """Destroy sessions, schema with every row, and logins; who owned them stays on record. Idempotent.

    Raises ConflictError when `owner` does not own them, UnavailableError when a long transaction holds the tables.
    """
    try:
        await conn.execute(_SQL["erase_tenant"], tenant, owner)
    except asyncpg.LockNotAvailableError as error:
        raise UnavailableError(f"tables of tenant {tenant} are in use; the next try may succeed") from error
    except asyncpg.ObjectNotInPrerequisiteStateError as error:
        raise ConflictError(f"nothing was erased: {error}") from error


async def release_tenant(conn: Connection, tenant: str, owner: str) -> None:
    """Free the name: nothing of the tenant is left in any store. Nothing happens when another owns it."""
    await conn.execute(_SQL["release_tenant"], tenant, owner)

"""Tenants' vector indexes, as the operator has them built; `dreamhub.domain.vector_index` decides when."""

from collections.abc import Collection

import asyncpg

from dreamhub import names
from dreamhub.domain.vector_index import VectorIndex
from dreamhub.errors import NotFoundError, UnavailableError
from dreamhub.sql.connections import Connection
from dreamhub.sql.queries import load_queries

_SQL = load_queries("vectors")

BUILD_MEMORY = "256MB"
"""Of the server, for one build. Holds the graph of about 300,000 vectors of 256 dimensions; larger ones take longer."""
BUILD_SECONDS = 3600.0


async def fetch_vector_indexes(conn: Connection, tenants: Collection[str]) -> dict[str, VectorIndex]:
    """Of many tenants in one query; those without chunks that were ever shown are left out."""
    rows = await conn.fetch(_SQL["fetch_vector_indexes"], [name for name in tenants if names.is_tenant_name(name)])
    return {
        row["tenant"]: VectorIndex(
            row["generation"], row["model"], row["dimensions"], row["chunks"], row["indexed"], row["analyzed"]
        )
        for row in rows
    }


async def build_vector_index(conn: Connection, tenant: str) -> bool:
    """Whether there was one to build. Holds off the tenant's writers until it stands; searches go on.

    Raises NotFoundError for a tenant without tables, UnavailableError `VectorsDiffer` for vectors that no index of the
    active generation can hold.
    """
    try:
        return bool(
            await conn.fetchval(_SQL["build_vector_index"], _known(tenant), BUILD_MEMORY, timeout=BUILD_SECONDS)
        )
    except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError) as error:
        raise _absent(tenant) from error
    except asyncpg.DataError as error:
        raise UnavailableError(
            f"the vectors of tenant {tenant} fit no index ({error}); ingest its documents again with force",
            code="VectorsDiffer",
        ) from error


async def drop_vector_indexes(conn: Connection, tenant: str) -> None:
    """An absent index is fine. Searches are exact from then on."""
    await conn.execute(_SQL["drop_vector_indexes"], _known(tenant))


async def refresh_statistics(conn: Connection, tenant: str) -> None:
    """Let the planner know the tenant's chunks. Raises NotFoundError for a tenant without tables."""
    try:
        await conn.execute(_SQL["refresh_statistics"], _known(tenant), timeout=BUILD_SECONDS)
    except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError) as error:
        raise _absent(tenant) from error


def _known(tenant: str) -> str:
    if not names.is_tenant_name(tenant):
        raise _absent(tenant)
    return tenant


def _absent(tenant: str) -> NotFoundError:
    return NotFoundError(f"tenant {tenant} has no tables yet", code="TenantNotFound")

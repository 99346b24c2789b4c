"""The operator builds a tenant's vector index when it pays, and says so in the status."""

from typing import Any

import asyncpg

from dreamhub import names
from dreamhub.domain.keys import DataKeys
from dreamhub.domain.vector_index import BUILD_AT
from dreamhub.sql.codecs import register_codecs
from dreamhub.sql.vectors import fetch_vector_indexes
from tests.integration.conftest import Database
from tests.integration.operator.control_plane import Api
from tests.integration.operator.deployment import TENANTS, OperatorProcess, eventually, ready_tenant
from tests.integration.sql.support import DIMENSIONS, SPACE, File, ingest

TENANT = "vectors"


async def count(database: Database, chunks: int) -> None:
    """Let the tenant's books say that it has so many."""
    admin = await asyncpg.connect(database.server.superuser_url)
    await admin.execute(f'UPDATE "{names.database_role(TENANT)}".index_generations SET chunks = $1', chunks)
    await admin.close()


async def fill(database: Database) -> None:
    admin = await asyncpg.connect(database.server.superuser_url)
    await register_codecs(admin)
    role = names.database_role(TENANT)
    await admin.execute(f'SET ROLE "{role}"; SET search_path = "{role}", public')
    await ingest(admin, DataKeys.generate(), File("some.txt", ("One.", "Two.", "Three.")))
    await admin.close()


async def wait_for_index(api: Api, *, hnsw: bool) -> dict[str, Any]:
    async def look() -> dict[str, Any] | None:
        status = (await api.ok("GET", f"{TENANTS}/{TENANT}"))["status"]
        index: dict[str, Any] = status.get("index", {})
        return index if index.get("generation") and index["hnsw"] is hnsw else None

    return await eventually(look, f"status.index.hnsw {hnsw}")


async def is_indexed(database: Database) -> bool:
    conn = await asyncpg.connect(database.url("dreamhub_operator"))
    try:
        return (await fetch_vector_indexes(conn, [TENANT]))[TENANT].indexed
    finally:
        await conn.close()


async def test_an_index_is_built_when_it_pays(api: Api, database: Database, operator: OperatorProcess) -> None:
    await ready_tenant(api, TENANT)
    await fill(database)
    index = await wait_for_index(api, hnsw=False)
    assert index == {"generation": 1, "model": SPACE.model, "dimensions": DIMENSIONS, "hnsw": False}
    await count(database, BUILD_AT)
    await wait_for_index(api, hnsw=True)
    assert await is_indexed(database)
    assert operator.process is not None

"""Writing chunks: batches with keys, indexes, fence and checkpoint, against a raw COPY of the same rows."""

import time
from collections.abc import Sequence

import asyncpg
import numpy as np

from dreamhub import names
from dreamhub.domain.terms import TermIndex
from dreamhub.ids import new_id
from dreamhub.sql.connections import Connection
from dreamhub.sql.documents import NewUpload, register_upload
from dreamhub.sql.landing import (
    COLUMNS,
    Chunk,
    Claim,
    ClaimedVersion,
    EmbeddingSpace,
    SealedBatch,
    activate_version,
    claim_version,
    ensure_generation,
    seal_chunks,
    store_batch,
)
from tests.bench.corpus import write_document
from tests.bench.environment import Environment
from tests.bench.table import Aim, Row

CHUNKS = 20_480
BATCH = 256
DIMENSIONS = 256


async def measure_storing(environment: Environment) -> list[Row]:
    await _prepare_raw_table(environment)
    async with environment.tenant.pool.acquire() as conn:
        claimed = await _claim(conn, environment)
        started = time.perf_counter()
        batches = _seal(environment, claimed)
        sealed = CHUNKS / (time.perf_counter() - started)
        started = time.perf_counter()
        for batch in batches:
            await store_batch(conn, claimed, batch)
        stored = CHUNKS / (time.perf_counter() - started)
        await activate_version(conn, claimed, pages=1, chunks=CHUNKS)
        raw = await _copy_raw(conn, batches)
    return [
        Row(
            "store: rows with keys, GIN, fence and checkpoint",
            "rows/s",
            stored,
            raw,
            Aim("ratio", ">=", 0.5),
            f"reference: raw binary COPY of the same rows, plain table, batches of {BATCH}",
        ),
        Row("store: chunks encrypted and hashed, one core", "chunks/s", sealed),
    ]


async def _prepare_raw_table(environment: Environment) -> None:
    """A table of the same columns without keys, walls or indexes."""
    role = names.database_role(environment.tenant.name)
    admin = await asyncpg.connect(environment.superuser_url)
    await admin.execute(f'CREATE TABLE public.raw AS SELECT * FROM "{role}".chunks LIMIT 0')
    await admin.execute(f'GRANT INSERT ON public.raw TO "{role}"')
    await admin.close()


async def _claim(conn: Connection, environment: Environment) -> ClaimedVersion:
    keys = environment.tenant.keys
    upload = NewUpload(new_id("doc"), new_id("ver"), "load.md", "text/markdown", 1, bytes(32))
    registered = await register_upload(conn, keys, upload)
    generation = await ensure_generation(conn, EmbeddingSpace("bench", DIMENSIONS, "bench/1"))
    return await claim_version(conn, keys, Claim(registered.version_id, "bench", "bench", generation))


def _seal(environment: Environment, claimed: ClaimedVersion) -> list[SealedBatch]:
    """Chunks of about 1.2 kB of real sentences, sealed as the worker seals them."""
    words = write_document(1, 600).decode().split()
    index, keys = TermIndex(environment.tenant.keys), environment.tenant.keys
    vectors = np.random.default_rng(1).standard_normal((BATCH, DIMENSIONS)).astype(np.float32)
    starts = (number * 190 % (len(words) - 190) for number in range(CHUNKS))
    chunks = [
        Chunk(ordinal, " ".join(words[at : at + 190]), "Report", ("Section",), 1, 0, 1200, 256, "bench/1")
        for ordinal, at in enumerate(starts)
    ]
    return [
        seal_chunks(keys, index, claimed, chunks[first : first + BATCH], vectors) for first in range(0, CHUNKS, BATCH)
    ]


async def _copy_raw(conn: Connection, batches: Sequence[SealedBatch]) -> float:
    started = time.perf_counter()
    for batch in batches:
        await conn.copy_records_to_table("raw", schema_name="public", records=batch.rows, columns=COLUMNS)
    return CHUNKS / (time.perf_counter() - started)

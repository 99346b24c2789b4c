"""Worker throughput: the whole pipeline on one core, and its writes against a raw COPY of the same rows."""

import time

import asyncpg

from tests.bench.corpus import write_document
from tests.bench.environment import Environment
from tests.bench.table import Aim, Row

DOCUMENTS = 8
SECTIONS = 400
_COLUMNS = "SELECT attname FROM pg_attribute WHERE attrelid = 'chunks'::regclass AND attnum > 0 AND NOT attisdropped"


async def measure_ingestion(environment: Environment) -> list[Row]:
    documents = [
        await environment.upload(f"report-{seed}.md", write_document(seed, SECTIONS)) for seed in range(DOCUMENTS)
    ]
    run = await environment.run_worker(documents)
    progress, process = run.progress, run.process
    store_rate = progress.chunks / progress.timing.store_seconds
    return [
        Row(
            "worker: chunks stored, process start to end",
            "chunks/s",
            progress.chunks / process.seconds,
            aim=Aim("ours", ">=", 1000),
            note=f"{progress.chunks} chunks, {DOCUMENTS} documents, one core",
        ),
        Row(
            "worker: rows stored (seal + COPY + checkpoint)",
            "rows/s",
            store_rate,
            await _copy_raw(environment),
            Aim("ratio", ">=", 0.5),
            "reference: raw binary COPY of the same rows into a plain table",
        ),
        Row("worker: peak memory", "MB", process.peak_rss_bytes / 1e6),
    ]


async def _copy_raw(environment: Environment) -> float:
    """Rows a second of a binary COPY of all stored chunks into a table without keys, walls or indexes."""
    async with environment.tenant.pool.acquire() as conn:
        columns = [record["attname"] for record in await conn.fetch(_COLUMNS)]
        rows = [tuple(record) for record in await conn.fetch("SELECT * FROM chunks")]
    schema = f"t_{environment.tenant.name}"
    admin = await asyncpg.connect(environment.superuser_url)
    await admin.execute(f'CREATE TABLE public.raw AS SELECT * FROM "{schema}".chunks LIMIT 0')
    await admin.execute(f'GRANT ALL ON public.raw TO "{schema}"')
    await admin.close()
    async with environment.tenant.pool.acquire() as conn:
        started = time.monotonic()
        for first in range(0, len(rows), 256):
            batch = rows[first : first + 256]
            await conn.copy_records_to_table("raw", schema_name="public", records=batch, columns=columns)
        return len(rows) / (time.monotonic() - started)

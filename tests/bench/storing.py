"""Writing chunks, with all that guards them, against raw COPY and text literals; bulk loads against live indexes."""

import time
from collections.abc import Sequence

import asyncpg
import numpy as np

from dreamhub import names
from dreamhub.domain.terms import TermIndex
from dreamhub.ids import new_id
from dreamhub.sql.codecs import register_codecs
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
LITERAL_ROWS, INDEXED_ROWS = 2_560, 10_240
"""For ways that are many times slower."""

_KEYS = "CREATE UNIQUE INDEX ON public.{table} (landing, ordinal)"
_TERMS = "CREATE INDEX ON public.{table} USING gin (terms) WITH (gin_pending_list_limit = 1024)"
_VECTORS = (
    "CREATE INDEX ON public.{table} USING hnsw ((embedding::halfvec(256)) halfvec_cosine_ops) "
    "WITH (ef_construction = 200)"
)

Rows = Sequence[tuple[object, ...]]


async def measure_storing(environment: Environment) -> list[Row]:
    admin = await asyncpg.connect(environment.superuser_url)
    await register_codecs(admin)
    async with environment.tenant.pool.acquire() as conn:
        claimed = await _claim(conn, environment)
        started = time.perf_counter()
        batches = _seal(environment, claimed)
        sealed = CHUNKS / (time.perf_counter() - started)
        stored = await _store(conn, claimed, batches)
    rows = [row for batch in batches for row in batch.rows]
    try:
        return [
            *await _against_plain(environment, admin, rows, stored),
            await _against_live_index(environment, admin, rows[:INDEXED_ROWS]),
            Row("store: chunks encrypted and hashed, one core", "chunks/s", sealed),
        ]
    finally:
        await admin.close()


async def _against_plain(environment: Environment, admin: Connection, rows: Rows, stored: float) -> list[Row]:
    plain = await _copy(admin, await _make_table(admin, environment, "plain"), rows)
    keyed = await _copy(admin, await _make_table(admin, environment, "keyed", _KEYS, _TERMS), rows)
    literal = await _insert_literals(admin, await _make_table(admin, environment, "literal"), rows[:LITERAL_ROWS])
    references = (
        (
            "rows with keys, GIN, fence and checkpoint",
            plain,
            0.8,
            f"raw binary COPY of the same rows, table without any index, batches of {BATCH}",
        ),
        (
            "what the walls alone cost",
            keyed,
            0.8,
            "raw binary COPY into a table with the same key and the same GIN, no triggers, no fence",
        ),
        (
            "rows, against text literals",
            literal,
            15,
            "an INSERT with literals a row, as psycopg2's executemany sends them, no index at all",
        ),
    )
    return [
        Row(f"store: {name}", "rows/s", stored, reference, Aim("ratio", ">=", aim), f"reference: {note}")
        for name, reference, aim, note in references
    ]


async def _against_live_index(environment: Environment, admin: Connection, rows: Rows) -> Row:
    await admin.execute("SET maintenance_work_mem = '256MB'; SET max_parallel_maintenance_workers = 0")
    after = await _load_then_index(admin, await _make_table(admin, environment, "later"), rows)
    live = await _copy(admin, await _make_table(admin, environment, "live", _VECTORS), rows)
    note = f"reference: COPY of the same {len(rows):,} rows into a table whose HNSW is there already"
    return Row("store: bulk load, then its vector index", "rows/s", after, live, Aim("ratio", ">=", 3.5), note)


async def _store(conn: Connection, claimed: ClaimedVersion, batches: Sequence[SealedBatch]) -> float:
    started = time.perf_counter()
    for batch in batches:
        await store_batch(conn, claimed, batch)
    seconds = time.perf_counter() - started
    await activate_version(conn, claimed, pages=1, chunks=CHUNKS)
    return CHUNKS / seconds


async def _make_table(admin: Connection, environment: Environment, table: str, *indexes: str) -> str:
    """A table of the same columns without walls, and with these indexes alone."""
    role = names.database_role(environment.tenant.name)
    await admin.execute(f'CREATE TABLE public.{table} AS SELECT * FROM "{role}".chunks LIMIT 0')
    for index in indexes:
        await admin.execute(index.format(table=table))
    return table


async def _copy(admin: Connection, table: str, rows: Rows) -> float:
    started = time.perf_counter()
    for first in range(0, len(rows), BATCH):
        batch = rows[first : first + BATCH]
        await admin.copy_records_to_table(table, schema_name="public", records=batch, columns=COLUMNS)
    return len(rows) / (time.perf_counter() - started)


async def _load_then_index(admin: Connection, table: str, rows: Rows) -> float:
    started = time.perf_counter()
    await _copy(admin, table, rows)
    await admin.execute(_VECTORS.format(table=table), timeout=600)
    return len(rows) / (time.perf_counter() - started)


async def _insert_literals(admin: Connection, table: str, rows: Rows) -> float:
    """As programs without binary codecs write: all values travel as text, inside the statement."""
    types = await admin.fetch(
        "SELECT attname, format_type(atttypid, NULL) AS type FROM pg_attribute "
        "WHERE attrelid = $1::regclass AND attnum > 0 ORDER BY attnum",
        f"public.{table}",
    )
    by_name = {row["attname"]: row["type"] for row in types}
    literals = ", ".join(f"quote_nullable({column}::text) || '::{by_name[column]}'" for column in COLUMNS)
    await admin.copy_records_to_table(table, schema_name="public", records=rows, columns=COLUMNS)
    into = f"INSERT INTO public.{table} ({', '.join(COLUMNS)}) VALUES"
    values = await admin.fetch(f"SELECT concat_ws(', ', {literals}) AS row FROM public.{table}")
    await admin.execute(f"TRUNCATE public.{table}")
    started = time.perf_counter()
    for first in range(0, len(values), BATCH):
        async with admin.transaction():
            for value in values[first : first + BATCH]:
                await admin.execute(f"{into} ({value['row']})")
    return len(values) / (time.perf_counter() - started)


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
    vectors = np.random.default_rng(1).standard_normal((CHUNKS, DIMENSIONS)).astype(np.float32)
    starts = (number * 190 % (len(words) - 190) for number in range(CHUNKS))
    chunks = [
        Chunk(ordinal, " ".join(words[at : at + 190]), "Report", ("Section",), 1, 0, 1200, 256, "bench/1")
        for ordinal, at in enumerate(starts)
    ]
    return [
        seal_chunks(keys, index, claimed, chunks[first : first + BATCH], vectors[first : first + BATCH])
        for first in range(0, CHUNKS, BATCH)
    ]

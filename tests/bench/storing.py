"""Writing chunks, with all that guards them, against raw COPY and text literals; bulk loads against live indexes."""

import asyncio
import json
import subprocess
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import asyncpg
import numpy as np

from dreamhub import names
from dreamhub.domain.terms import TermIndex
from dreamhub.ids import new_id
from dreamhub.sql.codecs import register_codecs, stream_copy
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
from dreamhub.sql.vectors import BUILD_MEMORY
from tests.bench.corpus import write_document
from tests.bench.environment import Environment
from tests.bench.peers import open_peer
from tests.bench.process import BenchmarkError
from tests.bench.table import Aim, Row

CHUNKS = 20_480
"""Enough for the product to build a vector index (`BUILD_AT`)."""
BATCH = 256
TURN = 5
"""Batches that one way stores before the next one has its turn: what else the machine does meets all of them alike."""
DIMENSIONS = 256
LITERAL_ROWS, TUTORIAL_ROWS = 2_560, 5_120
"""For ways that are many times slower. A vector's way into an index grows with the index: fewer rows favour them."""

_KEYS = "CREATE UNIQUE INDEX ON public.{table} (landing, ordinal, tenant_id)"
_TERMS = "CREATE INDEX ON public.{table} USING gin (terms) WITH (gin_pending_list_limit = 1024)"
_VECTORS = (
    "CREATE INDEX ON public.{table} USING hnsw ((embedding::halfvec(256)) halfvec_cosine_ops) "
    "WITH (ef_construction = 200)"
)

Rows = Sequence[tuple[object, ...]]


@dataclass
class Way:
    """One way to store batches, and how long it took."""

    store: Callable[[SealedBatch], Awaitable[object]]
    seconds: float = 0.0
    rows: int = 0

    async def take(self, batches: Sequence[SealedBatch]) -> None:
        started = time.perf_counter()
        for batch in batches:
            await self.store(batch)
        self.seconds += time.perf_counter() - started
        self.rows += sum(len(batch.rows) for batch in batches)

    @property
    def rate(self) -> float:
        return self.rows / self.seconds


async def measure_storing(environment: Environment) -> list[Row]:
    admin = await asyncpg.connect(environment.superuser_url)
    await register_codecs(admin)
    async with environment.tenant.pool.acquire() as conn:
        claimed = await _claim(conn, environment)
        started = time.perf_counter()
        batches = _seal(environment, claimed)
        sealed = CHUNKS / (time.perf_counter() - started)
        ours = Way(lambda batch: store_batch(conn, claimed, batch))
        plain = await _against_copy(environment, admin, ours, batches)
        await activate_version(conn, claimed, pages=1, chunks=CHUNKS)
    rows = [row for batch in batches for row in batch.rows]
    try:
        return [
            *plain,
            *await _against_literals(environment, admin, ours.rate),
            *await _against_live_index(environment, admin, rows, ours.rate),
            Row("store: chunks encrypted and hashed, one core", "chunks/s", sealed),
        ]
    finally:
        await admin.close()


async def _against_copy(
    environment: Environment, admin: Connection, ours: Way, batches: Sequence[SealedBatch]
) -> list[Row]:
    same = _copying(admin, await _make_table(admin, environment, "same", _KEYS, _TERMS))
    await _make_plain_table(admin, environment)
    plain = _copying(admin, "plain")
    for first in range(0, len(batches), TURN):
        for way in (ours, same, plain):
            await way.take(batches[first : first + TURN])
    ours_us, same_us, plain_us = (1e6 / way.rate for way in (ours, same, plain))
    unguarded = (
        "raw binary COPY of the same rows into the same table (columns, storage, key, GIN of words), without row "
        "security, fence, checkpoint and quota"
    )
    bare = (
        "raw binary COPY of the same rows into a table as CREATE TABLE makes it, a bound of what is possible: of our "
        f"{ours_us:.0f} us a row, {same_us - plain_us:.0f} are the indexes', {ours_us - same_us:.0f} the walls'"
    )
    references = (
        ("rows, against the same table without walls", same, unguarded),
        ("rows, against a table without walls and without indexes", plain, bare),
    )
    return [
        Row(f"store: {name}", "rows/s", ours.rate, way.rate, Aim("ratio", ">=", 0.8), f"reference: {note}")
        for name, way, note in references
    ]


async def _against_literals(environment: Environment, admin: Connection, stored: float) -> list[Row]:
    references = (
        ("psycopg2", Aim("ratio", ">=", 15), "every row a statement of its own"),
        ("psycopg", None, "prepared and pipelined, vectors still as text"),
    )
    rows = []
    for driver, aim, how in references:
        table = await _make_table(admin, environment, f"of_{driver}", _KEYS, _TERMS)
        rate = LITERAL_ROWS / await _insert_literals(environment, driver, table, LITERAL_ROWS)
        note = (
            f"reference: one executemany of INSERT ({how}) and one commit, into the same table without walls; "
            f"{DIMENSIONS} dimensions, texts of some 1.2 kB"
        )
        rows.append(Row(f"store: rows, against {driver}'s executemany", "rows/s", stored, rate, aim, note))
    return rows


async def _against_live_index(environment: Environment, admin: Connection, rows: Rows, stored: float) -> list[Row]:
    await admin.execute(f"SET maintenance_work_mem = '{BUILD_MEMORY}'")
    copying, indexing = await _load_then_index(admin, await _make_table(admin, environment, "later"), rows)
    live = await _copy(admin, await _make_table(admin, environment, "live", _VECTORS), rows)
    table = await _make_table(admin, environment, "tutorial", _KEYS, _TERMS, _VECTORS)
    literals = await _insert_literals(environment, "psycopg2", table, TUTORIAL_ROWS)
    count = len(rows)
    return [
        Row(
            "store: bulk load, then its vector index",
            "rows/s",
            count / (copying + indexing),
            count / live,
            Aim("ratio", ">=", 3.5),
            f"reference: COPY of the same {count:,} rows into a table whose HNSW is there already",
        ),
        Row(
            "store: rows with all walls, then their vector index",
            "rows/s",
            count / (count / stored + indexing),
            TUTORIAL_ROWS / literals,
            note=f"reference: psycopg2's executemany of {TUTORIAL_ROWS:,} of these rows (more would be slower) into a "
            "table with key, GIN and HNSW from the start",
        ),
    ]


async def _make_table(admin: Connection, environment: Environment, table: str, *indexes: str) -> str:
    """The tenant's table without its walls, and with these indexes alone."""
    role = names.database_role(environment.tenant.name)
    kept = "INCLUDING STORAGE INCLUDING DEFAULTS INCLUDING CONSTRAINTS"
    await admin.execute(f'CREATE TABLE public.{table} (LIKE "{role}".chunks {kept})')
    for index in indexes:
        await admin.execute(index.format(table=table))
    return table


async def _make_plain_table(admin: Connection, environment: Environment) -> None:
    role = names.database_role(environment.tenant.name)
    await admin.execute(f'CREATE TABLE public.plain AS SELECT * FROM "{role}".chunks LIMIT 0')


def _copying(admin: Connection, table: str) -> Way:
    """With the client's work as in `store_batch`."""
    return Way(
        lambda batch: admin.copy_to_table(
            table, schema_name="public", source=stream_copy(batch.rows), columns=COLUMNS, format="binary"
        )
    )


async def _copy(admin: Connection, table: str, rows: Rows) -> float:
    """Seconds."""
    way = _copying(admin, table)
    await way.take([SealedBatch(first, tuple(rows[first : first + BATCH])) for first in range(0, len(rows), BATCH)])
    return way.seconds


async def _load_then_index(admin: Connection, table: str, rows: Rows) -> tuple[float, float]:
    """Seconds of both."""
    copying = await _copy(admin, table, rows)
    started = time.perf_counter()
    await admin.execute(_VECTORS.format(table=table), timeout=600)
    return copying, time.perf_counter() - started


async def _insert_literals(environment: Environment, driver: str, table: str, count: int) -> float:
    """Seconds that a script takes which knows no binary codecs."""
    command = [*open_peer("literals"), driver, environment.superuser_url, "public.same", f"public.{table}", str(count)]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchmarkError(f"{driver}'s rows were not inserted:\n{done.stderr[-2_000:]}")
    told = json.loads(done.stdout)
    if told["rows"] != count:
        raise BenchmarkError(f"{driver} found {told['rows']} of {count} rows to insert")
    return float(told["seconds"])


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

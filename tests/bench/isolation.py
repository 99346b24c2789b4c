"""What isolation costs: search with all walls against none, at 1,000 tenants against 10, and what it still finds."""

import random
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial

import asyncpg
import numpy as np
import numpy.typing as npt

from dreamhub import names
from dreamhub.domain.keys import DataKeys
from dreamhub.domain.terms import TermIndex
from dreamhub.ids import new_id
from dreamhub.sql.connections import Connection, Pool
from dreamhub.sql.documents import NewUpload, register_upload
from dreamhub.sql.landing import (
    Chunk,
    Claim,
    EmbeddingSpace,
    activate_version,
    claim_version,
    ensure_generation,
    seal_chunks,
    store_batch,
)
from dreamhub.sql.pool import PoolOptions, open_pool, tenant_transaction
from dreamhub.sql.search import SearchQuery, search
from dreamhub.sql.tenants import provision_tenant
from tests.bench.corpus import sentences
from tests.bench.environment import Environment
from tests.bench.table import Aim, Row

DIMENSIONS = 256
LARGE, USUAL, SMALL = 20_000, 2_000, 50
FEW, MANY = 10, 1_000
ROUNDS, WARM_UP = 400, 40
RECALLS = 100
BATCH = 250
TABLES = ("chunks", "documents", "document_versions", "index_generations", "term_counts")
SPACE = EmbeddingSpace("bench", DIMENSIONS, "bench/1")

Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Loaded:
    """A tenant with chunks, and their vectors in order of their ordinals."""

    tenant: str
    keys: DataKeys
    vectors: Vectors

    def query(self, rng: np.random.Generator, weight: float) -> SearchQuery:
        """Near one of the chunks, with four words of the corpus."""
        near = self.vectors[rng.integers(len(self.vectors))] + rng.normal(0, 0.3, DIMENSIONS).astype(np.float32)
        text = " ".join(_WORDS[at] for at in rng.integers(0, len(_WORDS), 4))
        return SearchQuery(near / np.linalg.norm(near), TermIndex(self.keys).query(text), weight)


_WORDS = sorted({word for sentence in sentences() for word in sentence.split() if len(word) > 4})


async def measure_isolation(environment: Environment) -> list[Row]:
    pool = await open_pool(environment.stores.database.url("dreamhub_api"), PoolOptions(maximum=2))
    operator = await asyncpg.connect(environment.stores.database.url("dreamhub_operator"))
    admin = await asyncpg.connect(environment.superuser_url)
    try:
        few = [await _make(operator, pool, f"few-{number}", USUAL) for number in range(FEW)]
        rows = [await _against_plain(environment, admin, pool, few[0])]
        rows += await _against_many(operator, pool, few)
        for label, size in (("smallest", SMALL), ("largest", LARGE)):
            rows.append(await _recall(pool, await _make(operator, pool, label, size), label))
    finally:
        await admin.close()
        await operator.close()
        await pool.close()
    return rows


async def _make(operator: Connection, pool: Pool, tenant: str, size: int) -> Loaded:
    await provision_tenant(operator, tenant)
    rng = np.random.default_rng(size)
    centres = rng.normal(size=(40, DIMENSIONS))
    vectors = (centres[rng.integers(0, 40, size)] + rng.normal(0, 0.7, (size, DIMENSIONS))).astype(np.float32)
    loaded = Loaded(tenant, DataKeys.generate(), vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
    await _store(pool, loaded)
    return loaded


async def _store(pool: Pool, loaded: Loaded) -> None:
    """One document, written as a worker writes it."""
    chooser, texts, keys = random.Random(len(loaded.vectors)), sentences(), loaded.keys
    async with tenant_transaction(pool, loaded.tenant) as conn:
        upload = NewUpload(new_id("doc"), new_id("ver"), "load.md", "text/markdown", 1, bytes(32))
        registered = await register_upload(conn, keys, upload)
        generation = await ensure_generation(conn, SPACE)
        claimed = await claim_version(conn, keys, Claim(registered.version_id, "bench", "bench", generation))
        for first in range(0, len(loaded.vectors), BATCH):
            vectors = loaded.vectors[first : first + BATCH]
            chunks = [
                Chunk(first + at, " ".join(chooser.sample(texts, 4)), "Load", (), 1, 0, 400, 100, "bench/1")
                for at in range(len(vectors))
            ]
            await store_batch(conn, claimed, seal_chunks(keys, TermIndex(keys), claimed, chunks, vectors))
        await activate_version(conn, claimed, pages=1, chunks=len(loaded.vectors))


async def _against_plain(environment: Environment, admin: Connection, pool: Pool, loaded: Loaded) -> Row:
    """The same statements on the same rows and indexes, in tables that nothing guards, by a login that owns them."""
    plain = await _copy_plain(environment, admin, loaded)

    @asynccontextmanager
    async def in_plain() -> AsyncIterator[Connection]:
        async with plain.acquire() as conn, conn.transaction(readonly=True):
            yield conn

    ways = (lambda: tenant_transaction(pool, loaded.tenant, readonly=True), in_plain)
    times: tuple[list[float], list[float]] = ([], [])
    rng = np.random.default_rng(1)
    for number in range(WARM_UP + ROUNDS):
        query = loaded.query(rng, 0.5)
        for way in (0, 1) if number % 2 else (1, 0):
            times[way].append(await _time(ways[way], loaded, query))
    await plain.close()
    note = f"reference: the same statements on the same {USUAL:,} chunks in plain tables, no role switch"
    walled, bare = (_p50(kept[WARM_UP:]) for kept in times)
    return Row("isolation: search with all walls, p50", "ms", walled, bare, Aim("ratio", "<=", 1.05), note)


async def _against_many(operator: Connection, pool: Pool, few: Sequence[Loaded]) -> list[Row]:
    """The same tenants in turn, before and after there are very many others."""
    alone = await _search_in_turn(pool, few)
    started = time.perf_counter()
    for number in range(MANY - FEW):
        await provision_tenant(operator, f"other-{number}")
    seconds = time.perf_counter() - started
    crowded = await _search_in_turn(pool, few)
    name = f"isolation: search at {MANY:,} tenants, p50"
    note = f"reference: at {FEW} tenants; {FEW} tenants of {USUAL:,} chunks in turn"
    return [
        Row(name, "ms", crowded, alone, Aim("ratio", "<=", 1.2), note),
        Row("isolation: tenants provisioned in the database", "tenants/s", (MANY - FEW) / seconds),
    ]


async def _search_in_turn(pool: Pool, tenants: Sequence[Loaded]) -> float:
    rng, times = np.random.default_rng(2), []
    for number in range(WARM_UP + ROUNDS):
        loaded = tenants[number % len(tenants)]
        query = loaded.query(rng, 0.5)
        times.append(await _time(partial(tenant_transaction, pool, loaded.tenant, readonly=True), loaded, query))
    return _p50(times[WARM_UP:])


async def _recall(pool: Pool, loaded: Loaded, label: str) -> Row:
    """By vectors alone, against numpy over the same half-precision vectors."""
    rng, found = np.random.default_rng(3), 0
    stored = loaded.vectors.astype(np.float16).astype(np.float32)
    stored /= np.linalg.norm(stored, axis=1, keepdims=True)
    for _ in range(RECALLS):
        query = loaded.query(rng, 0.0)
        asked = query.embedding.astype(np.float16).astype(np.float32)
        exact = set(np.argsort(-(stored @ asked))[:10].tolist())
        async with tenant_transaction(pool, loaded.tenant, readonly=True) as conn:
            found += len(exact & {hit.ordinal for hit in await search(conn, loaded.keys, query)})
    name = f"isolation: recall@10 of the {label} tenant"
    note = f"against exact search; {len(loaded.vectors):,} chunks, {MANY:,} tenants"
    return Row(name, "", found / (10 * RECALLS), None, Aim("ours", ">=", 0.99), note)


async def _copy_plain(environment: Environment, admin: Connection, loaded: Loaded) -> Pool:
    await admin.execute("CREATE ROLE plain LOGIN PASSWORD 'plain'; GRANT CONNECT ON DATABASE dreamhub TO plain")
    await admin.execute("CREATE SCHEMA plain AUTHORIZATION plain")
    schema = names.database_role(loaded.tenant)
    for table in TABLES:
        await admin.execute(f'CREATE TABLE plain.{table} (LIKE "{schema}".{table} INCLUDING ALL)')
        await admin.execute(f'INSERT INTO plain.{table} SELECT * FROM "{schema}".{table}')
        await admin.execute(f"ALTER TABLE plain.{table} OWNER TO plain")
        for name in (f"plain.{table}", f'"{schema}".{table}'):
            await admin.execute(f"VACUUM ANALYZE {name}")
    database = environment.stores.database
    return await open_pool(database.server.url("plain", "plain"), PoolOptions(maximum=2, role_guard=False))


async def _time(
    begin: Callable[[], AbstractAsyncContextManager[Connection]], loaded: Loaded, query: SearchQuery
) -> float:
    started = time.perf_counter()
    async with begin() as conn:
        await search(conn, loaded.keys, query)
    return time.perf_counter() - started


def _p50(seconds: Sequence[float]) -> float:
    return float(np.median(seconds)) * 1000

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
from dreamhub.domain.vector_index import BUILD_AT
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
from dreamhub.sql.vectors import build_vector_index
from tests.bench.corpus import sentences
from tests.bench.environment import Environment, open_environment
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


@dataclass(frozen=True)
class _Platform:
    """A server with tenants on it, as the API and the operator see it."""

    environment: Environment
    pool: Pool
    operator: Connection
    admin: Connection
    few: Sequence[Loaded]


async def measure_isolation(environment: Environment) -> list[Row]:
    async with _open_platform(environment) as crowded, open_environment() as other, _open_platform(other) as alone:
        rows = [await _against_plain(crowded, crowded.few[0])]
        rows += await _against_many(crowded, alone)
        for label, size in (("smallest", SMALL), ("largest", LARGE)):
            loaded = await _make(crowded.operator, crowded.pool, label, size)
            if size >= BUILD_AT:  # as the operator does
                await build_vector_index(crowded.operator, loaded.tenant)
            rows.append(await _recall(crowded.pool, loaded, label))
    return rows


@asynccontextmanager
async def _open_platform(environment: Environment) -> AsyncIterator[_Platform]:
    database = environment.stores.database
    pool = await open_pool(database.url("dreamhub_api"), PoolOptions(maximum=2))
    operator = await asyncpg.connect(database.url("dreamhub_operator"))
    admin = await asyncpg.connect(environment.superuser_url)
    try:
        few = [await _make(operator, pool, f"few-{number}", USUAL) for number in range(FEW)]
        yield _Platform(environment, pool, operator, admin, few)
    finally:
        await admin.close()
        await operator.close()
        await pool.close()


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


async def _against_plain(platform: _Platform, loaded: Loaded) -> Row:
    """The same statements on the same rows and indexes, in tables that nothing guards, by a login that owns them."""
    plain = await _copy_plain(platform, loaded)

    @asynccontextmanager
    async def in_plain() -> AsyncIterator[Connection]:
        async with plain.acquire() as conn, conn.transaction(readonly=True):
            yield conn

    walled, bare = await _compare((_Way(loaded, _begin(platform.pool, loaded)), _Way(loaded, in_plain)))
    await plain.close()
    note = f"reference: the same statements on the same {USUAL:,} chunks in plain tables, no role switch"
    return Row("isolation: search with all walls, p50", "ms", walled, bare, Aim("ratio", "<=", 1.05), note)


async def _against_many(crowded: _Platform, alone: _Platform) -> list[Row]:
    """The same tenants in turn, on a server with very many others and on one without, one search here, one there."""
    started = time.perf_counter()
    for number in range(MANY - FEW):
        await provision_tenant(crowded.operator, f"other-{number}")
    seconds = time.perf_counter() - started
    for platform in (crowded, alone):
        for loaded in platform.few:
            await _settle(platform, loaded)
    ways = [[_Way(loaded, _begin(platform.pool, loaded)) for loaded in platform.few] for platform in (crowded, alone)]
    here, there = await _compare(*zip(*ways, strict=True))
    name = f"isolation: search at {MANY:,} tenants, p50"
    note = f"reference: a second server with {FEW}, searched in turn; {FEW} tenants of {USUAL:,} chunks on each"
    return [
        Row(name, "ms", here, there, Aim("ratio", "<=", 1.2), note),
        Row("isolation: tenants provisioned in the database", "tenants/s", (MANY - FEW) / seconds),
    ]


@dataclass(frozen=True, slots=True)
class _Way:
    """What is searched, and how a transaction there begins."""

    loaded: Loaded
    begin: Callable[[], AbstractAsyncContextManager[Connection]]


def _begin(pool: Pool, loaded: Loaded) -> Callable[[], AbstractAsyncContextManager[Connection]]:
    return partial(tenant_transaction, pool, loaded.tenant, readonly=True)


async def _compare(*pairs: tuple[_Way, _Way]) -> tuple[float, float]:
    """p50 in milliseconds of either way, pair after pair in turn; which way goes first changes."""
    times: tuple[list[float], list[float]] = ([], [])
    rng = np.random.default_rng(1)
    for number in range(WARM_UP + ROUNDS):
        pair = pairs[number % len(pairs)]
        for at in (0, 1) if number // len(pairs) % 2 else (1, 0):
            query = pair[at].loaded.query(rng, 0.5)
            times[at].append(await _time(pair[at], query))
    return _p50(times[0][WARM_UP:]), _p50(times[1][WARM_UP:])


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


async def _copy_plain(platform: _Platform, loaded: Loaded) -> Pool:
    admin = platform.admin
    await admin.execute("CREATE ROLE plain LOGIN PASSWORD 'plain'; GRANT CONNECT ON DATABASE dreamhub TO plain")
    await admin.execute("CREATE SCHEMA plain AUTHORIZATION plain")
    schema = names.database_role(loaded.tenant)
    for table in TABLES:
        await admin.execute(f'CREATE TABLE plain.{table} (LIKE "{schema}".{table} INCLUDING ALL)')
        await admin.execute(f'INSERT INTO plain.{table} SELECT * FROM "{schema}".{table}')
        await admin.execute(f"ALTER TABLE plain.{table} OWNER TO plain")
        await admin.execute(f"VACUUM ANALYZE plain.{table}")
    await _settle(platform, loaded)
    server = platform.environment.stores.database.server
    return await open_pool(server.url("plain", "plain"), PoolOptions(maximum=2, role_guard=False))


async def _settle(platform: _Platform, loaded: Loaded) -> None:
    """What autovacuum does a while after a load: until then, plans are made without statistics."""
    for table in TABLES:
        await platform.admin.execute(f'VACUUM ANALYZE "{names.database_role(loaded.tenant)}".{table}')


async def _time(way: _Way, query: SearchQuery) -> float:
    started = time.perf_counter()
    async with way.begin() as conn:
        await search(conn, way.loaded.keys, query)
    return time.perf_counter() - started


def _p50(seconds: Sequence[float]) -> float:
    return float(np.median(seconds)) * 1000

"""The shortest way through upload and ingestion, as the worker and the API take it."""

import hashlib
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import asyncpg
import numpy as np
import numpy.typing as npt

from dreamhub import ids
from dreamhub.domain.keys import DataKeys
from dreamhub.domain.terms import TermIndex
from dreamhub.sql.codecs import register_codecs
from dreamhub.sql.connections import Connection
from dreamhub.sql.documents import NewUpload, UploadOutcome, register_upload
from dreamhub.sql.ingest import (
    Chunk,
    Claim,
    ClaimedVersion,
    EmbeddingSpace,
    activate_version,
    claim_version,
    ensure_generation,
    seal_chunks,
    store_batch,
)


@asynccontextmanager
async def connected(url: str, settings: dict[str, str] | None = None) -> AsyncIterator[Connection]:
    conn = await asyncpg.connect(url, server_settings=settings or {})
    try:
        await register_codecs(conn)
        yield conn
    finally:
        await conn.close()


@asynccontextmanager
async def patient(superuser_url: str, *functions: str) -> AsyncIterator[None]:
    """These functions of the platform wait a minute for a lock instead of seconds: who is slow here is no thief."""
    async with connected(superuser_url) as admin:
        find = "SELECT pg_get_functiondef($1::regprocedure)"
        texts = [await admin.fetchval(find, f"dreamhub.{function}") for function in functions]
        try:
            for text in texts:
                await admin.execute(re.sub(r"'\ds'", "'60s'", text))
            yield
        finally:
            for text in texts:
                await admin.execute(text)


DIMENSIONS = 8
SPACE = EmbeddingSpace("test/hash-8", DIMENSIONS, "lines-v1")


def embed(text: str) -> npt.NDArray[np.float32]:
    """A unit vector that depends on the text alone."""
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
    vector = np.random.default_rng(seed).normal(size=DIMENSIONS).astype(np.float32)
    unit: npt.NDArray[np.float32] = vector / np.linalg.norm(vector)
    return unit


@dataclass(frozen=True, slots=True)
class File:
    name: str
    texts: tuple[str, ...]
    tags: tuple[str, ...] = ()
    media_type: str = "text/plain"
    title: str = "Title"
    headings: tuple[str, ...] = ("Part",)

    def upload(self) -> NewUpload:
        content = "\n".join(self.texts).encode()
        return NewUpload(
            document_id=ids.new_id("doc"),
            version_id=ids.new_id("ver"),
            name=self.name,
            media_type=self.media_type,
            size=len(content),
            sha256=hashlib.sha256(content).digest(),
            tags=self.tags,
        )

    def chunks(self, start: int = 0) -> list[Chunk]:
        return [
            Chunk(at, text, self.title, self.headings, at + 1, 0, len(text), len(text) // 4, "lines-v1")
            for at, text in enumerate(self.texts)
        ][start:]


CLAIM = Claim(version_id="", holder="pod-1", build="1.0", generation=1)


async def claim(conn: Connection, keys: DataKeys, version_id: str, claim: Claim = CLAIM) -> ClaimedVersion:
    generation = await ensure_generation(conn, SPACE)
    return await claim_version(conn, keys, replace(claim, version_id=version_id, generation=generation))


async def store(conn: Connection, keys: DataKeys, claimed: ClaimedVersion, chunks: list[Chunk]) -> int:
    vectors = np.stack([embed(chunk.text) for chunk in chunks])
    return await store_batch(conn, claimed, seal_chunks(keys, TermIndex(keys), claimed, chunks, vectors))


async def ingest(conn: Connection, keys: DataKeys, file: File) -> UploadOutcome:
    """Upload, chunk, store and show one file."""
    outcome = await register_upload(conn, keys, file.upload())
    claimed = await claim(conn, keys, outcome.version_id)
    await store(conn, keys, claimed, file.chunks())
    await activate_version(conn, claimed, pages=1, chunks=len(file.texts))
    return outcome

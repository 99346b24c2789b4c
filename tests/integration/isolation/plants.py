"""A tenant with at least one row in every table, an object, a job and live progress, and a marker in all of them."""

import hashlib
import secrets
from dataclasses import dataclass

import numpy as np
from redis.asyncio import Redis

from dreamhub.domain.progress import DocumentError, Progress
from dreamhub.domain.terms import TermIndex
from dreamhub.llm.models import BUILTIN_EMBEDDING
from dreamhub.sql.connections import Connection
from dreamhub.sql.ingest import (
    Chunk,
    Claim,
    EmbeddingSpace,
    NewRun,
    RunDocument,
    activate_version,
    claim_version,
    ensure_generation,
    seal_chunks,
    start_run,
    store_batch,
)
from dreamhub.sql.work_items import NewItem, enqueue, settle_item
from dreamhub.storage.functions import load_functions
from dreamhub.storage.progress import publish
from tests.integration.api.platform import Caller, Cluster, Tenant
from tests.integration.sql.support import connected

TABLES = (
    "documents",
    "document_versions",
    "chunks",
    "index_generations",
    "term_counts",
    "ingest_runs",
    "ingest_run_documents",
    "object_outbox",
    "rekey_runs",
    "quota",
    "token_uses",
    "job_admissions",
    "work_items",
    "run_workers",
    "source_checkpoints",
    "source_items",
)
"""Every table of `dreamhub.tenant_tables()`: a table that is not here, or that `plant` leaves empty, fails a test."""

_ROWS = {
    "object_outbox": "INSERT INTO object_outbox (version_id, doomed, due_at) VALUES ($1, false, '2100-01-01')",
    "rekey_runs": "INSERT INTO rekey_runs (key_id, total) VALUES ($1, 1)",
    "token_uses": "INSERT INTO token_uses (model, purpose, tokens) VALUES ($1, 'search', 7)",
    "source_checkpoints": "INSERT INTO source_checkpoints (source_key, kind, state_ct) "
    "VALUES (decode(md5($1), 'hex'), 'web', convert_to($1, 'UTF8'))",
    "source_items": "INSERT INTO source_items (source_key, item_key, revision_ct, document_id, round) "
    "SELECT decode(md5($1), 'hex'), decode(md5(id), 'hex'), convert_to($1, 'UTF8'), id, 1 FROM documents",
}
"""Tables that a healthy tenant has no row in most of the time: written by hand, with the version's id in it."""

SPACE = EmbeddingSpace(BUILTIN_EMBEDDING, 256, "tokens-v1")


@dataclass(frozen=True)
class Planted:
    tenant: Tenant
    marker: str
    """A word that occurs nowhere else: in names, tags, texts, messages and the job's name."""
    document: str
    version: str
    job: str
    content: bytes

    @property
    def markers(self) -> tuple[str, ...]:
        """What a stranger must never read."""
        return (self.marker, self.tenant.name, self.document, self.version)


@dataclass(frozen=True)
class Gardener:
    """Who plants: the operator's part of the platform."""

    cluster: Cluster
    redis: Redis
    operator: Connection


async def plant(tenant: Tenant, caller: Caller, gardener: Gardener) -> Planted:
    cluster = gardener.cluster
    marker = f"zq{secrets.token_hex(6)}"
    text = f"The {marker} valve opens at forty bar. Its {marker} seal lasts two years."
    _, document = await caller.upload(f"{marker}.txt", text.encode(), params={"tags": f"{marker}-tag"})
    inline = {"name": f"{marker}.md", "text": text}
    job = await caller.ok("POST", "/ingest-jobs", json={"name": f"{marker}-job", "source": {"inline": inline}})
    planted = Planted(tenant, marker, document["id"], document["latestVersion"], job["name"], text.encode())
    async with connected(tenant.database_url) as conn:
        await _ingest(conn, planted, text)
        await _record_run(conn, planted, (await cluster.fetch_job(tenant.name, job["name"]))["metadata"]["uid"])
        for statement in _ROWS.values():
            await conn.execute(statement, planted.version)
    error = {"document": planted.document, "class": "Permanent", "reason": "Planted", "message": marker}
    await cluster.set_job_status(tenant.name, planted.job, {"phase": "Running", "reason": "Storing", "errors": [error]})
    await gardener.operator.execute("SELECT dreamhub.set_limits($1, $2)", tenant.name, '{"queuedJobs": 1000}')
    await gardener.operator.fetchval("SELECT dreamhub.admit_jobs($1, $2, $3)", tenant.name, [planted.job], [marker])
    await load_functions(gardener.redis)
    await publish(gardener.redis, tenant.name, planted.job, Progress(stage="Storing", percent=50))
    return planted


async def _ingest(conn: Connection, planted: Planted, text: str) -> None:
    keys = planted.tenant.keys
    chunk = Chunk(0, text, planted.marker, (planted.marker,), 1, 0, len(text), len(text) // 4, "tokens-v1")
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
    vectors = np.random.default_rng(seed).normal(size=(1, SPACE.dimensions)).astype(np.float32)
    generation = await ensure_generation(conn, SPACE)
    claimed = await claim_version(conn, keys, Claim(planted.version, planted.marker, planted.marker, generation))
    await store_batch(conn, claimed, seal_chunks(keys, TermIndex(keys), claimed, [chunk], vectors))
    await activate_version(conn, claimed, pages=1, chunks=1)


async def _record_run(conn: Connection, planted: Planted, uid: str) -> None:
    new = NewRun(uid, planted.job, planted.marker, planted.marker, 1)
    error = DocumentError(
        document=planted.document, error_class="Permanent", reason="Planted", message=f"{planted.marker} broke"
    )
    document = RunDocument(planted.document, planted.version, "Failed", error=error)
    run = (await start_run(conn, new)).run
    await enqueue(conn, run, [NewItem(planted.version, planted.document)])
    await settle_item(conn, run, planted.version, document)

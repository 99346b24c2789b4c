"""Claims of document versions, and the batches of chunks that a claim allows to write. The login is the tenant.

Two processes may work on one version. Of one worker of a run, the later attempt takes over (Kubernetes can start a pod
twice): each claim takes a higher fence, and every later write checks it in the same transaction, so the older process
gets FencedError and writes nothing more. Of two workers, the later claim waits while the earlier one lives, which it
shows by its heartbeat: to take over would only make the two steal from each other in turn.
"""

import os
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from dreamhub import ids
from dreamhub.domain.keys import DataKeys
from dreamhub.domain.places import Unit
from dreamhub.domain.progress import DocumentError
from dreamhub.domain.terms import TermIndex, TermVector
from dreamhub.errors import BugError, ConflictError, FencedError, NotFoundError, UnavailableError
from dreamhub.sql.bodies import Body, open_meta, seal_body
from dreamhub.sql.codecs import encode_halfvecs, encode_sparsevec, stream_copy
from dreamhub.sql.connections import Connection, Record
from dreamhub.sql.queries import load_queries
from dreamhub.sql.quota import TokenUse, use_tokens

_SQL = load_queries("landing")
_INDEX = load_queries("index")
_DOCUMENTS = load_queries("documents")
_INGEST = load_queries("ingest")

HEARTBEAT_SECONDS = 1.0
"""How often a worker shows that it lives."""

LEASE_SECONDS = 4.0
"""What a worker holds that was not heard of for so long, another worker of its run may take. Short, as whoever is
wrongly taken for dead loses a batch at most, while the last documents of a run wait for it when their worker died."""

LOST_SECONDS = 12.0
"""A worker that was not heard of for so long is lost to everybody: other runs take what it holds, and another worker of
its run reads the source on. Longer, as two runs may take a document from each other in turn, and a reader ends."""

COLUMNS = (
    "landing",
    "ordinal",
    "document_id",
    "version_id",
    "generation",
    "worker_build",
    "strategy",
    "page",
    "char_start",
    "char_end",
    "tokens",
    "body_ct",
    "terms",
    "bm25",
    "embedding",
    "unit",
)
"""As in the rows of a `SealedBatch`. The tenant's column is left to the partition's default."""


@dataclass(frozen=True, slots=True)
class EmbeddingSpace:
    """What a generation of the index is: vectors of another space must never be compared with it."""

    model: str
    dimensions: int
    chunker: str
    """Name and version of the chunking strategy, such as `tokens-v1`."""


@dataclass(frozen=True, slots=True)
class RunAttempt:
    """Which start of which worker of which IngestJob."""

    uid: str
    attempt: int
    worker: int = 0
    """Completion index of the pod."""


@dataclass(frozen=True, slots=True)
class Claim:
    version_id: str
    holder: str
    build: str
    generation: int
    force: bool = False
    """Re-ingest although active: the old chunks stay visible until the new ones are complete."""
    run: RunAttempt | None = None
    """None: a claim outside of any IngestJob, which nobody waits for."""


@dataclass(frozen=True, slots=True)
class ClaimedVersion:
    """The right to write one version, until somebody claims it again."""

    version_id: str
    document_id: str
    name: str
    media_type: str
    size: int
    content_key: bytes = field(repr=False)
    """Of the original's SHA-256, under the tenant's blind key."""
    fence: int
    landing: uuid.UUID
    """Identity of this set of chunks: readers do not see it until `activate_version`."""
    generation: int
    build: str
    next_ordinal: int
    """Chunks below it are stored already: go on from here."""
    already_active: bool
    """Nothing to do: this version is searchable in the active generation. No fence was taken."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A chunk before encryption. Offsets are in characters of the extracted text."""

    ordinal: int
    text: str
    title: str
    heading_path: tuple[str, ...]
    page: int | None
    char_start: int
    char_end: int
    tokens: int
    strategy: str
    unit: Unit | None = None
    """What `page` counts; None where there is no page."""


@dataclass(frozen=True, slots=True)
class SealedBatch:
    """Rows ready for COPY: encrypted, hashed, encoded."""

    first_ordinal: int
    rows: tuple[tuple[object, ...], ...]


async def ensure_generation(conn: Connection, space: EmbeddingSpace) -> int:
    """The tenant's index generation for this space; the first caller founds it, and an empty one is replaced.

    The chunker may differ: chunks carry their own strategy. Raises ConflictError `EmbeddingModelChanged` when the
    tenant's chunks are of another model.
    """
    async with conn.transaction():
        await conn.execute(_INDEX["found_generation"], 1, space.model, space.dimensions, space.chunker)
        active = await conn.fetchrow(_INDEX["lock_active_generation"])
        if active is None:
            raise BugError("the tenant's index has generations, none of them active")
        generation: int = active["generation"]
        if (active["model"], active["dimensions"]) == (space.model, space.dimensions):
            return generation
        if active["chunks"] > 0:
            raise ConflictError(
                f"the index holds vectors of {active['model']} ({active['dimensions']} dimensions), "
                f"not of {space.model}; set the tenant's embedding model back to {active['model']}, "
                "or delete its documents first",
                code="EmbeddingModelChanged",
            )
        await conn.execute(_INDEX["retire_generation"], generation)
        await conn.execute(_INDEX["found_generation"], generation + 1, space.model, space.dimensions, space.chunker)
    return generation + 1


async def claim_version(conn: Connection, keys: DataKeys, claim: Claim) -> ClaimedVersion:
    """Take over a version. Resumes a landing of the same build and generation, else starts a new one.

    Raises NotFoundError when the document was deleted, ConflictError `Superseded` when a newer version is active,
    UnavailableError `DocumentHeld` while another worker is at it, of this run or another one, FencedError `Overtaken`
    when a later attempt of this worker began.
    """
    async with conn.transaction():
        await _check_attempt(conn, claim.run)
        row = await conn.fetchrow(_SQL["lock_version"], claim.version_id)
        if row is None:
            raise NotFoundError(f"there is no document version {claim.version_id}", code="DocumentNotFound")
        _refuse_superseded(row)
        if row["state"] == "active" and row["generation"] == claim.generation and not claim.force:
            return _describe_claim(keys, row, claim, _Landing(uuid.UUID(int=0), 0, 0), already_active=True)
        await _refuse_held(conn, row, claim)
        landing = await _take(conn, row, claim)
    return _describe_claim(keys, row, claim, landing, already_active=False)


async def _check_attempt(conn: Connection, run: RunAttempt | None) -> None:
    """Locks the worker, so that no later attempt begins before this claim is committed."""
    if run is not None and await conn.fetchval(_INGEST["lock_worker"], run.uid, run.worker, run.attempt) is None:
        raise overtaken(run)


def overtaken(run: RunAttempt) -> FencedError:
    return FencedError(
        f"attempt {run.attempt} of worker {run.worker} of run {run.uid} was overtaken by a later one", code="Overtaken"
    )


async def _refuse_held(conn: Connection, row: Record, claim: Claim) -> None:
    holder, worker = row["holder_run"], row["holder_worker"] or 0
    if claim.run is None or row["landing"] is None or holder is None or (holder, worker) == _identify(claim.run):
        return
    lease = LEASE_SECONDS if holder == claim.run.uid else LOST_SECONDS
    if await conn.fetchval(_SQL["is_attempt_alive"], holder, worker, row["holder_attempt"], lease):
        raise UnavailableError("another worker is at this document; it is waited for", code="DocumentHeld")


def _identify(run: RunAttempt) -> tuple[str, int]:
    return run.uid, run.worker


async def release_version(conn: Connection, claimed: ClaimedVersion) -> None:
    """Let other runs have it before this one comes back to it; what is stored stays. A lost claim is left alone."""
    await conn.execute(_SQL["release_version"], claimed.version_id, claimed.fence)


@dataclass(frozen=True, slots=True)
class _Landing:
    id: uuid.UUID
    fence: int
    next_ordinal: int


async def _take(conn: Connection, row: Record, claim: Claim) -> _Landing:
    if row["landing"] is not None and _is_resumable(row, claim):
        landing, stored = row["landing"], row["chunks_stored"]
    else:
        landing, stored = ids.uuid7(time.time_ns() // 1_000_000, os.urandom(10)), 0
        await conn.execute(_DOCUMENTS["delete_chunks"], [row["landing"]] if row["landing"] is not None else [])
    run = (claim.run.uid, claim.run.attempt, claim.run.worker) if claim.run is not None else (None, None, None)
    fence = await conn.fetchval(
        _SQL["take_version"], claim.version_id, claim.holder, landing, claim.build, claim.generation, stored, *run
    )
    return _Landing(landing, fence, stored)


def _is_resumable(row: Record, claim: Claim) -> bool:
    """Another build may cut chunks elsewhere: its ordinals mean other text."""
    return (row["landing_build"], row["landing_generation"]) == (claim.build, claim.generation)


def _refuse_superseded(row: Record) -> None:
    if row["active_number"] is not None and row["active_number"] > row["number"]:
        raise ConflictError("a newer version of this document is searchable already", code="Superseded")


def _describe_claim(
    keys: DataKeys, row: Record, claim: Claim, landing: _Landing, *, already_active: bool
) -> ClaimedVersion:
    return ClaimedVersion(
        version_id=claim.version_id,
        document_id=row["document_id"],
        name=open_meta(keys, row["document_id"], row["meta_ct"]).name,
        media_type=row["media_type"],
        size=row["size_bytes"],
        content_key=row["content_key"],
        fence=landing.fence,
        landing=landing.id,
        generation=claim.generation,
        build=claim.build,
        next_ordinal=landing.next_ordinal,
        already_active=already_active,
    )


def seal_chunks(
    keys: DataKeys,
    index: TermIndex,
    claimed: ClaimedVersion,
    chunks: Sequence[Chunk],
    embeddings: npt.NDArray[np.float32],
) -> SealedBatch:
    """Encrypt and hash consecutive chunks, without I/O (about 0.05 ms each: run it in a thread).

    `embeddings` has one row for each chunk. Chunks carry consecutive ordinals.
    """
    if len(chunks) != len(embeddings) or not chunks:
        raise BugError(f"a batch of {len(chunks)} chunks came with {len(embeddings)} vectors")
    first = chunks[0].ordinal
    if [chunk.ordinal for chunk in chunks] != list(range(first, first + len(chunks))):
        raise BugError(f"the ordinals of a batch that starts at {first} are not consecutive")
    vectors = encode_halfvecs(embeddings)
    terms = index.documents(["\n".join((chunk.title, *chunk.heading_path, chunk.text)) for chunk in chunks])
    rows = tuple(_seal(keys, claimed, *row) for row in zip(chunks, terms, vectors, strict=True))
    return SealedBatch(first, rows)


def _seal(
    keys: DataKeys, claimed: ClaimedVersion, chunk: Chunk, terms: TermVector, vector: bytes
) -> tuple[object, ...]:
    body = Body(chunk.title, chunk.heading_path, chunk.text)
    return (
        claimed.landing,
        chunk.ordinal,
        claimed.document_id,
        claimed.version_id,
        claimed.generation,
        claimed.build,
        chunk.strategy,
        chunk.page,
        chunk.char_start,
        chunk.char_end,
        chunk.tokens,
        seal_body(keys, claimed.landing, chunk.ordinal, body),
        terms.ids.tolist(),
        encode_sparsevec(terms),
        vector,
        chunk.unit,
    )


async def store_batch(
    conn: Connection, claimed: ClaimedVersion, batch: SealedBatch, use: TokenUse | None = None
) -> int:
    """COPY one batch and move the checkpoint, in one transaction; returns the next ordinal.

    `use` is what embedding it took, where that is not entered yet: both are kept, or neither. A batch that does not
    start at the checkpoint is a bug. Raises FencedError when the claim was lost or the document deleted.
    """
    after = batch.first_ordinal + len(batch.rows)
    async with conn.transaction():
        moved = await conn.fetchval(
            _SQL["advance_checkpoint"], claimed.version_id, claimed.fence, claimed.landing, batch.first_ordinal, after
        )
        if moved is None:
            await _refuse_batch(conn, claimed, batch)
        await conn.copy_to_table("chunks", source=stream_copy(batch.rows), columns=COLUMNS, format="binary")
        if use is not None:
            await use_tokens(conn, use)
    return after


async def _refuse_batch(conn: Connection, claimed: ClaimedVersion, batch: SealedBatch) -> None:
    stored = await conn.fetchval(_SQL["fetch_checkpoint"], claimed.version_id, claimed.fence, claimed.landing)
    if stored is None:
        raise _lost(claimed)
    raise BugError(f"a batch starts at chunk {batch.first_ordinal}, the checkpoint stands at {stored}")


def _lost(claimed: ClaimedVersion) -> FencedError:
    return FencedError(f"another process has taken over {claimed.version_id}, or its document was deleted")


async def activate_version(conn: Connection, claimed: ClaimedVersion, *, pages: int, chunks: int) -> None:
    """Make the landing visible and delete what it replaces, at once for every reader.

    `chunks` is what the caller believes to have stored; a difference is a bug. Raises FencedError; ConflictError
    `Superseded` when a newer version was activated meanwhile. Wrap this and `record_run_document` in one transaction,
    so that a retry of a forced job does not do the document twice.
    """
    async with conn.transaction():
        await conn.execute(_DOCUMENTS["lock_document"], claimed.document_id)
        row = await conn.fetchrow(_SQL["lock_claimed"], claimed.version_id, claimed.fence, claimed.landing)
        if row is None:
            raise _lost(claimed)
        _refuse_superseded(row)
        if row["chunks_stored"] != chunks:
            raise BugError(f"{chunks} chunks were to be shown, {row['chunks_stored']} are stored")
        await _replace(conn, claimed, row)
        await conn.execute(_SQL["show_version"], claimed.version_id, pages)
        await conn.execute(_SQL["activate_document"], claimed.document_id, claimed.version_id)


async def _replace(conn: Connection, claimed: ClaimedVersion, row: Record) -> None:
    """Counts of the index move with the chunks: readers get both or neither.

    Rows are deleted last: that takes the lock of the tenant's quota, which every transaction takes after all others.
    """
    old = [] if row["old_shown"] is None else [row["old_shown"]]
    await conn.execute(_INDEX["count_terms"], claimed.landing, old)
    if old:
        await conn.execute(_INDEX["count_chunks"], row["old_generation"], -row["old_chunks"])
        await conn.execute(_SQL["hide_version"], row["active_version"])
    counted = await conn.fetchval(_INDEX["count_shown_chunks"], claimed.generation, row["chunks_stored"])
    if counted is None:
        raise ConflictError("the index has moved to another embedding model; ingest again", code="GenerationRetired")
    if old:
        await conn.execute(_DOCUMENTS["delete_chunks"], old)


async def fail_version(conn: Connection, claimed: ClaimedVersion, error: DocumentError) -> None:
    """Drop the landing and record why. A version that was active before stays active and searchable."""
    async with conn.transaction():
        row = await conn.fetchrow(_SQL["lock_claimed"], claimed.version_id, claimed.fence, claimed.landing)
        if row is None:
            raise _lost(claimed)
        await conn.execute(_DOCUMENTS["delete_chunks"], [claimed.landing])
        await conn.execute(_SQL["fail_version"], claimed.version_id, error.error_class, error.reason, error.message)

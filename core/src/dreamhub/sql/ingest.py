"""What a worker writes: runs, claims of versions, batches of chunks. Its login is the tenant.

Two processes may work on one version (Kubernetes can start a pod twice). Each claim takes a higher fence; every later
write checks it in the same transaction, so the older process gets FencedError and writes nothing more.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


import numpy as np
import numpy.typing as npt

from dreamhub.domain.keys import DataKeys
from dreamhub.domain.progress import DocumentError, Progress
from dreamhub.domain.terms import TermIndex

RunOutcome = Literal["Done", "Skipped", "Failed"]


@dataclass(frozen=True, slots=True)
class NewRun:
    uid: str
    """UID of the IngestJob."""
    job: str
    build: str
    holder: str
    """Pod name: for people who read the table, never for a decision."""
    documents_total: int


@dataclass(frozen=True, slots=True)
class EmbeddingSpace:
    """What a generation of the index is: vectors of another space must never be compared with it."""

    model: str
    dimensions: int
    chunker: str
    """Name and version of the chunking strategy, such as `tokens-v1`."""


@dataclass(frozen=True, slots=True)
class ClaimedVersion:
    """The right to write one version, until somebody claims it again."""

    version_id: str
    document_id: str
    name: str
    media_type: str
    size: int
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


@dataclass(frozen=True, slots=True)
class SealedBatch:
    """Rows ready for COPY: encrypted, hashed, encoded."""

    first_ordinal: int
    rows: tuple[tuple[object, ...], ...]


@dataclass(frozen=True, slots=True)
class RunDocument:
    """How one document of a run ended."""

    document_id: str
    version_id: str
    outcome: RunOutcome
    chunks: int = 0
    pages: int = 0
    tokens: int = 0
    error: DocumentError | None = None


async def start_run(conn: Connection, run: NewRun) -> int:
    """Begin or take over a run; returns its attempt (1, 2, ...), which fences all later writes of this run."""
    raise NotImplementedError


async def ensure_generation(conn: Connection, space: EmbeddingSpace) -> int:
    """The tenant's index generation for this space; the first caller founds it.

    Raises ConflictError `EmbeddingModelChanged` when the tenant's chunks are of another space.
    """
    raise NotImplementedError


async def claim_version(conn: Connection, keys: DataKeys, claim: "Claim") -> ClaimedVersion:
    """Take over a version. Resumes a landing of the same build and generation, else starts a new one.

    Raises NotFoundError when the document was deleted, ConflictError `Superseded` when a newer version is active.
    """
    raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Claim:
    version_id: str
    holder: str
    build: str
    generation: int
    force: bool = False
    """Re-ingest although active: the old chunks stay visible until the new ones are complete."""


def seal_chunks(
    keys: DataKeys,
    index: TermIndex,
    claimed: ClaimedVersion,
    chunks: Sequence[Chunk],
    embeddings: npt.NDArray[np.float32],
) -> SealedBatch:
    """Encrypt and hash consecutive chunks, without I/O (about 0.4 ms each: run it in a thread).

    `embeddings` has one row for each chunk. Chunks carry consecutive ordinals.
    """
    raise NotImplementedError


async def store_batch(conn: Connection, claimed: ClaimedVersion, batch: SealedBatch) -> int:
    """COPY one batch and move the checkpoint, in one transaction; returns the next ordinal.

    A batch below the checkpoint is refused as a bug. Raises FencedError when the claim was lost or the document deleted.
    """
    raise NotImplementedError


async def activate_version(conn: Connection, claimed: ClaimedVersion, *, pages: int, chunks: int) -> None:
    """Make the landing visible and delete what it replaces, at once for every reader.

    Raises FencedError; ConflictError `Superseded` when a newer version was activated meanwhile.
    """
    raise NotImplementedError


async def fail_version(conn: Connection, claimed: ClaimedVersion, error: DocumentError) -> None:
    """Drop the landing and record why. A version that was active before stays active and searchable."""
    raise NotImplementedError


async def record_run_document(conn: Connection, uid: str, attempt: int, document: RunDocument) -> None:
    """Record how a document ended; a repeated call replaces the row. Raises FencedError."""
    raise NotImplementedError


async def fetch_finished_documents(conn: Connection, uid: str) -> tuple[RunDocument, ...]:
    """What earlier attempts of this run have finished (so that counts go on, never back)."""
    raise NotImplementedError


async def save_progress(conn: Connection, uid: str, attempt: int, progress: Progress) -> None:
    """Keep the last snapshot. Raises FencedError when a later attempt runs."""
    raise NotImplementedError


async def finish_run(conn: Connection, uid: str, attempt: int, progress: Progress) -> None:
    """Keep the final snapshot (`state` is Succeeded or Failed). Raises FencedError."""
    raise NotImplementedError

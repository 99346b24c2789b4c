"""Hybrid search: one statement collects both candidate sets, fusion happens in `dreamhub.domain.ranking`."""

from dataclasses import dataclass
from datetime import datetime


import numpy as np
import numpy.typing as npt

from dreamhub.domain.keys import DataKeys


@dataclass(frozen=True, slots=True)
class IndexState:
    """The generation that the tenant's searches read. Embed the question with `model`."""

    generation: int
    model: str
    dimensions: int
    chunks: int
    """Visible chunks."""


@dataclass(frozen=True, slots=True)
class Filters:
    """All given ones must hold. None filters nothing; an empty tuple matches nothing."""

    tags: tuple[str, ...] | None = None
    """Every one of them is on the document."""
    media_types: tuple[str, ...] | None = None
    document_ids: tuple[str, ...] | None = None
    created_from: datetime | None = None
    """Of the document, inclusive."""
    created_until: datetime | None = None
    """Exclusive."""


@dataclass(frozen=True, slots=True)
class SearchQuery:
    embedding: npt.NDArray[np.float32]
    """One vector of the active generation's model."""
    terms: tuple[int, ...]
    """From `TermIndex.query`; may be empty."""
    lexical_weight: float
    """Of the embedding model's entry; 0 ranks by vectors alone, 1 by BM25 alone."""
    limit: int = 10
    filters: Filters = Filters()


@dataclass(frozen=True, slots=True)
class Hit:
    document_id: str
    document_name: str
    version_id: str
    ordinal: int
    page: int | None
    char_start: int
    char_end: int
    title: str
    heading_path: tuple[str, ...]
    text: str
    score: float
    """0 to 1: see `ranking.fuse`."""
    lexical: float
    """Raw BM25."""
    semantic: float
    """Cosine similarity."""


async def fetch_index_state(conn: Connection) -> IndexState | None:
    """The tenant's active generation; None before its first ingestion (every search is empty then)."""
    raise NotImplementedError


async def search(conn: Connection, keys: DataKeys, query: SearchQuery) -> list[Hit]:
    """The best chunks of visible documents, best first. Run it in a (read-only) transaction: it is two statements.

    Raises ConflictError when the embedding's dimensions are not those of the active generation.
    """
    raise NotImplementedError

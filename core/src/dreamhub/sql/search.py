"""Hybrid search: one statement collects both candidate sets, fusion happens in `dreamhub.domain.ranking`."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt

from dreamhub.domain.keys import DataKeys
from dreamhub.domain.places import Unit
from dreamhub.domain.ranking import Scores, fuse
from dreamhub.domain.terms import TermStatistics, weigh_query
from dreamhub.errors import ConflictError
from dreamhub.sql.bodies import blind_tags, open_body, open_meta, read_unit
from dreamhub.sql.connections import Connection, Record
from dreamhub.sql.queries import load_queries

_SQL = load_queries("search")
_INDEX = load_queries("index")

CANDIDATES = 50
"""Of each kind, at least; four times the limit when that is more."""


@dataclass(frozen=True, slots=True)
class IndexState:
    """The generation that the tenant's searches read. Embed the question with `model`."""

    generation: int
    model: str
    dimensions: int
    chunks: int
    """Visible chunks."""
    indexed: bool
    """Whether its vectors have an index."""


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
    unit: Unit | None
    """What `page` counts."""
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


@dataclass(frozen=True, slots=True)
class _Ranked:
    landing: uuid.UUID
    ordinal: int
    scores: Scores
    score: float


async def fetch_index_state(conn: Connection) -> IndexState | None:
    """The tenant's active generation; None before its first ingestion (every search is empty then)."""
    row = await conn.fetchrow(_INDEX["fetch_active_generation"])
    return None if row is None else _read_state(row)


async def search(conn: Connection, keys: DataKeys, query: SearchQuery) -> list[Hit]:
    """The best chunks of visible documents, best first. Run it in a read-only transaction: it is three statements.

    Raises ConflictError when the embedding's dimensions are not those of the active generation.
    """
    row = await conn.fetchrow(_SQL["fetch_statistics"], query.terms)
    if row is None or query.limit < 1:
        return []
    state = _read_state(row)
    if query.embedding.shape != (state.dimensions,):
        raise ConflictError(
            f"the index holds vectors of {state.model} with {state.dimensions} dimensions, the question has "
            f"{query.embedding.shape}; embed it with {state.model}",
            code="EmbeddingModelChanged",
        )
    statistics = TermStatistics(state.chunks, dict(zip(row["terms"], row["counts"], strict=True)))
    ranked = _rank(await _fetch_candidates(conn, keys, query, state, statistics), query)
    return await _fetch_hits(conn, keys, ranked)


async def _fetch_candidates(
    conn: Connection, keys: DataKeys, query: SearchQuery, state: IndexState, statistics: TermStatistics
) -> list[Record]:
    weighed = weigh_query(query.terms, statistics)
    filters = query.filters
    tags = None if filters.tags is None else blind_tags(keys, filters.tags)
    rows: list[Record] = await conn.fetch(
        _choose_scan(state, query),
        query.embedding,
        weighed.vector,
        weighed.rarest,
        max(CANDIDATES, 4 * query.limit),
        state.generation,
        filters != Filters(),
        tags,
        filters.media_types,
        filters.document_ids,
        filters.created_from,
        filters.created_until,
    )
    return rows


def _choose_scan(state: IndexState, query: SearchQuery) -> str:
    """The tenant's vector index, or every vector of its partition.

    With filters always the latter: an index finds the nearest of all chunks, and few of them may pass.
    """
    indexed = state.indexed and query.filters == Filters()
    size = f"({state.dimensions})" if indexed else ""
    vector = f"embedding::halfvec{size}" if indexed else "embedding"
    return _SQL["search_candidates"].format(vector=vector, type=f"halfvec{size}")


def _rank(rows: Sequence[Record], query: SearchQuery) -> list[_Ranked]:
    """Ties fall by position, so that a repeated search gives one order."""
    scores = [Scores(row["lexical"], row["semantic"]) for row in rows]
    fused = fuse(scores, query.lexical_weight)
    ranked = [
        _Ranked(row["landing"], row["ordinal"], raw, score) for row, raw, score in zip(rows, scores, fused, strict=True)
    ]
    ranked.sort(key=lambda entry: (-entry.score, entry.landing, entry.ordinal))
    return ranked[: query.limit]


async def _fetch_hits(conn: Connection, keys: DataKeys, ranked: Sequence[_Ranked]) -> list[Hit]:
    rows = await conn.fetch(
        _SQL["fetch_hits"], [entry.landing for entry in ranked], [entry.ordinal for entry in ranked]
    )
    found = {(row["landing"], row["ordinal"]): row for row in rows}
    return [
        _read_hit(keys, found[entry.landing, entry.ordinal], entry)
        for entry in ranked
        if (entry.landing, entry.ordinal) in found
    ]


def _read_state(row: Record) -> IndexState:
    return IndexState(row["generation"], row["model"], row["dimensions"], row["chunks"], row["indexed"])


def _read_hit(keys: DataKeys, row: Record, entry: _Ranked) -> Hit:
    body = open_body(keys, entry.landing, entry.ordinal, row["body_ct"])
    return Hit(
        document_id=row["document_id"],
        document_name=open_meta(keys, row["document_id"], row["meta_ct"]).name,
        version_id=row["version_id"],
        ordinal=entry.ordinal,
        page=row["page"],
        unit=read_unit(row),
        char_start=row["char_start"],
        char_end=row["char_end"],
        title=body.title,
        heading_path=body.heading_path,
        text=body.text,
        score=entry.score,
        lexical=entry.scores.lexical,
        semantic=entry.scores.semantic,
    )

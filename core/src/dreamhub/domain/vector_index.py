"""When a tenant's vectors get an index, and when one is in the way. Pure.

Below some ten thousand chunks an exact search is as fast as an index that finds 99 % of it. A bulk load is faster into
a table without one: an HNSW index takes in some hundred rows a second, and is built at several thousand a second.
"""

from dataclasses import dataclass
from typing import Literal

BUILD_AT = 20_000
"""Chunks from which an index pays: below, the exact search takes as long (docs/adr/0025)."""
DROP_BELOW = 10_000
"""After deletions. Apart from `BUILD_AT`, so that a tenant at the line does not build and drop in turn."""
LARGE = 5 * BUILD_AT
"""From here on an index is built beside running jobs too: they may never end."""
BULK = 10_000
"""Chunks to come that are a bulk load: an index is built after them."""
BULK_SHARE = 0.5
"""Of what is indexed: from so many chunks to come on, an index that is there is better taken away and built anew."""
SEARCHABLE = 200_000
"""Chunks that are still searched exactly in tens of milliseconds: above, no bulk load takes the index away."""
STALE_SHARE = 0.2
"""How far the number of chunks may move from what the planner believes before statistics are gathered again."""
MOST_DIMENSIONS = 4_000
"""What an HNSW index of halfvec can hold. Longer vectors are searched exactly, whatever their number."""
TOKENS_PER_CHUNK = 200
"""Of a usual text, to read an estimate in tokens as chunks."""

Action = Literal["Build", "Drop"]


@dataclass(frozen=True, slots=True)
class VectorIndex:
    """A tenant's chunks and their index, as the database has them."""

    generation: int
    model: str
    dimensions: int
    chunks: int
    """Visible ones of the active generation."""
    indexed: bool
    analyzed: int
    """Rows when statistics were last gathered; -1 for never."""


@dataclass(frozen=True, slots=True)
class Load:
    """What is being ingested for the tenant."""

    running: int
    """IngestJobs."""
    chunks: int
    """Estimated number of chunks that these have still to store."""


def decide(index: VectorIndex, load: Load) -> Action | None:
    """What to do about the index now. The same question may be asked at any time."""
    bulk = load.chunks >= BULK and index.chunks <= SEARCHABLE
    if index.indexed:
        emptied = index.chunks < DROP_BELOW and not load.running
        return "Drop" if emptied or (bulk and load.chunks >= index.chunks * BULK_SHARE) else None
    pays = index.chunks >= BUILD_AT and index.dimensions <= MOST_DIMENSIONS
    if not pays or bulk or (load.running and index.chunks < LARGE):
        return None
    return "Build"


def has_stale_statistics(index: VectorIndex) -> bool:
    """Whether the planner believes in another number of chunks. Few chunks need no plan."""
    if index.chunks < DROP_BELOW:
        return False
    return abs(index.chunks - index.analyzed) > STALE_SHARE * index.chunks

"""Words of a text as a blind index: keyed hashes with BM25 weights.

PostgreSQL sees only 30-bit numbers under the tenant's key. A chunk's vector holds the term-frequency part of BM25 with
a fixed average length, so that no row depends on others; the query's vector holds the inverse document frequencies.
Their inner product is the BM25 score.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dreamhub.domain.keys import DataKeys

DIMENSIONS = 1_000_000_000
"""Term ids are below this: the most that `sparsevec` allows."""


def words(text: str) -> list[str]:
    """Normalised index words in order of appearance, repeated as often as they occur.

    NFKC, casefold, then English Snowball stems; runs of Chinese, Japanese or Korean become character bigrams.
    """
    raise NotImplementedError


@dataclass(frozen=True, slots=True)
class TermVector:
    """A text's terms: `ids` ascending and distinct, `weights` float32 of the same length."""

    ids: npt.NDArray[np.int32]
    weights: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class TermStatistics:
    """How many chunks the tenant has, and how many of them hold each of the query's terms (absent: none)."""

    chunks: int
    counts: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class QueryVector:
    """The query's idf weights, and the rarest terms that the candidate set is taken from."""

    vector: TermVector
    rarest: tuple[int, ...]


class TermIndex:
    """Hashes words under one tenant's key. Keeps a bounded cache of words: build one a tenant and keep it."""

    def __init__(self, keys: DataKeys) -> None:
        self._keys = keys

    def document(self, text: str) -> TermVector:
        """The BM25 term-frequency part of one chunk (title and heading path included by the caller)."""
        raise NotImplementedError

    def query(self, text: str) -> tuple[int, ...]:
        """The distinct term ids of a question, in order of appearance; at most 64."""
        raise NotImplementedError


def weigh_query(ids: Sequence[int], statistics: TermStatistics, *, candidates: int = 4_000) -> QueryVector:
    """Give a query's terms their idf; take the rarest first until about `candidates` chunks match (DESIGN: 98-100 %
    of the full ranking's top fifty at 4,000)."""
    raise NotImplementedError

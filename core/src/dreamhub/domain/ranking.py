"""Fusion of the lexical and the semantic ranking.

A convex combination of max-normalised BM25 and min-max cosine. Reciprocal rank fusion was measured worse than BM25
alone with the built-in model; the weight belongs to the embedding model's entry in the platform's model list.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scores:
    """Raw scores of one candidate: BM25 (0 when no term matches) and cosine similarity (-1 to 1)."""

    lexical: float
    semantic: float


def fuse(candidates: Sequence[Scores], lexical_weight: float) -> list[float]:
    """A score from 0 to 1 for each candidate, in their order."""
    raise NotImplementedError

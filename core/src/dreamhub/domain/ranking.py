"""Fusion of the lexical and the semantic ranking.

A convex combination of max-normalised BM25 and min-max cosine. Reciprocal rank fusion was measured worse than BM25
alone with the built-in model; the weight belongs to the embedding model's entry in the platform's model list.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scores:
    """Raw scores of one candidate: BM25 (0 when no term matches) and cosine similarity (-1 to 1)."""

    lexical: float
    semantic: float


def fuse(candidates: Sequence[Scores], lexical_weight: float) -> list[float]:
    """A score from 0 to 1 for each candidate, in their order. A cosine that is no number (zero vector) counts as -1."""
    if not candidates:
        return []
    best = max(candidate.lexical for candidate in candidates)
    lexical = [candidate.lexical / best if best > 0 else 0.0 for candidate in candidates]
    semantic = _spread([-1.0 if math.isnan(candidate.semantic) else candidate.semantic for candidate in candidates])
    return [lexical_weight * lex + (1 - lexical_weight) * sem for lex, sem in zip(lexical, semantic, strict=True)]


def _spread(values: Sequence[float]) -> list[float]:
    """Min-max to 0..1; equal values all become 1, so that a lone candidate keeps its semantic share."""
    low, high = min(values), max(values)
    return [(value - low) / (high - low) if high > low else 1.0 for value in values]

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dreamhub.domain.ranking import Scores, fuse

SCORES = st.builds(Scores, lexical=st.floats(0, 60), semantic=st.floats(-1, 1))


def test_convex_combination() -> None:
    scores = [Scores(10.0, 0.2), Scores(5.0, 0.8), Scores(0.0, 0.5)]
    assert fuse(scores, 0.7) == pytest.approx([0.7, 0.7 * 0.5 + 0.3, 0.3 * 0.5])


def test_weight_one_is_bm25_and_zero_is_cosine() -> None:
    scores = [Scores(1.0, 0.9), Scores(2.0, 0.1)]
    assert fuse(scores, 1.0) == [0.5, 1.0]
    assert fuse(scores, 0.0) == [1.0, 0.0]


def test_edges() -> None:
    assert fuse([], 0.5) == []
    assert fuse([Scores(0.0, 0.3)], 0.7) == pytest.approx([0.3])
    assert fuse([Scores(1.0, math.nan), Scores(1.0, 0.0)], 0.5) == [0.5, 1.0]


@given(st.lists(SCORES, min_size=1, max_size=30), st.floats(0, 1))
def test_scores_lie_between_zero_and_one(scores: list[Scores], weight: float) -> None:
    assert all(-1e-9 <= score <= 1 + 1e-9 for score in fuse(scores, weight))


@given(st.lists(SCORES, min_size=2, max_size=30), st.floats(0, 1))
def test_better_in_both_never_ranks_lower(scores: list[Scores], weight: float) -> None:
    fused = fuse(scores, weight)
    for first, one in zip(scores, fused, strict=True):
        for second, two in zip(scores, fused, strict=True):
            if first.lexical >= second.lexical and first.semantic >= second.semantic:
                assert one >= two - 1e-9

"""Our wire forms against those of pgvector's own library."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pgvector import HalfVector, SparseVector

from dreamhub.domain.terms import DIMENSIONS, TermVector
from dreamhub.sql.codecs import decode_halfvec, decode_sparsevec, encode_halfvec, encode_halfvecs, encode_sparsevec

FLOATS = st.lists(st.floats(-100, 100, width=16), min_size=1, max_size=40)
TERMS = st.dictionaries(st.integers(0, DIMENSIONS - 1), st.floats(0.5, 2, width=32), max_size=40)


@given(FLOATS)
def test_halfvec(values: list[float]) -> None:
    vector = np.array(values, dtype=np.float32)
    assert encode_halfvec(vector) == HalfVector(values).to_binary()
    assert decode_halfvec(encode_halfvec(vector)).tolist() == values


@given(FLOATS, st.integers(1, 5))
def test_matrix_is_its_rows(values: list[float], rows: int) -> None:
    matrix = np.stack([np.array(values, dtype=np.float32) * row for row in range(rows)])
    assert encode_halfvecs(matrix) == [encode_halfvec(row) for row in matrix]


@given(TERMS)
def test_sparsevec(terms: dict[int, float]) -> None:
    ids = sorted(terms)
    weights = [terms[term] for term in ids]
    vector = TermVector(np.array(ids, dtype=np.int32), np.array(weights, dtype=np.float32))
    wire = encode_sparsevec(vector)
    assert wire == SparseVector(terms, DIMENSIONS).to_binary()
    back = decode_sparsevec(wire)
    assert (back.ids.tolist(), back.weights.tolist()) == (ids, weights)


@pytest.mark.parametrize("encode", [encode_halfvec, encode_sparsevec])
def test_encoded_bytes_pass(encode: object) -> None:
    assert callable(encode)
    assert encode(b"wire") == b"wire"

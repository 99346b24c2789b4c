"""Our wire forms against those of pgvector's own library."""

import struct
import uuid

import numpy as np
import pytest
from asyncpg.pgproto.pgproto import UUID
from hypothesis import given
from hypothesis import strategies as st
from pgvector import HalfVector, SparseVector

from dreamhub.domain.terms import DIMENSIONS, TermVector
from dreamhub.sql.codecs import (
    decode_halfvec,
    decode_sparsevec,
    encode_copy,
    encode_halfvec,
    encode_halfvecs,
    encode_sparsevec,
)

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


def test_rows_for_copy() -> None:
    identity = uuid.UUID(int=7)
    rows = [(1, "é", None), (b"wire", identity, [3, -4]), ([], UUID(identity.bytes), -1)]
    fields = [
        b"\0\3", b"\0\0\0\4", b"\0\0\0\1", b"\0\0\0\2", "é".encode(), b"\xff\xff\xff\xff",
        b"\0\3", b"\0\0\0\4", b"wire", b"\0\0\0\x10", identity.bytes,
        struct.pack(">10i", 36, 1, 0, 23, 2, 1, 4, 3, 4, -4),
        b"\0\3", struct.pack(">4i", 12, 0, 0, 23), b"\0\0\0\x10", identity.bytes, struct.pack(">2i", 4, -1),
    ]  # fmt: skip
    assert encode_copy(rows) == b"PGCOPY\n\xff\r\n\0" + bytes(8) + b"".join(fields) + b"\xff\xff"
    assert encode_copy([]) == b"PGCOPY\n\xff\r\n\0" + bytes(8) + b"\xff\xff"


@pytest.mark.parametrize("value", [1.5, True, ["text"], 2**31])
def test_other_values_are_not_copied(value: object) -> None:
    with pytest.raises((KeyError, ValueError, struct.error)):
        encode_copy([(value,)])

"""Binary wire forms of pgvector's types.

Text literals are 20 to 40 times slower, and asyncpg refuses to COPY a type without a binary codec. `halfvec` is
(int16 dimensions, int16 0, float16...), `sparsevec` is (int32 dimensions, int32 non-zeros, int32 0, int32 indices...,
float32 values...), all big-endian; indices count from 0 and ascend.
"""

import struct
from typing import Any

import numpy as np
import numpy.typing as npt

from dreamhub.domain.terms import DIMENSIONS, TermVector
from dreamhub.sql.connections import Connection


def encode_halfvec(vector: npt.NDArray[Any] | bytes) -> bytes:
    """Bytes pass as they are: batches encode all their vectors at once (`encode_halfvecs`)."""
    if isinstance(vector, bytes):
        return vector
    return struct.pack(">HH", vector.shape[0], 0) + vector.astype(">f2").tobytes()


def encode_halfvecs(vectors: npt.NDArray[np.float32]) -> list[bytes]:
    """One wire value for each row of a matrix."""
    rows, dimensions = vectors.shape
    head = struct.pack(">HH", dimensions, 0)
    body = memoryview(vectors.astype(">f2").tobytes())
    width = 2 * dimensions
    return [head + body[row * width : (row + 1) * width] for row in range(rows)]


def decode_halfvec(data: bytes) -> npt.NDArray[np.float32]:
    return np.frombuffer(data, dtype=">f2", offset=4).astype(np.float32)


def encode_sparsevec(vector: TermVector | bytes) -> bytes:
    if isinstance(vector, bytes):
        return vector
    head = struct.pack(">iii", DIMENSIONS, len(vector.ids), 0)
    return head + vector.ids.astype(">i4").tobytes() + vector.weights.astype(">f4").tobytes()


def decode_sparsevec(data: bytes) -> TermVector:
    _, count, _ = struct.unpack_from(">iii", data)
    ids = np.frombuffer(data, dtype=">i4", count=count, offset=12).astype(np.int32)
    weights = np.frombuffer(data, dtype=">f4", count=count, offset=12 + 4 * count).astype(np.float32)
    return TermVector(ids, weights)


async def register_codecs(conn: Connection) -> None:
    """Teach one connection both types. Raises ValueError when the extension is missing."""
    await conn.set_type_codec(
        "halfvec", schema="public", encoder=encode_halfvec, decoder=decode_halfvec, format="binary"
    )
    await conn.set_type_codec(
        "sparsevec", schema="public", encoder=encode_sparsevec, decoder=decode_sparsevec, format="binary"
    )

"""Binary wire forms of pgvector's types.

Text literals are 20 to 40 times slower, and asyncpg refuses to COPY a type without a binary codec. `halfvec` is
(int16 dimensions, int16 0, float16...), `sparsevec` is (int32 dimensions, int32 non-zeros, int32 0, int32 indices...,
float32 values...), all big-endian; indices count from 0 and ascend.

Rows for COPY are put into its binary format here too: asyncpg's own way takes three times as long, most of it to ask of
every element of an array whether it is an array.
"""

import struct
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from types import NoneType
from typing import Any

import numpy as np
import numpy.typing as npt
from asyncpg.pgproto.pgproto import UUID

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


_COPY_HEAD, _COPY_END = b"PGCOPY\n\xff\r\n\0" + bytes(8), b"\xff\xff"
_INT4 = 23
"""The type's OID."""


async def stream_copy(rows: Iterable[Sequence[object]]) -> AsyncIterator[bytes]:
    """`encode_copy` as a source for asyncpg."""
    yield encode_copy(rows)


def encode_copy(rows: Iterable[Sequence[object]]) -> bytes:
    """Rows as `COPY ... (FORMAT binary)` reads them.

    Of int4, text, uuid, int4[], NULL, and bytes, which are a value's wire form already. Raises KeyError for others.
    """
    parts = [_COPY_HEAD]
    for row in rows:
        parts.append(struct.pack(">h", len(row)))
        parts.extend([_FIELDS[type(value)](value) for value in row])
    parts.append(_COPY_END)
    return b"".join(parts)


def _encode_bytes(value: bytes) -> bytes:
    return struct.pack(">i", len(value)) + value


def _encode_numbers(value: list[int]) -> bytes:
    """Dimensions, no NULL inside, type; length and lower bound of the one dimension; each element with its length."""
    if not value:
        return struct.pack(">iiii", 12, 0, 0, _INT4)
    elements = np.empty((len(value), 2), dtype=">i4")
    elements[:, 0], elements[:, 1] = 4, value
    return struct.pack(">iiiiii", 20 + elements.nbytes, 1, 0, _INT4, len(value), 1) + elements.tobytes()


_FIELDS: Mapping[type, Callable[[Any], bytes]] = {
    NoneType: lambda _: b"\xff\xff\xff\xff",
    int: lambda value: struct.pack(">ii", 4, value),
    str: lambda value: _encode_bytes(value.encode()),
    bytes: _encode_bytes,
    uuid.UUID: lambda value: _encode_bytes(value.bytes),
    UUID: lambda value: _encode_bytes(value.bytes),
    list: _encode_numbers,
}


async def register_codecs(conn: Connection) -> None:
    """Teach one connection both types. Raises ValueError when the extension is missing."""
    await conn.set_type_codec(
        "halfvec", schema="public", encoder=encode_halfvec, decoder=decode_halfvec, format="binary"
    )
    await conn.set_type_codec(
        "sparsevec", schema="public", encoder=encode_sparsevec, decoder=decode_sparsevec, format="binary"
    )

"""Zip archives written by hand, so that every field can lie."""

import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache, lru_cache

STORED, DEFLATED = 0, 8
SIZES_FOLLOW, ENCRYPTED, UTF8 = 0x8, 0x1, 0x800


@dataclass(frozen=True)
class Part:
    """An entry. `local` and `central` override what its two headers say.

    They know `flags`, `method`, `crc`, `packed`, `unpacked` and `name`.
    """

    name: str
    data: bytes = b""
    method: int = DEFLATED
    body: bytes | None = None
    """What lies there instead of the packed data."""
    mode: int = 0
    offset: int | None = None
    """Where the directory says that it begins."""
    before: bytes = b""
    """Bytes in front of its header, which belong to nothing."""
    local: dict[str, object] = field(default_factory=dict)
    central: dict[str, object] = field(default_factory=dict)

    def packed(self) -> bytes:
        if self.body is not None:
            return self.body
        return deflate(self.data) if self.method == DEFLATED else self.data

    def fields(self, overrides: dict[str, object]) -> tuple[int, int, int, int, int, bytes]:
        values: dict[str, object] = {
            "flags": 0 if self.name.isascii() else UTF8,
            "method": self.method,
            "crc": zlib.crc32(self.data),
            "packed": len(self.packed()),
            "unpacked": len(self.data),
            "name": self.name.encode("utf-8", "surrogateescape"),
        }
        flags, method, crc, packed, unpacked, name = {**values, **overrides}.values()
        assert isinstance(flags, int)
        assert isinstance(method, int)
        assert isinstance(crc, int)
        assert isinstance(packed, int)
        assert isinstance(unpacked, int)
        assert isinstance(name, bytes)
        return flags, method, crc, packed, unpacked, name


@lru_cache(512)
def deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(1 if len(data) > 1 << 20 else 9, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


@cache
def zeros(size: int) -> bytes:
    """`size` packed zero bytes, without ever holding them."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    piece = bytes(1 << 20)
    packed = b"".join(packer.compress(piece) for _ in range(size // len(piece)))
    return packed + packer.compress(bytes(size % len(piece))) + packer.flush()


def archive(parts: Iterable[Part], *, prefix: bytes = b"", suffix: bytes = b"", count: int | None = None) -> bytes:
    """The parts as a zip. `suffix` lies behind the end; `count` is how many entries the end record claims."""
    written, directory = bytearray(prefix), bytearray()
    number = 0
    for part in parts:
        written += part.before
        offset = len(written) if part.offset is None else part.offset
        written += _local(part) + part.packed()
        directory += _central(part, offset)
        number += 1
    claimed = min(number if count is None else count, 0xFFFF)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, claimed, claimed, len(directory), len(written), 0)
    return bytes(written + directory + end + suffix)


def _local(part: Part) -> bytes:
    flags, method, crc, packed, unpacked, name = part.fields(part.local)
    return struct.pack("<4s5H3L2H", b"PK\3\4", 20, flags, method, 0, 33, crc, packed, unpacked, len(name), 0) + name


def _central(part: Part, offset: int) -> bytes:
    flags, method, crc, packed, unpacked, name = part.fields(part.central)
    version = (3 << 8 | 20) if part.mode else 20
    fixed = (b"PK\1\2", version, 20, flags, method, 0, 33, crc, packed, unpacked, len(name), 0, 0, 0, 0)
    return struct.pack("<4s6H3L5H2L", *fixed, part.mode << 16, offset) + name

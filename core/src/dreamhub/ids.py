"""Prefixed, sortable identifiers: `doc_0197...` is `doc_` and the 32 hex digits of a UUIDv7 (RFC 9562)."""

import os
import time
import uuid
from typing import Literal

Prefix = Literal["doc", "ver", "conv", "msg", "user"]


def uuid7(milliseconds: int, random: bytes) -> uuid.UUID:
    """A version-7 UUID from a Unix time in milliseconds and at least 10 random bytes."""
    value = (milliseconds & (1 << 48) - 1) << 80 | int.from_bytes(random[:10], "big")
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return uuid.UUID(int=value)


def new_id(prefix: Prefix) -> str:
    return f"{prefix}_{uuid7(time.time_ns() // 1_000_000, os.urandom(10)).hex}"


def is_id(prefix: Prefix, value: str) -> bool:
    """Whether `value` has the shape of an id of this kind. A caller answers 404, as for an absent one, if not."""
    head, _, tail = value.partition("_")
    return head == prefix and len(tail) == 32 and all(c in "0123456789abcdef" for c in tail)

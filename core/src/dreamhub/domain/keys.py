"""A tenant's data keys: what turns its text into bytes that a database dump cannot read.

The keys live outside PostgreSQL (a Secret). Destroying them makes every row, dump, WAL segment and backup of the
tenant's text unreadable. One random secret feeds several subkeys, each for one purpose, derived by HKDF-SHA256, so that
a weakness in one use never touches another.
"""

from dataclasses import dataclass
from typing import Literal, Self

Purpose = Literal["name", "tag", "content", "term"]


@dataclass(frozen=True, slots=True)
class DataKeys:
    """`{"active": "1", "keys": {"1": "<base64, 32 bytes>"}, "index": "<base64, 32 bytes>"}`, parsed.

    `keys` encrypt; several exist while a rotation runs and ciphertexts name theirs. `index` makes the blind index and
    never rotates without re-indexing.
    """

    active: str
    keys: dict[str, bytes]
    index: bytes

    @classmethod
    def generate(cls) -> Self:
        """Fresh random keys. The only place that makes them is the operator."""
        raise NotImplementedError

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the JSON form. Raises InvalidInputError, which never quotes the text."""
        raise NotImplementedError

    def dump(self) -> str:
        raise NotImplementedError

    def encrypt(self, plain: bytes, aad: bytes) -> bytes:
        """AES-256-GCM under the active key. `aad` is the row's identity: a ciphertext moved to another row fails."""
        raise NotImplementedError

    def decrypt(self, sealed: bytes, aad: bytes) -> bytes:
        """The plain bytes. Raises BugError when key, bytes or `aad` do not fit."""
        raise NotImplementedError

    def blind(self, purpose: Purpose, value: bytes) -> bytes:
        """A keyed 16-byte hash: equal values are found by equality, nothing else is learned without the key."""
        raise NotImplementedError

"""A tenant's data keys: what turns its text into bytes that a database dump cannot read.

The keys live outside PostgreSQL (a Secret). Destroying them makes every row, dump, WAL segment and backup of the
tenant's text unreadable. Each secret feeds subkeys for one purpose each, derived by HKDF-SHA256, so that a weakness in
one use never touches another.

A ciphertext is: length of the key's id (one byte), the id, 12 random bytes, AES-256-GCM output with its 16-byte tag.
"""

import base64
import binascii
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, Self, get_args

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from dreamhub.errors import BugError, InvalidInputError, UnavailableError

Purpose = Literal["name", "tag", "content", "term", "source", "item"]

_BYTES = 32
_NONCE = 12


def key_header(name: str) -> bytes:
    """What every ciphertext under this key begins with, and none under another."""
    return bytes((len(name.encode()),)) + name.encode()


def name_key(sealed: bytes) -> str:
    """The id of the key that a ciphertext names. Raises BugError when it is cut off."""
    start = 1 + sealed[0] if sealed else 0
    if not 1 < start < len(sealed):
        raise BugError("a ciphertext is cut off", code="DataKeyMismatch")
    return sealed[1:start].decode(errors="replace")


def _derive(secret: bytes, purpose: str) -> bytes:
    return HKDF(algorithm=SHA256(), length=_BYTES, salt=None, info=f"dreamhub/{purpose}".encode()).derive(secret)


@dataclass(frozen=True, slots=True)
class DataKeys:
    """`{"active": "1", "keys": {"1": "<base64, 32 bytes>"}, "index": "<base64, 32 bytes>"}`, parsed.

    `keys` encrypt; several exist while a rotation runs and ciphertexts name theirs. `index` makes the blind index and
    never rotates without re-indexing. Secrets are left out of `repr`.
    """

    active: str
    keys: Mapping[str, bytes] = field(repr=False)
    index: bytes = field(repr=False)
    _ciphers: Mapping[str, AESGCM] = field(init=False, repr=False, compare=False)
    _blinds: Mapping[str, bytes] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.active not in self.keys:
            raise InvalidInputError("data keys: the active key is not among the keys")
        if any(len(secret) != _BYTES for secret in (*self.keys.values(), self.index)):
            raise InvalidInputError(f"data keys: every key has {_BYTES} bytes")
        if not all(0 < len(name.encode()) < 256 for name in self.keys):
            raise InvalidInputError("data keys: a key's id has 1 to 255 bytes")
        ciphers = {name: AESGCM(_derive(secret, "encrypt")) for name, secret in self.keys.items()}
        blinds = {purpose: _derive(self.index, f"blind/{purpose}") for purpose in get_args(Purpose)}
        object.__setattr__(self, "_ciphers", MappingProxyType(ciphers))
        object.__setattr__(self, "_blinds", MappingProxyType(blinds))

    @classmethod
    def generate(cls) -> Self:
        """Fresh random keys. The only place that makes them in production is the operator."""
        return cls(active="1", keys={"1": os.urandom(_BYTES)}, index=os.urandom(_BYTES))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the JSON form. Raises InvalidInputError, which never quotes the text."""
        try:
            document = json.loads(text)
            keys = {str(name): base64.b64decode(secret, validate=True) for name, secret in document["keys"].items()}
            index = base64.b64decode(document["index"], validate=True)
            active = str(document["active"])
        except (ValueError, KeyError, TypeError, AttributeError, binascii.Error):
            # The cause would quote the secret.
            raise InvalidInputError(
                'data keys: expected JSON {"active": id, "keys": {id: base64}, "index": base64}'
            ) from None
        return cls(active=active, keys=keys, index=index)

    def dump(self) -> str:
        keys = {name: base64.b64encode(secret).decode() for name, secret in self.keys.items()}
        return json.dumps({"active": self.active, "keys": keys, "index": base64.b64encode(self.index).decode()})

    def encrypt(self, plain: bytes, aad: bytes) -> bytes:
        """AES-256-GCM under the active key. `aad` is the row's identity: a ciphertext moved to another row fails.

        Nonces are random: a key is good for 2^32 messages, then rotate.
        """
        nonce = os.urandom(_NONCE)
        return key_header(self.active) + nonce + self._ciphers[self.active].encrypt(nonce, plain, aad)

    def decrypt(self, sealed: bytes, aad: bytes) -> bytes:
        """The plain bytes. Raises BugError when key, bytes or `aad` do not fit.

        Raises UnavailableError `DataKeyMissing` for a key that is not among these: a rotation may have brought it
        since they were read.
        """
        name = name_key(sealed)
        cipher = self._ciphers.get(name)
        if cipher is None:
            raise UnavailableError(
                f"data key {name} of the tenant is not known here; the next try reads the keys again",
                code="DataKeyMissing",
            )
        start = 1 + sealed[0]
        try:
            return cipher.decrypt(sealed[start : start + _NONCE], sealed[start + _NONCE :], aad)
        except (InvalidTag, ValueError) as error:
            raise BugError("a ciphertext does not fit its row or its key", code="DataKeyMismatch") from error

    def reseal(self, sealed: bytes, aad: bytes) -> bytes:
        """The same plain bytes under the active key. Raises as `decrypt`."""
        return self.encrypt(self.decrypt(sealed, aad), aad)

    def blind(self, purpose: Purpose, value: bytes) -> bytes:
        """A keyed 16-byte hash: equal values are found by equality, nothing else is learned without the key."""
        return hashlib.blake2b(value, digest_size=16, key=self._blinds[purpose]).digest()

"""Master keys: what wraps the tenants' data keys where they are kept.

Each tenant's entry is encrypted by a master key, with the tenant's name as associated data, so an entry is worth
nothing without the master key and nothing under another tenant's name. A new master key re-wraps the small entries at
once; the content, which the data keys encrypt, is not touched.
"""

import base64
import binascii
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from dreamhub.errors import BugError, InvalidInputError

_BYTES = 32
_NONCE = 12


def _cipher(secret: bytes) -> AESGCM:
    return AESGCM(HKDF(algorithm=SHA256(), length=_BYTES, salt=None, info=b"dreamhub/wrap").derive(secret))


def is_wrapped(entry: str) -> bool:
    """Whether the entry is under a master key. Entries of the first release are not."""
    return _read(entry) is not None


@dataclass(frozen=True, slots=True)
class MasterKeys:
    """`{"active": "1", "keys": {"1": "<base64, 32 bytes>"}}`, parsed. The active one wraps, all of them unwrap."""

    active: str
    keys: Mapping[str, bytes] = field(repr=False)

    def __post_init__(self) -> None:
        if self.active not in self.keys:
            raise InvalidInputError("master keys: the active key is not among the keys")
        if any(len(secret) != _BYTES for secret in self.keys.values()):
            raise InvalidInputError(f"master keys: every key has {_BYTES} bytes")

    @classmethod
    def generate(cls) -> Self:
        return cls("1", {"1": os.urandom(_BYTES)})

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the JSON form. Raises InvalidInputError, which never quotes the text."""
        try:
            document = json.loads(text)
            keys = {str(name): base64.b64decode(secret, validate=True) for name, secret in document["keys"].items()}
            active = str(document["active"])
        except (ValueError, KeyError, TypeError, AttributeError, binascii.Error):
            # The cause would quote the secret.
            raise InvalidInputError('master keys: expected JSON {"active": id, "keys": {id: base64}}') from None
        return cls(active, keys)

    def dump(self) -> str:
        keys = {name: base64.b64encode(secret).decode() for name, secret in self.keys.items()}
        return json.dumps({"active": self.active, "keys": keys})

    def rotate(self) -> Self:
        """A fresh active key. The one before it stays, to unwrap what it has wrapped; older ones go."""
        numbers = [int(name) for name in self.keys if name.isdecimal()]
        name = str(max(numbers, default=0) + 1)
        return replace(self, active=name, keys={self.active: self.keys[self.active], name: os.urandom(_BYTES)})

    def wrap(self, tenant: str, plain: str) -> str:
        nonce = os.urandom(_NONCE)
        sealed = nonce + _cipher(self.keys[self.active]).encrypt(nonce, plain.encode(), _identity(tenant))
        return json.dumps({"master": self.active, "sealed": base64.b64encode(sealed).decode()})

    def unwrap(self, tenant: str, entry: str) -> str:
        """The plain entry; one that is not wrapped is given back as it is.

        Raises InvalidInputError `MasterKeyMissing` when its master key is not here, BugError `MasterKeyMismatch` when
        the entry does not fit its key or its tenant.
        """
        found = _read(entry)
        if found is None:
            return entry
        name, sealed = found
        secret = self.keys.get(name)
        if secret is None:
            raise InvalidInputError(
                f"the data keys of tenant {tenant} are wrapped by master key {name}, which is not among the master "
                "keys; put it back into the Secret of master keys, from a backup or from where it came",
                code="MasterKeyMissing",
            )
        try:
            return _cipher(secret).decrypt(sealed[:_NONCE], sealed[_NONCE:], _identity(tenant)).decode()
        except (InvalidTag, ValueError) as error:
            raise BugError(
                f"the data keys of tenant {tenant} cannot be unwrapped by master key {name}: the key was replaced "
                "under its id, or the entry was moved or damaged; restore both Secrets from one backup",
                code="MasterKeyMismatch",
            ) from error

    def is_current(self, entry: str) -> bool:
        """Whether the active master key has wrapped it."""
        found = _read(entry)
        return found is not None and found[0] == self.active


def _identity(tenant: str) -> bytes:
    return f"tenant-keys:{tenant}".encode()


def _read(entry: str) -> tuple[str, bytes] | None:
    """The id of the master key and the sealed bytes, or None for what is not wrapped."""
    try:
        document: Any = json.loads(entry)
        return str(document["master"]), base64.b64decode(document["sealed"], validate=True)
    except (ValueError, KeyError, TypeError, binascii.Error):
        return None

"""A tenant's data keys over time: how one replaces another while everybody goes on reading and writing.

    add -> (everybody learns of it) -> activate -> (content is re-encrypted) -> retire -> (backups expire) -> destroy

A retired key encrypts nothing that is stored and is given to no pod; it is kept so that a backup can be read. Every
step is one write of the ring, so a process that dies between two steps leaves a ring that the next one goes on from.
"""

import base64
import binascii
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Self

from dreamhub.domain.conditions import format_time
from dreamhub.domain.keys import DataKeys
from dreamhub.errors import BugError, InvalidInputError

_BYTES = 32


@dataclass(frozen=True, slots=True)
class RetiredKey:
    secret: bytes = field(repr=False)
    since: datetime


@dataclass(frozen=True, slots=True)
class KeyRing:
    """`{"active", "keys", "index"}` as in `DataKeys`, with `since`, `request` and `retired` beside them."""

    keys: DataKeys
    """What pods get: the active key, those that rows still name, and one that is about to become active."""
    since: datetime | None = None
    """When the newest key was added or, once it is active, activated. None in an entry of an earlier release."""
    request: str = ""
    """The last demand for a rotation that was met."""
    retired: Mapping[str, RetiredKey] = field(default_factory=dict)

    @classmethod
    def generate(cls, now: datetime) -> Self:
        return cls(DataKeys.generate(), now)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the JSON form, or that of DataKeys alone. Raises InvalidInputError, which never quotes the text."""
        keys = DataKeys.parse(text)
        try:
            document: dict[str, Any] = json.loads(text)
            since = document.get("since")
            retired = {
                str(name): RetiredKey(base64.b64decode(key["key"], validate=True), datetime.fromisoformat(key["since"]))
                for name, key in document.get("retired", {}).items()
            }
            moment = datetime.fromisoformat(since) if since is not None else None
        except (ValueError, KeyError, TypeError, AttributeError, binascii.Error):
            # The cause would quote the secret.
            raise InvalidInputError('data keys: "since" or "retired" is not what the operator writes') from None
        return cls(keys, moment, str(document.get("request", "")), retired)

    def dump(self) -> str:
        retired = {
            name: {"key": base64.b64encode(key.secret).decode(), "since": format_time(key.since)}
            for name, key in self.retired.items()
        }
        since = format_time(self.since) if self.since is not None else None
        return json.dumps({**json.loads(self.keys.dump()), "since": since, "request": self.request, "retired": retired})

    @property
    def newest(self) -> str:
        return max(self.keys.keys, key=_rank)

    @property
    def outdated(self) -> tuple[str, ...]:
        """Ids of keys that rows may name still, although another one is active."""
        return tuple(name for name in self.keys.keys if name not in (self.keys.active, self.newest))

    def readable(self) -> DataKeys:
        """All keys there are, for those who may have to read what was written long ago."""
        older = {name: key.secret for name, key in self.retired.items()}
        return replace(self.keys, keys={**older, **self.keys.keys})

    def add(self, now: datetime, request: str) -> Self:
        """With a fresh key that encrypts nothing yet."""
        known = [*self.keys.keys, *self.retired]
        name = str(max(map(_rank, known)) + 1)
        keys = replace(self.keys, keys={**self.keys.keys, name: os.urandom(_BYTES)})
        return replace(self, keys=keys, since=now, request=request)

    def activate(self, now: datetime) -> Self:
        return replace(self, keys=replace(self.keys, active=self.newest), since=now)

    def retire(self, name: str, now: datetime) -> Self:
        """Without `name` among the keys that pods get."""
        if name == self.keys.active:
            raise BugError("the active data key cannot be retired")
        kept = {key: secret for key, secret in self.keys.keys.items() if key != name}
        retired = {**self.retired, name: RetiredKey(self.keys.keys[name], now)}
        return replace(self, keys=replace(self.keys, keys=kept), retired=retired)

    def revive(self, name: str) -> Self:
        """A retired key among the keys again: a row that names it has turned up."""
        keys = replace(self.keys, keys={name: self.retired[name].secret, **self.keys.keys})
        return replace(self, keys=keys, retired=_without(self.retired, name))

    def destroy(self, name: str) -> Self:
        """Without a retired key: nothing that it encrypted can be read any more."""
        return replace(self, retired=_without(self.retired, name))


def _rank(name: str) -> int:
    """Ids are numbers that grow; one that is none is the oldest."""
    return int(name) if name.isdecimal() else 0


def _without(retired: Mapping[str, RetiredKey], name: str) -> dict[str, RetiredKey]:
    return {key: value for key, value in retired.items() if key != name}

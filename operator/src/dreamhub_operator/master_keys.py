"""The master keys in the system namespace: made here when absent, or put there by somebody else."""

import base64
import time
from collections.abc import Callable
from datetime import datetime

import structlog

from dreamhub.domain.conditions import format_time
from dreamhub.domain.envelope import MasterKeys
from dreamhub.errors import InvalidInputError, UnavailableError
from dreamhub.names import API_GROUP, MASTER_KEYS_ENTRY, MASTER_KEYS_SECRET
from dreamhub_operator.cluster import Cluster, ObjectKey
from dreamhub_operator.desired.credentials import read_entry
from dreamhub_operator.desired.ownership import MANAGED_BY
from dreamhub_operator.kinds import SECRET, Manifest
from dreamhub_operator.rotation.settings import Rotation

ROTATED = f"{API_GROUP}/rotated-time"
REQUEST = f"{API_GROUP}/rotate-keys"
"""Annotation on the Secret: any new value makes the operator replace a master key that it has made."""
ANSWERED = f"{API_GROUP}/rotate-keys-answered"

TRUST_SECONDS = 15.0
"""How long what was read is taken for what is there."""

log = structlog.get_logger()


class MasterKeyStore:
    def __init__(
        self, cluster: Cluster, system_namespace: str, rotation: Rotation, now: Callable[[], datetime]
    ) -> None:
        self._cluster = cluster
        self._key = ObjectKey(SECRET, MASTER_KEYS_SECRET, system_namespace)
        self._rotation = rotation
        self._now = now
        self._known: MasterKeys | None = None
        self._known_until = 0.0

    async def read(self, *, sealed: bool) -> MasterKeys:
        """The master keys; `sealed` tells whether anything is wrapped by them already, and then none are made.

        Raises InvalidInputError `MasterKeyMissing` when they are gone or cannot be read, UnavailableError while they
        are awaited from outside.
        """
        if self._known is None or time.monotonic() >= self._known_until:
            self._known = await self._fetch(sealed=sealed)
            self._known_until = time.monotonic() + TRUST_SECONDS
        return self._known

    async def _fetch(self, *, sealed: bool) -> MasterKeys:
        secret = await self._cluster.get(self._key)
        if secret is None:
            return await self._create(sealed=sealed)
        text = read_entry(secret, MASTER_KEYS_ENTRY)
        if text is None:
            raise self._missing(f"has no entry {MASTER_KEYS_ENTRY}")
        try:
            keys = MasterKeys.parse(text)
        except InvalidInputError as error:
            raise self._missing(f"cannot be read ({error.message})") from None
        if self._is_due(secret):
            return await self._rotate(secret, keys)
        return keys

    async def _create(self, *, sealed: bool) -> MasterKeys:
        if sealed:
            raise self._missing("is gone, and what it has wrapped cannot be read without it")
        if not self._rotation.create_master_keys:
            raise UnavailableError(
                f"waiting for the Secret {self._key.name} from outside; let it be made here by the chart's value "
                "rotation.createMasterKeys",
                code="MasterKeyMissing",
            )
        keys = MasterKeys.generate()
        metadata = {
            "name": self._key.name,
            "namespace": self._key.namespace,
            "labels": MANAGED_BY,
            "annotations": {ROTATED: format_time(self._now())},
        }
        frame: Manifest = {"apiVersion": SECRET.api_version, "kind": SECRET.name, "metadata": metadata}
        await self._cluster.create({**frame, "type": "Opaque", "data": _data(keys)})
        log.warning("master keys made: back this Secret up apart from the database", secret=self._key.name)
        return keys

    def _is_due(self, secret: Manifest) -> bool:
        """Only for keys that were made here: those from outside are rotated where they come from."""
        metadata = secret["metadata"]
        if (metadata.get("labels") or {}).items() & MANAGED_BY.items() != MANAGED_BY.items():
            return False
        notes = metadata.get("annotations") or {}
        if notes.get(REQUEST, "") != notes.get(ANSWERED, ""):
            return True
        try:
            rotated = datetime.fromisoformat(notes[ROTATED])
        except (KeyError, ValueError):
            return True
        return self._now() - rotated >= self._rotation.master_keys_after

    async def _rotate(self, secret: Manifest, keys: MasterKeys) -> MasterKeys:
        """Both are there before anything is wrapped by the new one, and until the next rotation."""
        fresh, metadata = keys.rotate(), secret["metadata"]
        answered = (metadata.get("annotations") or {}).get(REQUEST, "")
        notes = {ROTATED: format_time(self._now()), ANSWERED: answered}
        changes = {
            "metadata": {"resourceVersion": metadata["resourceVersion"], "annotations": notes},
            "data": _data(fresh),
        }
        await self._cluster.patch(self._key, changes)
        log.info("master key rotated", active=fresh.active)
        return fresh

    def _missing(self, what: str) -> InvalidInputError:
        return InvalidInputError(
            f"the Secret {self._key.name} {what}; restore it from a backup, or from where it came",
            code="MasterKeyMissing",
        )


def _data(keys: MasterKeys) -> dict[str, str]:
    return {MASTER_KEYS_ENTRY: base64.b64encode(keys.dump().encode()).decode()}

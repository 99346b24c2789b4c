"""The next step of a rotation, decided from what is there. Pure.

What is there tells the whole story: the Secret of logins and the ring of data keys are written once a step, so a
process that dies between two steps is followed by one that decides the same.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from dreamhub.domain.key_ring import KeyRing
from dreamhub.sql.tenants import RekeyRun
from dreamhub_operator.desired.credentials import Credentials
from dreamhub_operator.rotation.settings import Rotation

CredentialsStep = Literal["Rotate", "EndFormer"]
KeysStep = Literal["Add", "Activate", "StartJob", "Verify", "Destroy"]
JobProgress = Literal["Absent", "Running", "Ended"]


def spread_age(after: timedelta, uid: str) -> timedelta:
    """Between 90 and 100 % of `after`, always the same for a Tenant: those made on one day are not all due on one."""
    share = int.from_bytes(hashlib.sha256(uid.encode()).digest()[:4], "big") / 2**32
    return after * (0.9 + 0.1 * share)


@dataclass(frozen=True, slots=True)
class CredentialsSeen:
    uid: str
    """Of the Tenant."""
    credentials: Credentials
    request: str
    """The present demand for a rotation; empty when there never was one."""


def plan_credentials(seen: CredentialsSeen, rotation: Rotation, now: datetime) -> CredentialsStep | None:
    """There are two logins: the next rotation waits until the one before has ended."""
    credentials, request = seen.credentials, seen.request
    former = credentials.former
    if former is not None:
        return "EndFormer" if now >= former.valid_until else None
    asked = bool(request) and request != credentials.request
    if not credentials.slot or credentials.rotated is None or asked:
        return "Rotate"
    return "Rotate" if now - credentials.rotated >= spread_age(rotation.credentials_after, seen.uid) else None


@dataclass(frozen=True, slots=True)
class KeysSeen:
    uid: str
    """Of the Tenant."""
    ring: KeyRing
    born: datetime
    """When the Tenant was made: the age of a key that does not tell its own."""
    request: str
    """The present demand for a rotation; empty when there never was one."""
    job: JobProgress = "Absent"
    """The Job that re-encrypts; looked for only while there is something to re-encrypt."""
    run: RekeyRun | None = None
    room: bool = True
    """Whether another tenant's content may be re-encrypted besides those that are at it."""


def plan_keys(seen: KeysSeen, rotation: Rotation, now: datetime) -> KeysStep | None:
    ring = seen.ring
    age = now - (ring.since or seen.born)
    if ring.newest != ring.keys.active:
        return "Activate" if age >= rotation.spread else None
    if ring.outdated:
        return _plan_rewriting(seen, rotation, now)
    if find_expired(ring, rotation, now) is not None:
        return "Destroy"
    asked = bool(seen.request) and seen.request != ring.request
    due = asked or age >= spread_age(rotation.data_keys_after, seen.uid)
    return "Add" if due and seen.room else None


def _plan_rewriting(seen: KeysSeen, rotation: Rotation, now: datetime) -> KeysStep | None:
    """Whether rows are left is counted once nobody writes under the old key any more: who had it has read again."""
    if seen.job == "Absent":
        return "StartJob"
    settled = now - (seen.ring.since or seen.born) >= rotation.spread
    return "Verify" if seen.job == "Ended" and settled else None


def find_expired(ring: KeyRing, rotation: Rotation, now: datetime) -> str | None:
    """A retired key whose backups have expired."""
    expired = (name for name, key in ring.retired.items() if now - key.since >= rotation.retired_keys_kept)
    return next(expired, None)

"""The Secret with a tenant's logins and data keys, and reading it back.

It is the one record of which login is in use: database and cache are made to agree with it, whatever they hold. What it
says of the login before is in an annotation, so that no pod is given more than it needs.
"""

import base64
import binascii
import hashlib
import json
import secrets
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Self, get_args
from urllib.parse import SplitResult, quote, unquote, urlsplit

from dreamhub.crd.tenant import Tenant
from dreamhub.domain.conditions import format_time
from dreamhub.names import API_GROUP, CREDENTIALS_SECRET, LoginSlot, redis_user
from dreamhub.sql.logins import FormerSlot, build_url
from dreamhub.storage.redis_acl import digest_password
from dreamhub_operator.desired.ownership import tenant_object
from dreamhub_operator.kinds import SECRET, Manifest

DATABASE_URL = "database-url"
REDIS_URL = "redis-url"
KEYS = "keys.json"

PASSWORD_BYTES = 32

ROTATION = f"{API_GROUP}/rotation"
"""Annotation: when the logins were made, on which demand, and what is accepted besides for a while."""


LOGINS = f"{API_GROUP}/logins-hash"
"""Annotation: hash of slot and passwords, which tells logins that somebody else wrote into the Secret."""


@dataclass(frozen=True, slots=True)
class Passwords:
    database: str = field(repr=False)
    redis: str = field(repr=False)


def make_passwords() -> Passwords:
    return Passwords(secrets.token_urlsafe(PASSWORD_BYTES), secrets.token_urlsafe(PASSWORD_BYTES))


@dataclass(frozen=True, slots=True)
class Former:
    """The logins before: accepted until a moment, for those who were started with them."""

    slot: FormerSlot
    redis_digest: str
    """SHA-256 of the password, which is all that Redis needs; empty when it is not known any more."""
    valid_until: datetime


@dataclass(frozen=True, slots=True)
class Credentials:
    """A tenant's logins."""

    slot: FormerSlot
    """The database login in use. Empty for one that was made by a release without slots: it is rotated at once."""
    passwords: Passwords
    rotated: datetime | None = None
    request: str = ""
    """The last demand for a rotation that was met."""
    former: Former | None = None

    @property
    def redis_digests(self) -> tuple[str, ...]:
        """What the cache accepts."""
        known = self.former.redis_digest if self.former is not None else ""
        return (digest_password(self.passwords.redis), *((known,) if known else ()))

    @property
    def fingerprint(self) -> str:
        """Changes with anything that the servers have to know."""
        known = (self.slot, self.passwords.database, self.redis_digests, self.former)
        return hashlib.sha256(repr(known).encode()).hexdigest()

    def rotate(self, fresh: Passwords, now: datetime, valid_until: datetime, request: str) -> Self:
        """The other login with fresh passwords; the present one ends at `valid_until`."""
        former = Former(self.slot, digest_password(self.passwords.redis), valid_until)
        return replace(self, slot=other_slot(self.slot), passwords=fresh, rotated=now, request=request, former=former)

    def end_former(self) -> Self:
        return replace(self, former=None)


def other_slot(slot: FormerSlot) -> LoginSlot:
    return "b" if slot == "a" else "a"


def begin_credentials(tenant: Tenant, fresh: Passwords, now: datetime, valid_until: datetime) -> Credentials:
    """For a tenant whose Secret is not there: new, or taken away, and then the status tells which login it held."""
    known = tenant.status.credentials
    if known is None:
        return Credentials("a", fresh, now)
    return Credentials(other_slot(known.slot), fresh, now, former=Former(known.slot, "", valid_until))


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a tenant's workers find the shared servers."""

    database: str
    """host:port/database"""
    redis: str
    """host:port"""
    redis_scheme: str = "redis"


def build_credentials(tenant: Tenant, credentials: Credentials, keys: str, addresses: Addresses) -> Manifest:
    name = tenant.metadata.name
    redis_login = f"{quote(redis_user(name), safe='')}:{quote(credentials.passwords.redis, safe='')}"
    entries = {
        DATABASE_URL: build_url(addresses.database, name, credentials.slot, credentials.passwords.database),
        REDIS_URL: f"{addresses.redis_scheme}://{redis_login}@{addresses.redis}/0",
        KEYS: keys,
    }
    frame = tenant_object(SECRET, CREDENTIALS_SECRET, name, tenant.metadata.uid)
    annotations = {ROTATION: _dump_rotation(credentials), LOGINS: _seal(credentials)}
    return {
        **frame,
        "metadata": {**frame["metadata"], "annotations": annotations},
        "type": "Opaque",
        "data": {key: base64.b64encode(text.encode()).decode() for key, text in entries.items()},
    }


def _seal(credentials: Credentials) -> str:
    """Of passwords that nobody can guess, so that a hash tells nothing."""
    known = (credentials.slot, credentials.passwords.database, credentials.passwords.redis)
    return hashlib.sha256(repr(known).encode()).hexdigest()[:32]


def is_forged(secret: Manifest | None, credentials: Credentials) -> bool:
    """Whether the Secret holds logins that the operator has not put there: those of a person are not kept."""
    seal = ((secret or {})["metadata"].get("annotations") or {}).get(LOGINS)
    return seal is not None and seal != _seal(credentials)


def read_entry(secret: Manifest | None, name: str) -> str | None:
    """One entry of a Secret as text. None when it is absent or no base64 text: then it is made anew."""
    encoded = ((secret or {}).get("data") or {}).get(name)
    try:
        return base64.b64decode(encoded, validate=True).decode() if encoded else None
    except (binascii.Error, UnicodeDecodeError):
        return None


def read_credentials(secret: Manifest | None) -> Credentials | None:
    """The logins in the Secret, or None when something is missing."""
    database, redis = _login(read_entry(secret, DATABASE_URL)), _login(read_entry(secret, REDIS_URL))
    if database is None or redis is None:
        return None
    user, password = database
    slot: FormerSlot = next((slot for slot in get_args(LoginSlot) if user.endswith(f".{slot}")), "")
    rotation = ((secret or {})["metadata"].get("annotations") or {}).get(ROTATION, "{}")
    return _read_rotation(Credentials(slot, Passwords(password, redis[1])), rotation)


def _login(url: str | None) -> tuple[str, str] | None:
    """User and password of a URL."""
    try:
        found: SplitResult | None = urlsplit(url) if url else None
    except ValueError:
        return None
    if found is None or not found.password:
        return None
    return unquote(found.username or ""), unquote(found.password)


def _dump_rotation(credentials: Credentials) -> str:
    former = credentials.former
    document = {
        "rotated": format_time(credentials.rotated) if credentials.rotated is not None else None,
        "request": credentials.request,
        "former": former and [former.slot, former.redis_digest, format_time(former.valid_until)],
    }
    return json.dumps(document)


def _read_rotation(credentials: Credentials, text: str) -> Credentials:
    """What cannot be read counts as not said: the logins are then rotated, and the one before ends with its slot."""
    try:
        document = json.loads(text)
        rotated, former = document.get("rotated"), document.get("former")
        return replace(
            credentials,
            rotated=datetime.fromisoformat(rotated) if rotated else None,
            request=str(document.get("request", "")),
            former=Former(former[0], former[1], datetime.fromisoformat(former[2])) if former else None,
        )
    except (ValueError, KeyError, TypeError, IndexError, AttributeError):
        return credentials

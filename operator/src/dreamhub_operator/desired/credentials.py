"""The Secret with a tenant's logins and data keys, and reading it back."""

import base64
import binascii
from dataclasses import dataclass, field
from urllib.parse import quote, unquote, urlsplit

from dreamhub.crd.tenant import Tenant
from dreamhub.names import CREDENTIALS_SECRET, database_role, redis_user
from dreamhub_operator.desired.ownership import tenant_object
from dreamhub_operator.kinds import SECRET, Manifest

DATABASE_URL = "database-url"
REDIS_URL = "redis-url"
KEYS = "keys.json"


@dataclass(frozen=True, slots=True)
class Passwords:
    database: str = field(repr=False)
    redis: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a tenant's workers find the shared servers."""

    database: str
    """host:port/database"""
    redis: str
    """host:port"""


def build_credentials(tenant: Tenant, passwords: Passwords, keys: str, addresses: Addresses) -> Manifest:
    name = tenant.metadata.name
    user, secret = quote(database_role(name), safe=""), quote(passwords.database, safe="")
    redis_login = f"{quote(redis_user(name), safe='')}:{quote(passwords.redis, safe='')}"
    entries = {
        DATABASE_URL: f"postgresql://{user}:{secret}@{addresses.database}",
        REDIS_URL: f"redis://{redis_login}@{addresses.redis}/0",
        KEYS: keys,
    }
    return {
        **tenant_object(SECRET, CREDENTIALS_SECRET, name, tenant.metadata.uid),
        "type": "Opaque",
        "data": {key: base64.b64encode(text.encode()).decode() for key, text in entries.items()},
    }


def read_entry(secret: Manifest | None, name: str) -> str | None:
    """One entry of a Secret as text. None when it is absent or no base64 text: then it is made anew."""
    encoded = (secret or {}).get("data", {}).get(name)
    try:
        return base64.b64decode(encoded, validate=True).decode() if encoded else None
    except (binascii.Error, UnicodeDecodeError):
        return None


def read_passwords(secret: Manifest | None) -> Passwords | None:
    """The passwords in the Secret, or None when one is missing."""
    database = _password(read_entry(secret, DATABASE_URL))
    redis = _password(read_entry(secret, REDIS_URL))
    return Passwords(database, redis) if database and redis else None


def _password(url: str | None) -> str | None:
    try:
        found = urlsplit(url).password if url else None
    except ValueError:
        return None
    return unquote(found) if found else None

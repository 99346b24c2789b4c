"""When a tenant's walls are tried again. Pure."""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from dreamhub.crd.tenant import Tenant
from dreamhub.names import API_GROUP

REQUEST_ANNOTATION = f"{API_GROUP}/verify-isolation"
"""A new value asks for a verification now, such as `kubectl annotate tenant acme dreamhub.dev/verify-isolation=$(date
+%s) --overwrite`."""

FIRST_SECONDS = 3.0
"""A new tenant is left alone for a moment: its first upload comes about then."""
RETRY_FIRST_SECONDS = 20.0
RETRY_MOST_SECONDS = 600.0
FAILED_SECONDS = 300.0
"""A tenant whose jobs wait because a wall fell is tried again so soon."""
SPREAD = 0.2
"""Rounds of many tenants are spread over this share of the interval."""


@dataclass(frozen=True, slots=True)
class History:
    """What this process remembers of a tenant's rounds."""

    seen_at: datetime
    """When it first looked at the tenant."""
    tries: int = 0
    """Rounds in a row that proved nothing."""
    tried_at: datetime | None = None
    request: str = ""
    """The value of the annotation at the last of them."""


def requested(tenant: Tenant) -> str:
    return tenant.metadata.annotations.get(REQUEST_ANNOTATION, "")


def seconds_until_due(tenant: Tenant, history: History, interval: timedelta, now: datetime) -> float:
    """Zero or less: now."""
    return (_due(tenant, history, interval) - now).total_seconds()


def _due(tenant: Tenant, history: History, interval: timedelta) -> datetime:
    if history.tries and history.tried_at is not None and history.request == requested(tenant):
        return history.tried_at + timedelta(seconds=retry_seconds(history.tries))
    checked = tenant.status.isolation
    if checked is None or checked.checked_time is None:
        return history.seen_at + timedelta(seconds=FIRST_SECONDS)
    if requested(tenant) != checked.request:
        return checked.checked_time
    if checked.failed:
        return checked.checked_time + min(timedelta(seconds=FAILED_SECONDS), interval)
    return checked.checked_time + interval * (1 - SPREAD * place(tenant.metadata.uid))


def retry_seconds(tries: int) -> float:
    """After this many rounds in a row that proved nothing."""
    return min(RETRY_FIRST_SECONDS * 2.0 ** min(tries - 1, 16), RETRY_MOST_SECONDS)


def place(uid: str) -> float:
    """Where in the spread a tenant stands, within [0, 1): the same at each turn and after each restart."""
    return int.from_bytes(hashlib.sha256(uid.encode()).digest()[:4], "big") / 2**32

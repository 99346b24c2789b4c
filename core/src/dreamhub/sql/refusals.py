"""What the database itself refuses for the plan's sake, as our errors.

Triggers raise two SQLSTATEs of our own (see the migration on quotas): `DHQ01` carries the figures as JSON, `DHS01`
nothing.
"""

import json
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import asyncpg

from dreamhub.errors import CapacityExceededError, ForbiddenError, QuotaExceededError, QuotaFigures, UserError

QUOTA_EXCEEDED = "DHQ01"
TENANT_SUSPENDED = "DHS01"


@dataclass(frozen=True, slots=True)
class _Quota:
    """A column of the table `quota`, as the plan calls it and as a sentence counts it."""

    field: str
    unit: str


_QUOTAS = {
    "documents": _Quota("documents", "documents"),
    "chunks": _Quota("chunks", "chunks"),
    "storage": _Quota("storage", "bytes of originals"),
    "tokens_day": _Quota("tokensPerDay", "tokens a day"),
    "tokens_month": _Quota("tokensPerMonth", "tokens a month"),
    "queued_jobs": _Quota("queuedJobs", "ingest jobs at a time"),
}


def read_refusal(error: asyncpg.PostgresError) -> UserError | None:
    """None when it is some other error."""
    if error.sqlstate == TENANT_SUSPENDED:
        return suspended()
    if error.sqlstate != QUOTA_EXCEEDED:
        return None
    told = json.loads(error.detail or "{}")
    resets = told["resets_at"]
    return build_refusal(
        told["quota"],
        QuotaFigures(
            quota=_QUOTAS[told["quota"]].field,
            limit=told["limit"],
            used=told["used"],
            requested=told["requested"],
            resets_at=None if resets is None else datetime.fromisoformat(resets),
        ),
    )


def build_refusal(quota: str, figures: QuotaFigures) -> QuotaExceededError:
    """The error for a column of `quota`."""
    crossed = (
        f"the tenant's limit of {figures.limit:,} {_QUOTAS[quota].unit} would be crossed: {figures.used:,} are used, "
        f"{figures.requested:,} more were asked for"
    )
    if figures.resets_at is not None:
        return QuotaExceededError(f"{crossed}; usage resets at {figures.resets_at:%Y-%m-%d %H:%M} UTC", figures)
    if quota == "queued_jobs":
        return QuotaExceededError(f"{crossed}; try again when one has ended, or delete one that waits", figures)
    return CapacityExceededError(f"{crossed}; delete documents, or ask for a larger plan", figures)


def suspended() -> ForbiddenError:
    return ForbiddenError(
        "the tenant is suspended: it takes no new documents and no new ingest jobs, while reading, searching and "
        "answering go on; ask whoever runs the platform",
        code="TenantSuspended",
    )


def next_day(day: date) -> date:
    return day + timedelta(days=1)


def next_month(day: date) -> date:
    return date(day.year + day.month // 12, day.month % 12 + 1, 1)

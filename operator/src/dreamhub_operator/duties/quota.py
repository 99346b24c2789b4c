"""A tenant's limits and how near it is to them. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from dreamhub.crd.tenant import Usage
from dreamhub.crd.tenant_spec import Plan
from dreamhub.sql.quota import Limits, QuotaUsage
from dreamhub.sql.refusals import next_day, next_month
from dreamhub_operator.reconcile.quantities import parse_quantity

REWRITE_AFTER = timedelta(seconds=30)
"""A changed usage is written at most so often, unless a limit was reached or left."""
REWRITE_AT_LATEST = timedelta(minutes=15)
"""An unchanged one is written so often, so that its time tells that somebody looks."""


def build_limits(plan: Plan) -> Limits:
    """The plan in the database's terms: bytes are a number there."""
    storage = parse_quantity(str(plan.storage)) if plan.storage is not None else None
    return Limits(
        documents=plan.documents,
        chunks=plan.chunks,
        storage_bytes=int(storage) if storage is not None else None,
        tokens_per_day=plan.tokens_per_day,
        tokens_per_month=plan.tokens_per_month,
        concurrent_jobs=plan.concurrent_jobs,
        queued_jobs=plan.queued_jobs,
    )


def build_usage(quota: QuotaUsage, running: int, waiting: int, now: datetime) -> Usage:
    return Usage(
        documents=quota.documents,
        chunks=quota.chunks,
        storage_bytes=quota.storage_bytes,
        tokens_today=quota.tokens_today,
        tokens_month=quota.tokens_month,
        running_jobs=running,
        queued_jobs=waiting,
        observed_time=now,
    )


def choose_usage(old: Usage | None, new: Usage, now: datetime, *, urgent: bool) -> Usage:
    """The new one when it is worth a write, else the old one as it stands in the status."""
    if old is None or old.observed_time is None or urgent:
        return new
    same = old.model_copy(update={"observed_time": None}) == new.model_copy(update={"observed_time": None})
    return new if now - old.observed_time >= (REWRITE_AT_LATEST if same else REWRITE_AFTER) else old


@dataclass(frozen=True, slots=True)
class Reached:
    """A limit at which nothing more is let in."""

    field: str
    """The limit's name in spec.plan."""
    limit: int
    used: int
    way_out: str


def find_reached(quota: QuotaUsage) -> Reached | None:
    """The first limit that is reached, or None."""
    return next(_find_all_reached(quota), None)


def _find_all_reached(quota: QuotaUsage) -> Iterator[Reached]:
    limits, raise_it = quota.limits, "or raise the limit"
    tomorrow, next_first = _say(next_day(quota.today)), _say(next_month(quota.today))
    rows = (
        ("documents", limits.documents, quota.documents, f"delete documents, {raise_it}"),
        ("chunks", limits.chunks, quota.chunks, f"delete documents, {raise_it}"),
        ("storage", limits.storage_bytes, quota.storage_bytes, f"delete documents, {raise_it}"),
        ("tokensPerDay", limits.tokens_per_day, quota.tokens_today, f"resets at {tomorrow}, {raise_it}"),
        ("tokensPerMonth", limits.tokens_per_month, quota.tokens_month, f"resets at {next_first}, {raise_it}"),
        ("queuedJobs", limits.queued_jobs, quota.queued_jobs, f"wait until IngestJobs have ended, {raise_it}"),
    )
    for field, limit, used, way_out in rows:
        if limit is not None and used >= limit:
            yield Reached(field, limit, used, way_out)


def _say(day: date) -> str:
    return f"{day}T00:00:00Z"


def describe(reached: Reached) -> str:
    unit = " bytes" if reached.field == "storage" else ""
    return f"spec.plan.{reached.field}: {reached.used:,} of {reached.limit:,}{unit} are used; {reached.way_out}"

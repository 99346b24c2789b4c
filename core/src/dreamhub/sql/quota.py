"""What a tenant may hold and use, and what it does: limits, usage, the ledger of tokens, places in the queue.

The database counts and refuses by itself, in triggers on the tenant's tables: nothing here is needed to enforce a
limit. Refusals come out of any statement that adds something, as `dreamhub.sql.refusals` reads them.
"""

import json
import uuid
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any, Literal

import asyncpg

from dreamhub import names
from dreamhub.errors import DreamHubError, NotFoundError, QuotaExceededError, QuotaFigures
from dreamhub.sql.connections import Connection
from dreamhub.sql.queries import load_queries
from dreamhub.sql.refusals import build_refusal, next_day, next_month, suspended

_SQL = load_queries("quota")
_PLANS = load_queries("plans")

Purpose = Literal["ingest", "search", "answer"]
Connect = Callable[[], AbstractAsyncContextManager[Connection]]


@dataclass(frozen=True, slots=True)
class Limits:
    """Of a tenant's plan; None is no limit."""

    documents: int | None = None
    chunks: int | None = None
    storage_bytes: int | None = None
    tokens_per_day: int | None = None
    tokens_per_month: int | None = None
    concurrent_jobs: int | None = None
    queued_jobs: int | None = None


@dataclass(frozen=True, slots=True)
class QuotaUsage:
    """As the database has it now."""

    limits: Limits
    suspended: bool
    documents: int
    chunks: int
    storage_bytes: int
    tokens_today: int
    tokens_month: int
    queued_jobs: int
    """Places taken in the queue: IngestJobs that wait or run."""
    today: date
    """The UTC day, by the database's clock."""


@dataclass(frozen=True, slots=True)
class Admission:
    """A place in the queue."""

    name: str
    """Of the IngestJob."""
    uid: str | None
    """None until the operator has seen the job: the API reserves the place before the job exists."""
    age_seconds: float


@dataclass(frozen=True, slots=True)
class TokenUse:
    """An entry of the ledger."""

    model: str
    purpose: Purpose
    tokens: int
    job: str | None = None
    """UID of the IngestJob."""
    prompt: str | None = None
    """Version of the text around what was sent."""


@dataclass(frozen=True, slots=True)
class TokenTotal:
    """What one model was used for."""

    model: str
    purpose: Purpose
    today: int
    month: int


# For the operator, which is no tenant.


async def set_limits(conn: Connection, tenant: str, limits: Limits, *, suspended: bool) -> None:
    """Replace all limits of a tenant at once. Raises NotFoundError when it has no tables."""
    values = {
        "documents": limits.documents,
        "chunks": limits.chunks,
        "storage": limits.storage_bytes,
        "tokensPerDay": limits.tokens_per_day,
        "tokensPerMonth": limits.tokens_per_month,
        "concurrentJobs": limits.concurrent_jobs,
        "queuedJobs": limits.queued_jobs,
        "suspended": suspended,
    }
    await _call(conn, "set_limits", tenant, json.dumps(values))


async def fetch_usage(conn: Connection, tenants: Collection[str]) -> dict[str, QuotaUsage]:
    """Limits and usage of many tenants in one query; tenants without tables are left out."""
    rows = await conn.fetch(_PLANS["fetch_quotas"], list(tenants))
    return {row["tenant"]: _read_usage(json.loads(row["quota"]), row["today"]) for row in rows}


async def fetch_admissions(conn: Connection, tenants: Collection[str]) -> dict[str, tuple[Admission, ...]]:
    """The places taken in each tenant's queue, oldest first, in one query; tenants without any are left out."""
    found: dict[str, list[Admission]] = {}
    for row in await conn.fetch(_PLANS["fetch_admissions"], list(tenants)):
        found.setdefault(row["tenant"], []).append(Admission(row["name"], row["uid"], row["age_seconds"]))
    return {tenant: tuple(admissions) for tenant, admissions in found.items()}


async def admit_jobs(conn: Connection, tenant: str, jobs: Mapping[str, str]) -> frozenset[str]:
    """Give places to jobs (UIDs by name) in this order while there are any; returns the names that have one now.

    Names that have a place keep it, under the UID given. Raises NotFoundError when the tenant has no tables.
    """
    holding = await _call(conn, "admit_jobs", tenant, list(jobs), list(jobs.values()))
    return frozenset(holding)


async def release_jobs(conn: Connection, tenant: str, jobs: Collection[str]) -> None:
    """Take back the places of these names. Absent ones are fine. Raises NotFoundError as above."""
    await _call(conn, "release_jobs", tenant, list(jobs))


async def _call(conn: Connection, query: str, tenant: str, *arguments: object) -> Any:
    absent = NotFoundError(f"tenant {tenant} has no tables yet", code="TenantNotFound")
    if not names.is_tenant_name(tenant):
        raise absent
    try:
        return await conn.fetchval(_PLANS[query], tenant, *arguments)
    except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError, asyncpg.NoDataFoundError) as error:
        raise absent from error


# As the tenant.


async def fetch_own_usage(conn: Connection) -> QuotaUsage:
    row = await conn.fetchrow(_SQL["fetch_own_usage"])
    if row is None:
        raise NotFoundError("this tenant's usage is not counted yet", code="TenantNotFound")
    return _read_usage(json.loads(row["quota"]), row["today"])


async def fetch_token_totals(conn: Connection) -> tuple[TokenTotal, ...]:
    """Of this month, by model and purpose."""
    rows = await conn.fetch(_SQL["fetch_token_totals"])
    return tuple(TokenTotal(row["model"], row["purpose"], row["today"], row["month"]) for row in rows)


async def reserve_place(conn: Connection, job: str) -> bool:
    """Take a place in the queue for a job about to be created; False when the name has one already.

    Refused when there is none left, or the tenant is suspended. Only the API's login may.
    """
    return await conn.fetchval(_SQL["reserve_place"], job) is not None


async def give_up_place(conn: Connection, job: str) -> None:
    """The job was not created after all. A place that the operator knows of stays."""
    await conn.execute(_SQL["give_up_place"], job)


async def check_storage(conn: Connection, size: int) -> None:
    """Refuse early what would be refused once it had all come: an original of `size` bytes."""
    usage = await fetch_own_usage(conn)
    if usage.suspended:
        raise suspended()
    limit = usage.limits.storage_bytes
    if limit is not None and usage.storage_bytes + size > limit:
        raise build_refusal("storage", QuotaFigures("storage", limit, usage.storage_bytes, size))


async def check_tokens(conn: Connection) -> None:
    """Raises QuotaExceededError when no token is left of the day or the month; charges nothing."""
    exhausted = find_exhausted(await fetch_own_usage(conn))
    if exhausted is not None:
        raise exhausted


def find_exhausted(usage: QuotaUsage, requested: int = 1) -> QuotaExceededError | None:
    """The limit that has no room for so many tokens. The month before the day: what resets later is what counts."""
    spent = (
        ("tokens_month", "tokensPerMonth", usage.limits.tokens_per_month, usage.tokens_month, next_month(usage.today)),
        ("tokens_day", "tokensPerDay", usage.limits.tokens_per_day, usage.tokens_today, next_day(usage.today)),
    )
    for quota, field, limit, used, resets in spent:
        if limit is not None and used + requested > limit:
            midnight = datetime.combine(resets, time(), UTC)
            return build_refusal(quota, QuotaFigures(field, limit, used, requested, midnight))
    return None


async def use_tokens(conn: Connection, use: TokenUse, *, lazily: bool = False) -> None:
    """Enter what was used. Refused when it does not fit into the day or the month. Nothing used is no entry.

    `lazily` spares a question the wait for the disk where the transaction writes nothing else: nobody was paid yet.
    """
    if use.tokens > 0:
        await _enter(conn, use, "use_tokens_lazily" if lazily else "use_tokens")


async def _enter(conn: Connection, use: TokenUse, query: str, *, reserved: bool = False) -> uuid.UUID:
    entry = uuid.uuid4()
    await conn.execute(_SQL[query], entry, use.model, use.purpose, use.tokens, use.job, reserved, use.prompt)
    return entry


@dataclass(slots=True)
class Spending:
    """What a reserved call came to: set `tokens` when it is known."""

    tokens: int | None = None


@asynccontextmanager
async def reserved_tokens(connect: Connect, bound: TokenUse) -> AsyncIterator[Spending]:
    """Around a call that costs tokens before they are known: `bound` is taken first, the difference given back after.

    Refused when the bound does not fit, so calls that race cannot pass a limit together. A call that fails with one of
    our errors has cost nothing. One that was cancelled, or died with its process, keeps its reservation: it may have
    been made.
    """
    async with connect() as conn:
        reservation = await _enter(conn, bound, "use_tokens", reserved=True)
    spending = Spending()
    try:
        yield spending
    except DreamHubError:
        spending.tokens = 0
        raise
    finally:
        if spending.tokens is not None:
            async with connect() as conn:
                await conn.execute(_SQL["settle_tokens"], reservation, spending.tokens - bound.tokens)


def _read_usage(quota: dict[str, Any], today: date) -> QuotaUsage:
    counted = date.fromisoformat(quota["day"])
    same_month = (counted.year, counted.month) == (today.year, today.month)
    return QuotaUsage(
        limits=Limits(
            documents=quota["max_documents"],
            chunks=quota["max_chunks"],
            storage_bytes=quota["max_storage"],
            tokens_per_day=quota["max_tokens_day"],
            tokens_per_month=quota["max_tokens_month"],
            concurrent_jobs=quota["max_concurrent_jobs"],
            queued_jobs=quota["max_queued_jobs"],
        ),
        suspended=quota["suspended"],
        documents=quota["documents"],
        chunks=quota["chunks"],
        storage_bytes=quota["storage"],
        tokens_today=quota["tokens_day"] if counted == today else 0,
        tokens_month=quota["tokens_month"] if same_month else 0,
        queued_jobs=quota["queued_jobs"],
        today=today,
    )

"""The wire's part about the caller's tenant: who it is, what it may hold and use, what it holds and has used."""

from typing import Literal

from pydantic import AwareDatetime

from dreamhub_client.wire import Wire

Scope = Literal["read", "write", "approve"]
QuotaName = Literal["documents", "chunks", "storage", "tokensPerDay", "tokensPerMonth", "queuedJobs", "concurrentJobs"]
Purpose = Literal["ingest", "search", "answer"]


class TenantModels(Wire):
    embedding: str
    chat: str


class TenantUsage(Wire):
    """As the platform last looked; `GET /usage` has the figures of now, and the limits."""

    documents: int
    chunks: int
    storage_bytes: int
    tokens_today: int
    tokens_month: int
    running_jobs: int
    queued_jobs: int
    observed_time: AwareDatetime | None = None


class TenantSelf(Wire):
    """The caller's tenant, and what the caller may do in it."""

    name: str
    display_name: str
    phase: str
    suspended: bool
    models: TenantModels
    subject: str
    """Who the token says the caller is: an OIDC subject or a service account's full name."""
    scopes: tuple[Scope, ...]
    usage: TenantUsage | None = None
    """None until the platform has looked for the first time."""


class QuotaUse(Wire):
    """One quota of the plan. Storage is in bytes; the two of jobs count those that wait or run, and those that run."""

    quota: QuotaName
    used: int
    limit: int | None = None
    """None is no limit."""
    resets_at: AwareDatetime | None = None
    """Of tokens: when `used` starts again at nothing."""


class TokenUse(Wire):
    """What one model was used for since midnight and since the first of the month, UTC."""

    model: str
    purpose: Purpose
    today: int
    month: int


class Usage(Wire):
    """What the tenant holds and has used, and the limits of its plan."""

    suspended: bool
    """New documents and new ingest jobs are refused; everything else goes on."""
    quotas: tuple[QuotaUse, ...]
    """Each once."""
    tokens: tuple[TokenUse, ...] = ()
    """Of this month, the largest first."""

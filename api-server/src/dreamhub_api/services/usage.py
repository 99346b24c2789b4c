"""What a tenant holds and has used, beside the limits of its plan: read from where it is enforced."""

from collections.abc import Callable, Collection
from datetime import UTC, date, datetime, time

from dreamhub import names
from dreamhub.crd.ingest_job import IngestJob
from dreamhub.sql.quota import QuotaUsage, TokenTotal, fetch_own_usage, fetch_token_totals
from dreamhub.sql.refusals import next_day, next_month
from dreamhub_api.services.sessions import Sessions
from dreamhub_client.tenants import QuotaUse, TokenUse, Usage


class UsageService:
    """`list_jobs` reads the watch cache of IngestJobs by namespace."""

    def __init__(self, sessions: Sessions, list_jobs: Callable[[str], Collection[IngestJob]]) -> None:
        self._sessions = sessions
        self._list_jobs = list_jobs

    async def fetch(self, tenant: str) -> Usage:
        async with self._sessions.open(tenant, readonly=True) as session:
            usage = await fetch_own_usage(session.conn)
            tokens = await fetch_token_totals(session.conn)
        jobs = self._list_jobs(names.namespace(tenant))
        return build_usage(usage, tokens, sum(job.status.phase == "Running" for job in jobs))


def build_usage(usage: QuotaUsage, tokens: Collection[TokenTotal], running: int) -> Usage:
    limits, tomorrow, first = usage.limits, _midnight(next_day(usage.today)), _midnight(next_month(usage.today))
    return Usage(
        suspended=usage.suspended,
        quotas=(
            QuotaUse(quota="documents", used=usage.documents, limit=limits.documents),
            QuotaUse(quota="chunks", used=usage.chunks, limit=limits.chunks),
            QuotaUse(quota="storage", used=usage.storage_bytes, limit=limits.storage_bytes),
            QuotaUse(quota="tokensPerDay", used=usage.tokens_today, limit=limits.tokens_per_day, resets_at=tomorrow),
            QuotaUse(quota="tokensPerMonth", used=usage.tokens_month, limit=limits.tokens_per_month, resets_at=first),
            QuotaUse(quota="queuedJobs", used=usage.queued_jobs, limit=limits.queued_jobs),
            QuotaUse(quota="concurrentJobs", used=running, limit=limits.concurrent_jobs),
        ),
        tokens=tuple(
            TokenUse(model=total.model, purpose=total.purpose, today=total.today, month=total.month) for total in tokens
        ),
    )


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)

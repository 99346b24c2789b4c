"""Limits, usage and queues as the database would keep them, in memory."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import date

from dreamhub.errors import UnavailableError
from dreamhub.sql.quota import Admission, Limits, QuotaUsage
from dreamhub.sql.reservations import Shortage

TODAY = date(2026, 3, 1)
EMPTY = QuotaUsage(
    limits=Limits(),
    suspended=False,
    documents=0,
    chunks=0,
    storage_bytes=0,
    tokens_today=0,
    tokens_month=0,
    queued_jobs=0,
    today=TODAY,
)


class MemoryQuotas:
    def __init__(self) -> None:
        self.usage: dict[str, QuotaUsage] = {"acme": EMPTY}
        self.rows: dict[str, Admission] = {}
        self.room = 1000
        self.locked: set[str] = set()
        """Tenants whose rows somebody holds."""
        self.asked: list[str] = []
        self.kept: dict[str, int] = {}
        self.most_tokens: int | None = None

    async def set_limits(self, tenant: str, limits: Limits, *, suspended: bool) -> None:
        self.asked.append(f"set {tenant}")
        self.usage[tenant] = replace(self.usage[tenant], limits=limits, suspended=suspended)

    async def fetch_usage(self, tenants: Collection[str]) -> Mapping[str, QuotaUsage]:
        self.asked.append(f"usage {','.join(tenants)}")
        return {tenant: self.usage[tenant] for tenant in tenants if tenant in self.usage}

    async def fetch_admissions(self, tenants: Collection[str]) -> Mapping[str, Sequence[Admission]]:
        return {tenant: tuple(self.rows.values()) for tenant in tenants if self.rows}

    async def admit_jobs(self, tenant: str, jobs: Mapping[str, str]) -> frozenset[str]:
        self.asked.append(f"admit {len(jobs)} of {tenant}")
        for name, uid in jobs.items():
            if name in self.rows or len(self.rows) < self.room:
                self.rows[name] = Admission(name, uid, 0)
        return frozenset(jobs.keys() & self.rows.keys())

    async def release_jobs(self, tenant: str, names: Collection[str]) -> None:
        self.asked.append(f"release {','.join(names)} of {tenant}")
        if tenant in self.locked:
            raise UnavailableError("locked")
        for name in names:
            self.rows.pop(name, None)

    async def reserve_tokens(self, tenant: str, uid: str, tokens: int) -> Shortage | None:
        self.asked.append(f"reserve {tokens} for {uid} of {tenant}")
        kept = sum(self.kept.values()) - self.kept.get(uid, 0)
        if self.most_tokens is not None and kept + tokens > self.most_tokens:
            return Shortage("tokensPerDay", self.most_tokens, 0, kept, tokens, TODAY)
        self.kept[uid] = tokens
        return None

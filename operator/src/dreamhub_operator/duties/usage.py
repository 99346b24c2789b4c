"""A tenant's limits in the database, and what it has used in its status."""

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from dreamhub.crd.tenant import Tenant, TenantCondition, TenantReason
from dreamhub.names import namespace
from dreamhub.sql.quota import QuotaUsage
from dreamhub_operator import events
from dreamhub_operator.context import Context
from dreamhub_operator.duties.quota import build_limits, build_usage, choose_usage, describe, find_reached
from dreamhub_operator.ports import Quotas
from dreamhub_operator.reconcile.queues import Queues
from dreamhub_operator.reconcile.tenant_status import Failure, Report, build_condition
from dreamhub_operator.watched import Watched

READ_SECONDS = 10.0
"""What was read counts for so long: one query for all tenants, whatever their number."""
LOOK_SECONDS = 30.0
"""How often a tenant's usage is looked at, and limits that somebody has altered are put back."""


@dataclass
class UsageBoard:
    """What all tenants have used, read together."""

    watched: Watched
    quotas: Quotas
    clock: Callable[[], float] = time.monotonic
    _found: dict[str, QuotaUsage] = field(default_factory=dict)
    _read_at: float = float("-inf")
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def find(self, tenant: str) -> QuotaUsage | None:
        """None while it has no tables. Raises TransientError."""
        async with self._lock:
            if self.clock() - self._read_at >= READ_SECONDS:
                self._found = dict(await self.quotas.fetch_usage(list(self.watched.tenant_uids)))
                self._read_at = self.clock()
            elif tenant not in self._found:
                self._found.update(await self.quotas.fetch_usage([tenant]))
        return self._found.get(tenant)

    def put(self, tenant: str, quota: QuotaUsage) -> None:
        self._found[tenant] = quota


@dataclass(frozen=True)
class UsageDuty:
    context: Context
    queues: Queues
    board: UsageBoard
    wake: Callable[[Iterable[str]], None]
    """Called with the UIDs of IngestJobs that should look again."""

    async def perform(self, tenant: Tenant, report: Report) -> float:
        quota = await self.board.find(tenant.metadata.name)
        if quota is None:
            return READ_SECONDS
        quota = await self._set_limits(tenant, quota)
        now = self.context.now()
        condition = self._judge(tenant, quota)
        report.findings.append(condition)
        before = find_condition(tenant)
        flipped = before is None or before.status != condition.status
        running, waiting = self.queues.slots.count(namespace(tenant.metadata.name))
        usage = build_usage(quota, running, waiting, now)
        report.facts["usage"] = choose_usage(tenant.status.usage, usage, now, urgent=flipped)
        await self._announce(tenant, before, condition)
        return LOOK_SECONDS

    async def _set_limits(self, tenant: Tenant, quota: QuotaUsage) -> QuotaUsage:
        """As the spec says, whoever has changed them."""
        limits, suspended = build_limits(tenant.spec.plan), tenant.spec.suspend
        if quota.limits == limits and quota.suspended == suspended:
            return quota
        name = tenant.metadata.name
        await self.context.quotas.set_limits(name, limits, suspended=suspended)
        quota = replace(quota, limits=limits, suspended=suspended)
        self.board.put(name, quota)
        self.wake(self.queues.reconsider(name))
        return quota

    def _judge(self, tenant: Tenant, quota: QuotaUsage) -> TenantCondition:
        reached = find_reached(quota)
        why = Failure(TenantReason.WITHIN_QUOTA, "no limit is reached")
        if reached is not None:
            why = Failure(TenantReason.QUOTA_REACHED, describe(reached))
        return build_condition(tenant, "WithinQuota", why, self.context.now(), holds=reached is None)

    async def _announce(self, tenant: Tenant, before: TenantCondition | None, condition: TenantCondition) -> None:
        """A limit that is reached, and one that is not any more."""
        was_within = before is None or before.status == "True"
        is_within = condition.status == "True"
        if was_within != is_within:
            reason, cluster = condition.reason.value, self.context.cluster
            await events.emit(cluster, tenant, "Normal" if is_within else "Warning", reason, condition.message)


def find_condition(tenant: Tenant) -> TenantCondition | None:
    return next((condition for condition in tenant.status.conditions if condition.type == "WithinQuota"), None)

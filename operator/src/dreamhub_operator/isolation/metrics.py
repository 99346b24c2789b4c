"""What Prometheus is told of the walls. Tenants are counted, never named."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Gauge

from dreamhub.crd.tenant import Tenant
from dreamhub.domain.conditions import Status, is_true
from dreamhub.names import CANARY_TENANT
from dreamhub_operator.isolation.findings import CONDITION
from dreamhub_operator.isolation.outcome import Family


class IsolationMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self.failures = Counter(
            "dreamhub_isolation_probe_failures",
            "Attempts of one tenant on another that got through.",
            ["probe"],
            registry=registry,
        )
        for family in get_args(Family):
            self.failures.labels(family)  # 0 from the start, so that the first one is an increase
        self.tenants = Gauge(
            "dreamhub_isolation_tenants",
            "Ready tenants by the status of their condition IsolationVerified.",
            ["status"],
            registry=registry,
        )
        self.oldest = Gauge(
            "dreamhub_isolation_oldest_verification_seconds",
            "Age of the oldest verification among ready tenants.",
            registry=registry,
        )

    def count_failures(self, failed: Mapping[Family, int]) -> None:
        for family, count in failed.items():
            self.failures.labels(family).inc(count)

    def show(self, tenants: Iterable[Tenant], now: datetime) -> None:
        """Set the gauges from what the statuses say."""
        probed = [tenant for tenant in tenants if _is_probed(tenant)]
        statuses = [_status(tenant) for tenant in probed]
        for status in get_args(Status):
            self.tenants.labels(status).set(statuses.count(status))
        checked = [tenant.status.isolation.checked_time for tenant in probed if tenant.status.isolation is not None]
        self.oldest.set(max(((now - moment).total_seconds() for moment in checked if moment is not None), default=0))


def _is_probed(tenant: Tenant) -> bool:
    """Whether a verification can be expected of it."""
    gone, canary = tenant.metadata.deletion_timestamp is not None, tenant.metadata.name == CANARY_TENANT
    return not gone and not canary and is_true(tenant.status.conditions, "Ready")


def _status(tenant: Tenant) -> Status:
    return next((item.status for item in tenant.status.conditions if item.type == CONDITION), "Unknown")

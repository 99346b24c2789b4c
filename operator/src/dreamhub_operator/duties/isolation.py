"""Having a tenant's walls tried when it is time, and telling in its status what came of it."""

from dataclasses import dataclass
from typing import Literal

from dreamhub.crd.tenant import Tenant, TenantCondition
from dreamhub_operator import events
from dreamhub_operator.context import Context
from dreamhub_operator.isolation.findings import CONDITION, build_finding, build_unprobed
from dreamhub_operator.isolation.round import is_canary
from dreamhub_operator.isolation.verifier import Verifier
from dreamhub_operator.reconcile.tenant_status import Report

LOOK_SECONDS = 30.0
"""How soon a request by annotation is seen at the latest; the watch shows it at once."""
OFF = "verification is switched off (isolation.enabled in the chart's values)"
CANARY = "this is the Tenant that others are tried against; it holds nobody's data"


@dataclass(frozen=True)
class IsolationDuty:
    context: Context
    verifier: Verifier

    async def perform(self, tenant: Tenant, report: Report) -> float | None:
        settings, now = self.context.settings.isolation, self.context.now()
        if not settings.enabled or is_canary(tenant):
            if settings.enabled or any(item.type == CONDITION for item in tenant.status.conditions):
                report.findings.append(build_unprobed(tenant, CANARY if is_canary(tenant) else OFF, now))
            return None
        left = self.verifier.consider(tenant)
        done = self.verifier.latest(tenant)
        if done is not None and done.is_conclusive:
            report.facts["isolation"] = done.isolation
        finding = build_finding(tenant, done, settings.interval, now)
        if finding is not None:
            report.findings.append(finding)
            await self._announce(tenant, finding)
        return min(left, LOOK_SECONDS)

    async def _announce(self, tenant: Tenant, finding: TenantCondition) -> None:
        """An Event for each change to True or False."""
        before = next((item for item in tenant.status.conditions if item.type == CONDITION), None)
        if finding.status == "Unknown" or (before is not None and before.status == finding.status):
            return
        kind: Literal["Normal", "Warning"] = "Normal" if finding.status == "True" else "Warning"
        await events.emit(self.context.cluster, tenant, kind, finding.reason.value, finding.message)

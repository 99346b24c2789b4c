"""What all duties have in common."""

from typing import Protocol

from dreamhub.crd.tenant import Tenant
from dreamhub_operator.reconcile.tenant_status import Report


class Duty(Protocol):
    """Something that is seen to once a tenant is provisioned.

    It writes what it came to know into `report.facts` (a field of TenantStatus by its name) and `report.findings`
    (conditions of types that are its own). What it does not write stays in the status as it was.
    """

    async def perform(self, tenant: Tenant, report: Report) -> float | None:
        """Seconds until it wants to be called again, None when the usual pace will do.

        An expected failure becomes a finding. What it raises as DreamHubError is logged and counted, and does not keep
        the other duties from running.
        """

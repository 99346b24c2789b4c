"""A Tenant as its IngestJobs see it. Pure."""

from dreamhub.crd.tenant import Tenant, TenantCondition, TenantConditionType
from dreamhub.crd.tenant_spec import Approval
from dreamhub.domain.conditions import is_true
from dreamhub.domain.cost import Threshold
from dreamhub_operator.reconcile.ingest_plan import TenantView
from dreamhub_operator.reconcile.quantities import parse_quantity


def view_tenant(tenant: Tenant) -> TenantView:
    ready, isolated = _find(tenant, "Ready"), _find(tenant, "IsolationVerified")
    deleting = tenant.metadata.deletion_timestamp is not None
    return TenantView(
        name=tenant.metadata.name,
        ready=is_true(tenant.status.conditions, "Ready") and not deleting,
        suspended=tenant.spec.suspend,
        message="it is being deleted" if deleting else ready.message if ready else "it is being provisioned",
        embedding_model=tenant.spec.models.embedding,
        breach=isolated.message if isolated is not None and isolated.status == "False" else None,
        job_limit=tenant.spec.plan.concurrent_jobs,
        queue_limit=tenant.spec.plan.queued_jobs,
        approval=_threshold(tenant.spec.approval),
        limits_tokens=tenant.spec.plan.tokens_per_day is not None or tenant.spec.plan.tokens_per_month is not None,
    )


def _threshold(approval: Approval) -> Threshold:
    return Threshold(
        tokens=approval.tokens_above,
        cost=parse_quantity(str(approval.cost_above)) if approval.cost_above is not None else None,
    )


def _find(tenant: Tenant, kind: TenantConditionType) -> TenantCondition | None:
    return next((condition for condition in tenant.status.conditions if condition.type == kind), None)

"""From what a reconcile found and failed at to a Tenant's status. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from pydantic import BaseModel

from dreamhub.crd.tenant import (
    Deletion,
    Drift,
    NamespaceRef,
    Tenant,
    TenantCondition,
    TenantConditionType,
    TenantPhase,
    TenantReason,
    TenantStatus,
)
from dreamhub.domain.conditions import merge_conditions
from dreamhub_operator.kinds import Manifest
from dreamhub_operator.reconcile.tenant_plan import Inside, Obstacle

Part = Literal["NamespaceReady", "DatabaseReady", "CacheReady", "CredentialsFresh"]
PARTS: tuple[Part, ...] = ("NamespaceReady", "DatabaseReady", "CacheReady", "CredentialsFresh")

_WAITING: Mapping[Part, TenantReason] = {
    "NamespaceReady": TenantReason.WAITING_FOR_NAMESPACE,
    "DatabaseReady": TenantReason.WAITING_FOR_DATABASE,
    "CacheReady": TenantReason.PROVISIONING,
    "CredentialsFresh": TenantReason.WAITING_FOR_CREDENTIALS,
}
_MESSAGE_LENGTH = 1024

ORPHANED = frozenset({TenantReason.NAMESPACE_FOREIGN, TenantReason.STORES_FOREIGN, TenantReason.DEFINITION_DELETED})
"""What bears the Tenant's name is not provably its own, or not its own to destroy: it touches nothing."""


@dataclass(frozen=True, slots=True)
class Failure:
    reason: TenantReason
    message: str


@dataclass(frozen=True, slots=True)
class Correction:
    """An object that somebody had changed and that was set back."""

    label: str
    fields: tuple[str, ...]
    editor: str | None


@dataclass(slots=True)
class Report:
    """What one reconcile came to know."""

    namespace: Manifest | None = None
    owned: bool = False
    """Whether everything under the tenant's name outside of Kubernetes is this Tenant's."""
    done: set[Part] = field(default_factory=set)
    failures: dict[Part, Failure] = field(default_factory=dict)
    obstacle: Obstacle | None = None
    corrections: list[Correction] = field(default_factory=list)
    foreign: tuple[str, ...] = ()
    """Objects of others that may open the namespace."""
    facts: dict[str, BaseModel] = field(default_factory=dict)
    """What duties came to know: fields of the status by their names in TenantStatus."""
    findings: list[TenantCondition] = field(default_factory=list)
    """Conditions that duties state."""
    inside: Inside | None = None
    """What the last look found; duties act on it."""


def build_tenant_status(tenant: Tenant, report: Report, now: datetime) -> TenantStatus:
    base = TenantStatus(
        observed_generation=tenant.metadata.generation,
        phase=_phase(tenant, report),
        namespace=_namespace(tenant, report),
        drift=_drift(tenant.status.drift, report, now),
        deletion=None,
        usage=tenant.status.usage,
        credentials=tenant.status.credentials,
        keys=tenant.status.keys,
        isolation=tenant.status.isolation,
        conditions=merge_conditions(tenant.status.conditions, _conditions(tenant, report, now)),
    )
    return base.model_copy(update=report.facts)


def is_ready(report: Report) -> bool:
    return not report.failures and report.obstacle is None and report.done == set(PARTS)


def _phase(tenant: Tenant, report: Report) -> TenantPhase:
    if report.obstacle is not None and report.obstacle.reason in ORPHANED:
        return "Orphaned"
    if is_ready(report):
        return "Suspended" if tenant.spec.suspend else "Active"
    return "Failed" if report.obstacle is not None and not report.obstacle.passes else "Provisioning"


def _namespace(tenant: Tenant, report: Report) -> NamespaceRef | None:
    """The namespace of this Tenant: its UID is recorded only when it and the stores are provably the Tenant's own.

    The API server lets nobody in before that: a namesake's documents are reached by the same name.
    """
    if report.namespace is None or not report.owned or "NamespaceReady" not in report.done:
        return tenant.status.namespace
    metadata = report.namespace["metadata"]
    return NamespaceRef(name=metadata["name"], uid=metadata["uid"])


def _drift(old: Drift | None, report: Report, now: datetime) -> Drift | None:
    if old is None and not report.corrections and not report.foreign:
        return None
    drift = (old or Drift()).model_copy(update={"foreign": report.foreign})
    if not report.corrections:
        return drift
    last = report.corrections[-1]
    return drift.model_copy(
        update={
            "corrected": drift.corrected + len(report.corrections),
            "last_object": last.label,
            "last_fields": ", ".join(last.fields)[:_MESSAGE_LENGTH],
            "last_time": now,
        }
    )


def _conditions(tenant: Tenant, report: Report, now: datetime) -> list[TenantCondition]:
    ready = is_ready(report)
    overall = _overall(tenant, report, ready=ready)
    stalled = report.obstacle is not None and not report.obstacle.passes
    summary: dict[TenantConditionType, bool] = {
        "Ready": ready,
        "Reconciling": not ready and not stalled,
        "Stalled": stalled,
    }
    found = [build_condition(tenant, kind, overall, now, holds=holds) for kind, holds in summary.items()]
    found += [_part(tenant, part, report, now) for part in PARTS]
    stated = {condition.type: condition for condition in [*found, *report.findings]}
    kept = [condition for condition in tenant.status.conditions if condition.type not in stated]
    return [*kept, *stated.values()]


def _overall(tenant: Tenant, report: Report, *, ready: bool) -> Failure:
    if report.obstacle is not None:
        return Failure(report.obstacle.reason, report.obstacle.message)
    if report.failures:
        return next(iter(report.failures.values()))
    if not ready:
        return Failure(TenantReason.PROVISIONING, "the tenant is being provisioned")
    if tenant.spec.suspend:
        return Failure(TenantReason.SUSPENDED, "new IngestJobs wait because spec.suspend is true")
    return Failure(TenantReason.PROVISIONED, "the tenant can be used")


def _part(tenant: Tenant, part: Part, report: Report, now: datetime) -> TenantCondition:
    failure = report.failures.get(part)
    if failure is None and part in report.done:
        return build_condition(tenant, part, Failure(TenantReason.PROVISIONED, ""), now, holds=True)
    waiting = Failure(_WAITING[part], "not made yet")
    return build_condition(tenant, part, failure or waiting, now, holds=False)


def build_condition(
    tenant: Tenant, kind: TenantConditionType, why: Failure, now: datetime, *, holds: bool
) -> TenantCondition:
    return TenantCondition(
        type=kind,
        status="True" if holds else "False",
        reason=why.reason,
        message=why.message[:_MESSAGE_LENGTH],
        observed_generation=tenant.metadata.generation,
        last_transition_time=now,
    )


@dataclass(frozen=True, slots=True)
class DeletionNews:
    """How a deletion stands: what blocks it, or what it waits for."""

    reason: TenantReason
    blocked_by: tuple[str, ...] = ()
    progress: str = ""


def build_deleting_status(tenant: Tenant, news: DeletionNews, now: datetime) -> TenantStatus:
    """The status of a Tenant that is on its way out, or that may not go yet."""
    blocked = bool(news.blocked_by)
    why = Failure(news.reason, "deletion waits: " + "; ".join(news.blocked_by) if blocked else news.progress)
    stated = [
        build_condition(tenant, "Ready", why, now, holds=False),
        build_condition(tenant, "Reconciling", why, now, holds=not blocked),
        build_condition(tenant, "Stalled", why, now, holds=blocked),
    ]
    return tenant.status.model_copy(
        update={
            "observed_generation": tenant.metadata.generation,
            "phase": "Orphaned" if news.reason in ORPHANED else "Deleting",
            "deletion": Deletion(blocked_by=news.blocked_by[:10]),
            "conditions": merge_conditions(tenant.status.conditions, stated),
        }
    )

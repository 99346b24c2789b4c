"""One reconcile of a Tenant: observe, plan, apply, again until nothing is left to do, then write the status."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field

import structlog

from dreamhub.crd.tenant import NamespaceRef, Tenant, TenantReason, TenantStatus
from dreamhub.errors import ConflictError, DreamHubError, ForbiddenError, InvalidInputError, TransientError
from dreamhub_operator import events
from dreamhub_operator.cluster import ObjectKey, key_of
from dreamhub_operator.context import Context
from dreamhub_operator.duties.duty import Duty
from dreamhub_operator.kinds import REFLECTED, TENANT
from dreamhub_operator.reconcile.foreign import ForeignObjects
from dreamhub_operator.reconcile.pace import Pace
from dreamhub_operator.reconcile.statuses import build_patch, fence
from dreamhub_operator.reconcile.store_owners import claim_stores
from dreamhub_operator.reconcile.tenant_look import TenantLook
from dreamhub_operator.reconcile.tenant_plan import (
    FINALIZER,
    Action,
    AddFinalizer,
    ClaimStores,
    ExpectNamespace,
    ProvisionDatabase,
    Remove,
    SetCacheUser,
    StoreKeys,
    TenantObserved,
    TenantPlan,
    Write,
    may_trust_memory,
    namespace_name,
    plan_tenant,
)
from dreamhub_operator.reconcile.tenant_status import (
    PARTS,
    Correction,
    Failure,
    Part,
    Report,
    build_tenant_status,
    is_ready,
)
from dreamhub_operator.reconcile.tenant_stores import cache_label, database_label
from dreamhub_operator.vault import KeyVault

MAX_ROUNDS = 6

log = structlog.get_logger()


@dataclass(frozen=True)
class TenantReconciler:
    context: Context
    vault: KeyVault
    look: TenantLook
    foreign: ForeignObjects
    pace: Pace = field(default_factory=Pace)
    duties: Sequence[Duty] = ()
    untold: dict[str, list[Correction]] = field(default_factory=dict)
    """By the Tenant's UID: what was set back when its status could not be written, as somebody else just did."""

    async def reconcile(self, tenant: Tenant) -> float:
        """Seconds until the next look: drift is found by looking."""
        uid = tenant.metadata.uid
        report = Report(corrections=self.untold.pop(uid, []))
        changed = tenant.status.observed_generation != tenant.metadata.generation
        tenant = await self._converge(tenant, report)
        soon = await self._see_to_duties(tenant, report) if is_ready(report) else None
        report.foreign = self.foreign.find(tenant)
        status = build_tenant_status(tenant, report, self.context.now())
        try:
            await write_tenant_status(self.context, tenant, status)
        except DreamHubError:
            self.untold[uid] = report.corrections
            raise
        await self._announce(tenant, status, report)
        await self.foreign.tell(tenant, report.foreign)
        self.context.metrics.tenants_reconciled.set(self.look.known)
        jitter = secrets.randbelow(1000) / 1000
        again = self.pace.next_look(uid, report, changed=changed, jitter=jitter)
        again = again if again is not None else self.context.settings.drift_seconds
        return min(again, soon) if soon is not None else again

    def forget(self, tenant: Tenant) -> None:
        """It is gone."""
        self.look.forget(tenant)
        self.context.metrics.tenants_reconciled.set(self.look.known)
        self.pace.forget(tenant.metadata.uid)
        self.untold.pop(tenant.metadata.uid, None)
        self.foreign.forget(tenant.metadata.uid)

    async def _see_to_duties(self, tenant: Tenant, report: Report) -> float | None:
        """Seconds until the first of them wants to be called again."""
        wishes: list[float] = []
        for duty in self.duties:
            try:
                wish = await duty.perform(tenant, report)
            except DreamHubError as error:
                name = type(duty).__name__
                log.warning("duty failed", tenant=tenant.metadata.name, duty=name, code=error.code, error=error.message)
                self.context.metrics.reconcile_errors.labels("Tenant", error.code).inc()
            else:
                wishes += [wish] if wish is not None else []
        return min(wishes, default=None)

    async def _converge(self, tenant: Tenant, report: Report) -> Tenant:
        for _ in range(MAX_ROUNDS):
            try:
                observed, plan = await self._plan(tenant)
            except DreamHubError as error:
                report.failures["NamespaceReady"] = _failure("NamespaceReady", error)
                return tenant
            report.namespace, report.obstacle = observed.namespace, plan.obstacle
            report.owned = observed.inside is not None and observed.inside.are_stores_ours(tenant)
            for action in plan.actions:
                tenant = await self._attempt(tenant, action, report)
            if report.failures or not plan.actions:
                _conclude(report, observed)
                return tenant
        return tenant

    async def _plan(self, tenant: Tenant) -> tuple[TenantObserved, TenantPlan]:
        """From memory as long as nothing is to be done, or only something to be added; else from live reads."""
        desired = self.look.desired(tenant)
        if not self.look.is_live_due(tenant):
            recalled = await self.look.recall(tenant)
            plan = plan_tenant(tenant, recalled, desired)
            if may_trust_memory(tenant, plan):
                return recalled, plan
        live = await self.look.observe(tenant)
        return live, plan_tenant(tenant, live, desired)

    async def _attempt(self, tenant: Tenant, action: Action, report: Report) -> Tenant:
        """Do it; a failure is noted with the part it belongs to, and the other parts go on."""
        part = _part_of(action)
        if part in report.failures:
            return tenant
        try:
            return await self._do(tenant, action, report)
        except DreamHubError as error:
            report.failures[part] = _failure(part, error)
            self.context.metrics.reconcile_errors.labels("Tenant", error.code).inc()
            return tenant

    async def _do(self, tenant: Tenant, action: Action, report: Report) -> Tenant:
        name, uid = tenant.metadata.name, tenant.metadata.uid
        match action:
            case AddFinalizer():
                return await self._add_finalizer(tenant)
            case Write():
                await self._write(action, report)
            case ExpectNamespace():
                return await record_namespace(self.context, tenant, "")
            case Remove(key, object_uid):
                await self.context.cluster.delete(key, object_uid)
            case ClaimStores():
                await claim_stores(self.context.database, self.vault, tenant)
            case StoreKeys(ring):
                await self.vault.store(name, ring, uid)
            case ProvisionDatabase(credentials, changed):
                changed = await self.look.stores.provision(tenant, credentials, changed)
                self._count(report, database_label(tenant), changed)
            case SetCacheUser(credentials, changed):
                await self.look.stores.set_user(tenant, credentials)
                self._count(report, cache_label(tenant), changed)
        return tenant

    async def _write(self, action: Write, report: Report) -> None:
        cluster, manifest = self.context.cluster, action.manifest
        replaces = "resourceVersion" in manifest["metadata"]
        answer = await (cluster.replace(manifest) if replaces else cluster.apply(manifest))
        key = key_of(manifest)
        if key.kind in REFLECTED:
            self.context.children.put(key.kind, answer)
        self._count(report, key.label, action.changed, action.editor)

    def _count(self, report: Report, label: str, changed: tuple[str, ...], editor: str | None = None) -> None:
        """Something that others had changed was set back."""
        if changed:
            report.corrections.append(Correction(label, changed, editor))
            self.context.metrics.drift_corrected.labels(label.partition("/")[0]).inc()

    async def _add_finalizer(self, tenant: Tenant) -> Tenant:
        return await write_finalizers(self.context, tenant, (*tenant.metadata.finalizers, FINALIZER))

    async def _announce(self, tenant: Tenant, status: TenantStatus, report: Report) -> None:
        cluster = self.context.cluster
        for correction in report.corrections:
            by = f" by {correction.editor}" if correction.editor else ""
            message = f"{correction.label}: changed{by} and set back: {', '.join(correction.fields)}"
            log.warning("drift", tenant=tenant.metadata.name, object=correction.label, fields=correction.fields)
            await events.emit(cluster, tenant, "Warning", "DriftCorrected", message)
        ready = next(c for c in status.conditions if c.type == "Ready")
        before = next((c for c in tenant.status.conditions if c.type == "Ready"), None)
        if before is None or before.reason != ready.reason:
            good = ready.status == "True" or ready.reason is TenantReason.PROVISIONING
            log.info("tenant", name=tenant.metadata.name, phase=status.phase, reason=ready.reason.value)
            await events.emit(cluster, tenant, "Normal" if good else "Warning", ready.reason.value, ready.message)


def _conclude(report: Report, observed: TenantObserved) -> None:
    """Parts that nothing was left to do for, and nothing failed, are done."""
    report.inside = observed.inside
    if observed.inside is None and report.obstacle is None:
        return
    blocked = report.obstacle is not None and report.obstacle.reason is not TenantReason.UNKNOWN_MODEL
    report.done = set() if blocked else set(PARTS) - report.failures.keys()


def _part_of(action: Action) -> Part:
    match action:
        case Write(manifest) if manifest["kind"] == "Secret":
            return "CredentialsFresh"
        case StoreKeys():
            return "CredentialsFresh"
        case ClaimStores() | ProvisionDatabase():
            return "DatabaseReady"
        case SetCacheUser():
            return "CacheReady"
        case _:
            return "NamespaceReady"


def _failure(part: Part, error: DreamHubError) -> Failure:
    if not isinstance(error, TransientError | ForbiddenError | InvalidInputError | ConflictError):
        return Failure(TenantReason.INTERNAL_ERROR, error.message)
    reasons: dict[Part, TenantReason] = {
        "DatabaseReady": TenantReason.DATABASE_UNAVAILABLE,
        "CacheReady": TenantReason.CACHE_UNAVAILABLE,
    }
    return Failure(reasons.get(part, TenantReason.CLUSTER_REFUSED), error.message)


async def write_tenant_status(context: Context, tenant: Tenant, status: TenantStatus) -> None:
    patch = build_patch(tenant.status, status)
    if patch:
        key = ObjectKey(TENANT, tenant.metadata.name)
        body = {"metadata": fence(tenant.metadata), "status": patch}
        context.watched.put_tenant(await context.cluster.patch(key, body, subresource="status"))


async def record_namespace(context: Context, tenant: Tenant, uid: str) -> Tenant:
    """Which namespace is this Tenant's, before it is made or deleted. The Tenant as it is then."""
    reference = NamespaceRef(name=namespace_name(tenant), uid=uid)
    await write_tenant_status(context, tenant, tenant.status.model_copy(update={"namespace": reference}))
    return context.watched.tenants.get(tenant.metadata.uid, tenant)


async def write_finalizers(context: Context, tenant: Tenant, finalizers: tuple[str, ...]) -> Tenant:
    """Set the list of finalizers, against the version that was read: two writers must not undo each other."""
    metadata = {"finalizers": list(finalizers), "resourceVersion": tenant.metadata.resource_version}
    key = ObjectKey(TENANT, tenant.metadata.name)
    answer = await context.cluster.patch(key, {"metadata": metadata})
    context.watched.put_tenant(answer)
    return Tenant.model_validate(answer)

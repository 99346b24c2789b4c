"""One reconcile of a Tenant: observe, plan, apply, again until nothing is left to do, then write the status."""

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import structlog

from dreamhub.crd.tenant import Tenant, TenantReason, TenantStatus
from dreamhub.domain.keys import DataKeys
from dreamhub.errors import ConflictError, DreamHubError, ForbiddenError, InvalidInputError, TransientError
from dreamhub.names import CREDENTIALS_SECRET
from dreamhub_operator import events
from dreamhub_operator.cluster import ObjectKey, key_of
from dreamhub_operator.context import Context
from dreamhub_operator.desired.credentials import Passwords, read_passwords
from dreamhub_operator.desired.namespace import build_operator_binding, build_owner_binding, build_service_accounts
from dreamhub_operator.desired.network import build_network_policies
from dreamhub_operator.desired.ownership import owner_selector
from dreamhub_operator.desired.quota import build_limits, build_quota
from dreamhub_operator.duties.duty import Duty
from dreamhub_operator.kinds import SECRET, TENANT, TENANT_CHILDREN, Manifest
from dreamhub_operator.reconcile.ledger import Ledger
from dreamhub_operator.reconcile.pace import Pace
from dreamhub_operator.reconcile.statuses import build_patch, fence
from dreamhub_operator.reconcile.tenant_plan import (
    FINALIZER,
    Action,
    AddFinalizer,
    Desired,
    Inside,
    ProvisionDatabase,
    Remove,
    SetCacheUser,
    StoreKeys,
    TenantObserved,
    Write,
    namespace_key,
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
from dreamhub_operator.vault import KeyVault

MAX_ROUNDS = 6
PASSWORD_BYTES = 32
DATABASE_SECONDS = 600.0
"""How long a provisioned database is trusted. The cache is not: Redis forgets its users when it restarts."""

log = structlog.get_logger()


@dataclass(frozen=True)
class TenantReconciler:
    context: Context
    vault: KeyVault
    database: Ledger = field(default_factory=lambda: Ledger(DATABASE_SECONDS))
    cache: Ledger = field(default_factory=lambda: Ledger(1.0))
    pace: Pace = field(default_factory=Pace)
    duties: Sequence[Duty] = ()

    async def reconcile(self, tenant: Tenant) -> float:
        """Seconds until the next look: drift is found by looking."""
        report = Report()
        changed = tenant.status.observed_generation != tenant.metadata.generation
        tenant = await self._converge(tenant, report)
        soon = await self._see_to_duties(tenant, report) if is_ready(report) else None
        status = build_tenant_status(tenant, report, self.context.now())
        await write_tenant_status(self.context, tenant, status)
        await self._announce(tenant, status, report)
        jitter = secrets.randbelow(1000) / 1000
        again = self.pace.next_look(tenant.metadata.uid, report, changed=changed, jitter=jitter)
        again = again if again is not None else self.context.settings.drift_seconds
        return min(again, soon) if soon is not None else again

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
                observed = await self._observe(tenant)
            except DreamHubError as error:
                report.failures["NamespaceReady"] = _failure("NamespaceReady", error)
                return tenant
            plan = plan_tenant(tenant, observed, self._desired(tenant))
            report.namespace, report.obstacle = observed.namespace, plan.obstacle
            for action in plan.actions:
                tenant = await self._attempt(tenant, action, report)
            if report.failures or not plan.actions:
                _conclude(report, observed)
                return tenant
        return tenant

    async def _observe(self, tenant: Tenant) -> TenantObserved:
        cluster = self.context.cluster
        live = await cluster.get(namespace_key(tenant))
        if live is None:
            return TenantObserved()
        binding = await cluster.get(key_of(self._desired(tenant).binding))
        inside = await self._look_inside(tenant) if binding is not None else None
        return TenantObserved(live, binding, inside, self._unknown_model(tenant))

    async def _look_inside(self, tenant: Tenant) -> Inside:
        cluster, name, uid = self.context.cluster, tenant.metadata.name, tenant.metadata.uid
        space, now = namespace_name(tenant), time.monotonic()
        children: dict[ObjectKey, Manifest] = {}
        for kind in TENANT_CHILDREN:
            found = await cluster.list(kind, space, owner_selector(uid))
            children |= {key_of(manifest): manifest for manifest in found}
        credentials = await cluster.get(ObjectKey(SECRET, CREDENTIALS_SECRET, space))
        passwords = read_passwords(credentials)
        return Inside(
            children=children,
            credentials=credentials,
            vault_keys=await self.vault.read(name),
            fresh_passwords=Passwords(secrets.token_urlsafe(PASSWORD_BYTES), secrets.token_urlsafe(PASSWORD_BYTES)),
            fresh_keys=DataKeys.generate().dump(),
            database_current=passwords is not None and self.database.is_current(uid, passwords.database, now),
            cache_current=passwords is not None and self.cache.is_current(uid, passwords.redis, now),
        )

    def _desired(self, tenant: Tenant) -> Desired:
        settings = self.context.settings
        children = [
            *build_service_accounts(tenant),
            build_owner_binding(tenant),
            build_quota(tenant),
            build_limits(tenant),
            *build_network_policies(tenant, settings.egress),
        ]
        return Desired(build_operator_binding(tenant, self.context.subject), children, self.context.addresses)

    def _unknown_model(self, tenant: Tenant) -> str | None:
        models, wanted = self.context.models, tenant.spec.models
        try:
            models.find("embedding", wanted.embedding)
            models.find("chat", wanted.chat)
        except InvalidInputError as error:
            return error.message
        return None

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
            case Remove(key, object_uid):
                await self.context.cluster.delete(key, object_uid)
            case StoreKeys(keys):
                await self.vault.store(name, keys)
            case ProvisionDatabase(password):
                await self.context.database.provision(name, password)
                self.database.record(uid, password, time.monotonic())
            case SetCacheUser(password):
                await self.context.cache.set_user(name, password)
                self.cache.record(uid, password, time.monotonic())
        return tenant

    async def _write(self, action: Write, report: Report) -> None:
        cluster, manifest = self.context.cluster, action.manifest
        replaces = "resourceVersion" in manifest["metadata"]
        await (cluster.replace(manifest) if replaces else cluster.apply(manifest))
        if action.is_drift:
            report.corrections.append(Correction(key_of(manifest).label, action.changed, action.editor))
            self.context.metrics.drift_corrected.labels(manifest["kind"]).inc()

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
        case ProvisionDatabase():
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


async def write_finalizers(context: Context, tenant: Tenant, finalizers: tuple[str, ...]) -> Tenant:
    """Set the list of finalizers, against the version that was read: two writers must not undo each other."""
    metadata = {"finalizers": list(finalizers), "resourceVersion": tenant.metadata.resource_version}
    key = ObjectKey(TENANT, tenant.metadata.name)
    answer = await context.cluster.patch(key, {"metadata": metadata})
    context.watched.put_tenant(answer)
    return Tenant.model_validate(answer)

"""Taking a tenant away, in an order that can be interrupted anywhere and never leaves a way in.

    blocked? -> namespace (fenced by UID) -> cache user -> [documents: database, objects, keys] -> finalizer

What happens to the documents is spec.deletionPolicy: Block refuses while there are any, Retain keeps database, objects
and keys for a Tenant of the same name, Erase destroys them, the keys last.
"""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import structlog

from dreamhub.crd.ingest_job import IngestJob
from dreamhub.crd.tenant import NamespaceRef, Tenant, TenantReason
from dreamhub.errors import ConflictError, DreamHubError
from dreamhub.names import OWNER_UID_LABEL
from dreamhub_operator import events
from dreamhub_operator.context import Context
from dreamhub_operator.kinds import INGEST_JOB, Manifest
from dreamhub_operator.reconcile.ingest_plan import is_final
from dreamhub_operator.reconcile.tenant import write_finalizers, write_tenant_status
from dreamhub_operator.reconcile.tenant_plan import FINALIZER, namespace_key, namespace_name
from dreamhub_operator.reconcile.tenant_status import PARTS, build_deleting_status
from dreamhub_operator.vault import KeyVault

WAIT_SECONDS = 1.0
BLOCKED_SECONDS = 15.0

_AWAY = frozenset(
    {
        TenantReason.CACHE_UNAVAILABLE,
        TenantReason.DATABASE_UNAVAILABLE,
        TenantReason.STORAGE_UNAVAILABLE,
        TenantReason.CLUSTER_REFUSED,
    }
)
"""What a deletion waits for when an error stops it."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class DeletionObserved:
    namespace: Manifest | None
    """None as well when the namespace of this name is another's and never was this Tenant's."""
    documents: int
    unfinished: tuple[str, ...]
    """Names of IngestJobs that have not ended."""


def find_blockers(tenant: Tenant, observed: DeletionObserved) -> tuple[str, ...]:
    """Why the deletion may not begin, or not go on; empty when it may."""
    foreign = _foreign_namespace(tenant, observed.namespace)
    if tenant.spec.deletion_policy != "Block":
        return foreign
    documents = (
        (f"it has {observed.documents} document(s); delete them, or set spec.deletionPolicy to Erase or Retain",)
        if observed.documents
        else ()
    )
    running = tuple(f"IngestJob/{name} has not ended" for name in observed.unfinished)
    return (*foreign, *documents, *running)


def _foreign_namespace(tenant: Tenant, live: Manifest | None) -> tuple[str, ...]:
    """A namespace is only ever deleted when its UID is the one in the status AND it bears this Tenant's UID."""
    if live is None:
        return ()
    metadata, recorded = live["metadata"], tenant.status.namespace
    owner = (metadata.get("labels") or {}).get(OWNER_UID_LABEL)
    if owner == tenant.metadata.uid and (recorded is None or recorded.uid == metadata["uid"]):
        return ()
    message = (
        f"namespace {metadata['name']} is not provably this Tenant's (its UID is {metadata['uid']}, its owner "
        f"{owner}); look into it: only when it is this Tenant's, set its label and status.namespace right"
    )
    return (message,)


def find_own_namespace(tenant: Tenant, live: Manifest | None) -> Manifest | None:
    """The live namespace, unless it is a stranger's: never recorded as this Tenant's, and without its label."""
    if live is None or tenant.status.namespace is not None:
        return live
    owner = (live["metadata"].get("labels") or {}).get(OWNER_UID_LABEL)
    return live if owner == tenant.metadata.uid else None


def was_provisioned(tenant: Tenant, namespace: Manifest | None) -> bool:
    """Whether anything was made for it. If not, stores of its name are another's, such as a retained namesake's."""
    made = any(c.type in PARTS and c.status == "True" for c in tenant.status.conditions)
    return namespace is not None or tenant.status.namespace is not None or made


def erases(tenant: Tenant) -> bool:
    """Whether the documents' stores go too. Under Block there was nothing in them."""
    return tenant.spec.deletion_policy != "Retain"


def unfinished_jobs(jobs: Iterable[IngestJob]) -> tuple[str, ...]:
    return tuple(sorted(job.metadata.name for job in jobs if not is_final(job.status)))


async def delete_tenant(context: Context, vault: KeyVault, tenant: Tenant) -> float | None:
    """One step; seconds until the next, None when the Tenant may go."""
    if FINALIZER not in tenant.metadata.finalizers:
        return None
    observed = await _observe(context, tenant)
    blockers = find_blockers(tenant, observed)
    if blockers:
        await _tell(context, tenant, blockers, "")
        return BLOCKED_SECONDS
    if observed.namespace is not None:
        return await _delete_namespace(context, tenant, observed.namespace)
    if was_provisioned(tenant, None):
        if not _has_failed(tenant):
            await _tell(context, tenant, (), "the namespace is gone; removing logins and data")
        await _delete_stores(context, vault, tenant)
    tenant = context.watched.tenants.get(tenant.metadata.uid, tenant)
    kept = tuple(name for name in tenant.metadata.finalizers if name != FINALIZER)
    await events.emit(context.cluster, tenant, "Normal", "Deleted", f"policy {tenant.spec.deletion_policy}: done")
    await write_finalizers(context, tenant, kept)
    return None


def _has_failed(tenant: Tenant) -> bool:
    """Whether the status tells of a store that did not answer, which is not unsaid before it has answered."""
    return any(c.type == "Ready" and c.reason in _AWAY for c in tenant.status.conditions)


@asynccontextmanager
async def _blaming(context: Context, tenant: Tenant, reason: TenantReason) -> AsyncIterator[None]:
    """An error is what the deletion waits for: the status says so, and the queue tries again ever later."""
    try:
        yield
    except ConflictError:
        raise
    except DreamHubError as error:
        latest = context.watched.tenants.get(tenant.metadata.uid, tenant)
        with suppress(DreamHubError):
            await _tell(context, latest, (), error.message, reason)
        raise


async def _observe(context: Context, tenant: Tenant) -> DeletionObserved:
    """Live reads only: nothing is deleted on the word of a cache."""
    async with _blaming(context, tenant, TenantReason.CLUSTER_REFUSED):
        own = find_own_namespace(tenant, await context.cluster.get(namespace_key(tenant)))
    if tenant.spec.deletion_policy != "Block" or not was_provisioned(tenant, own):
        return DeletionObserved(own, 0, ())
    async with _blaming(context, tenant, TenantReason.CLUSTER_REFUSED):
        found = await context.cluster.list(INGEST_JOB, namespace_name(tenant), "")
    jobs = [IngestJob.model_validate(body) for body in found]
    async with _blaming(context, tenant, TenantReason.DATABASE_UNAVAILABLE):
        documents = await context.database.count_documents(tenant.metadata.name)
    return DeletionObserved(own, documents, unfinished_jobs(jobs))


async def _delete_namespace(context: Context, tenant: Tenant, live: Manifest) -> float:
    metadata = live["metadata"]
    if tenant.status.namespace is None:
        reference = NamespaceRef(name=metadata["name"], uid=metadata["uid"])
        await write_tenant_status(context, tenant, tenant.status.model_copy(update={"namespace": reference}))
        return 0
    waiting = [
        condition["message"]
        for condition in live.get("status", {}).get("conditions") or ()
        if condition["status"] == "True" and condition["type"].startswith("Namespace")
    ]
    await _tell(context, tenant, (), "; ".join([f"waiting for namespace {metadata['name']} to go", *waiting]))
    if not metadata.get("deletionTimestamp"):
        log.info("deleting namespace", tenant=tenant.metadata.name, namespace=metadata["name"], uid=metadata["uid"])
        async with _blaming(context, tenant, TenantReason.CLUSTER_REFUSED):
            await context.cluster.delete(namespace_key(tenant), metadata["uid"])
    return WAIT_SECONDS


async def _delete_stores(context: Context, vault: KeyVault, tenant: Tenant) -> None:
    name = tenant.metadata.name
    async with _blaming(context, tenant, TenantReason.CACHE_UNAVAILABLE):
        await context.cache.delete_user(name)
        if erases(tenant):
            await context.cache.delete_keys(name)
    if not erases(tenant):
        return
    async with _blaming(context, tenant, TenantReason.DATABASE_UNAVAILABLE):
        await context.database.drop(name)
    async with _blaming(context, tenant, TenantReason.STORAGE_UNAVAILABLE):
        await context.objects.delete_all(name)
    async with _blaming(context, tenant, TenantReason.CLUSTER_REFUSED):
        await vault.destroy(name)


async def _tell(
    context: Context,
    tenant: Tenant,
    blockers: tuple[str, ...],
    progress: str,
    reason: TenantReason = TenantReason.DELETING,
) -> None:
    status = build_deleting_status(tenant, blockers, progress, context.now(), reason)
    before = tenant.status.deletion.blocked_by if tenant.status.deletion is not None else ()
    await write_tenant_status(context, tenant, status)
    if blockers and blockers != before:
        await events.emit(context.cluster, tenant, "Warning", "DeletionBlocked", "; ".join(blockers))

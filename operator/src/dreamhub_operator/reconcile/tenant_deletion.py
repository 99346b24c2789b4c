"""Taking a tenant away, in an order that can be interrupted anywhere and never leaves a way in.

    ordered? -> blocked? -> namespace -> logins -> [documents: database, objects, keys] -> owner's record -> finalizer

What happens to the documents is spec.deletionPolicy: Block refuses while there are any, Retain keeps database, objects
and keys for a Tenant that adopts them, Erase destroys them, the keys last. Every step is decided from live reads, and
destroys only what is provably this Tenant's: see `fence` for the namespace and `store_owners` for the rest.
"""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import structlog

from dreamhub.crd.ingest_job import IngestJob
from dreamhub.crd.tenant import Tenant, TenantReason
from dreamhub.errors import ConflictError, DreamHubError
from dreamhub.names import ADOPT_ANNOTATION
from dreamhub.sql.logins import FormerSlot
from dreamhub_operator import events
from dreamhub_operator.cluster import ObjectKey
from dreamhub_operator.context import Context
from dreamhub_operator.kinds import DEFINITION, INGEST_JOB, TENANT, Manifest
from dreamhub_operator.reconcile.fence import explain_unproven, is_own
from dreamhub_operator.reconcile.ingest_plan import is_final
from dreamhub_operator.reconcile.store_owners import NOBODYS, StoreOwners, claim_stores, fetch_owners
from dreamhub_operator.reconcile.tenant import record_namespace, write_finalizers, write_tenant_status
from dreamhub_operator.reconcile.tenant_plan import FINALIZER, namespace_key, namespace_name
from dreamhub_operator.reconcile.tenant_status import DeletionNews, build_deleting_status
from dreamhub_operator.vault import KeyVault

WAIT_SECONDS = 1.0
BLOCKED_SECONDS = 15.0

TENANTS = ObjectKey(DEFINITION, "tenants.dreamhub.dev")

_AWAY = frozenset(
    {
        TenantReason.CACHE_UNAVAILABLE,
        TenantReason.DATABASE_UNAVAILABLE,
        TenantReason.STORAGE_UNAVAILABLE,
        TenantReason.CLUSTER_REFUSED,
    }
)
"""What a deletion waits for when an error stops it."""

_SLOTS: tuple[FormerSlot, ...] = ("a", "b", "")

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class DeletionObserved:
    ordered: bool = True
    """Whether it was this Tenant that somebody deleted, and not the definition of all Tenants."""
    namespace: Manifest | None = None
    owners: StoreOwners = NOBODYS
    documents: int = 0
    unfinished: tuple[str, ...] = ()
    """Names of IngestJobs that have not ended."""


def find_blockers(tenant: Tenant, observed: DeletionObserved) -> DeletionNews | None:
    """Why the deletion may not begin, or not go on; None when it may."""
    if not observed.ordered:
        return DeletionNews(TenantReason.DEFINITION_DELETED, (_explain_definition(tenant),))
    unproven = explain_unproven(tenant, observed.namespace) if observed.namespace is not None else None
    if unproven is not None:
        return DeletionNews(TenantReason.NAMESPACE_FOREIGN, (unproven,))
    strangers = observed.owners.find_strangers(tenant) if observed.owners.gives_something_to(tenant) else ()
    if strangers:
        return DeletionNews(TenantReason.STORES_FOREIGN, tuple(map(_explain_half, strangers)))
    found = _find_contents(observed) if tenant.spec.deletion_policy == "Block" else ()
    return DeletionNews(TenantReason.DELETION_BLOCKED, found) if found else None


def _explain_definition(tenant: Tenant) -> str:
    name, uid = tenant.metadata.name, tenant.metadata.uid
    release = f'kubectl patch tenant {name} --type=merge --patch=\'{{"metadata":{{"finalizers":null}}}}\''
    return (
        f"the definition {TENANTS.name} is being deleted, and with it every Tenant: that is no order to destroy the "
        f"data of this one, and nothing of it is touched. To let it go and keep its namespace, documents and keys: "
        f"{release}; a Tenant of this name that is made later takes them over by annotation {ADOPT_ANNOTATION}={uid}"
    )


def _explain_half(stranger: str) -> str:
    return f"{stranger}, although others are this Tenant's; restore the record from a backup, or adopt that Tenant"


def _find_contents(observed: DeletionObserved) -> tuple[str, ...]:
    documents = (
        (f"it has {observed.documents} document(s); delete them, or set spec.deletionPolicy to Erase or Retain",)
        if observed.documents
        else ()
    )
    return (*documents, *(f"IngestJob/{name} has not ended" for name in observed.unfinished))


def owns_stores(tenant: Tenant, owners: StoreOwners) -> bool:
    """Whether the stores of its name are this Tenant's to remove.

    Where nobody is recorded, its status tells: it is from before there was a record, or has just removed it.
    """
    made = any(c.type in ("DatabaseReady", "CredentialsFresh") and c.status == "True" for c in tenant.status.conditions)
    return owners.gives_something_to(tenant) or (owners.is_nobodys and made)


def erases(tenant: Tenant) -> bool:
    """Whether the documents' stores go too. Under Block there was nothing in them."""
    return tenant.spec.deletion_policy != "Retain"


def unfinished_jobs(jobs: Iterable[IngestJob]) -> tuple[str, ...]:
    return tuple(sorted(job.metadata.name for job in jobs if not is_final(job.status)))


async def delete_tenant(context: Context, vault: KeyVault, known: Tenant) -> float | None:
    """One step; seconds until the next, None when the Tenant may go."""
    tenant = await _fetch_tenant(context, known)
    if tenant is None or FINALIZER not in tenant.metadata.finalizers:
        return None
    observed = await _observe(context, vault, tenant)
    blockers = find_blockers(tenant, observed)
    if blockers is not None:
        await _tell(context, tenant, blockers)
        return BLOCKED_SECONDS
    if observed.namespace is not None and is_own(tenant, observed.namespace):
        return await _delete_namespace(context, tenant, observed.namespace)
    if owns_stores(tenant, observed.owners):
        if not _has_failed(tenant):
            progress = "the namespace is gone; removing logins and data"
            await _tell(context, tenant, DeletionNews(TenantReason.DELETING, progress=progress))
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
            await _tell(context, latest, DeletionNews(reason, progress=error.message))
        raise


async def _fetch_tenant(context: Context, known: Tenant) -> Tenant | None:
    """As it is now; None when it is gone, and another may have its name."""
    body = await context.cluster.get(ObjectKey(TENANT, known.metadata.name))
    if body is None or body["metadata"]["uid"] != known.metadata.uid:
        return None
    context.watched.put_tenant(body)
    return Tenant.model_validate(body)


async def _observe(context: Context, vault: KeyVault, tenant: Tenant) -> DeletionObserved:
    """Live reads only: nothing is deleted on the word of a cache."""
    async with _blaming(context, tenant, TenantReason.CLUSTER_REFUSED):
        definition = await context.cluster.get(TENANTS)
        if definition is None or definition["metadata"].get("deletionTimestamp"):
            return DeletionObserved(ordered=False)
        live = await context.cluster.get(namespace_key(tenant))
    async with _blaming(context, tenant, TenantReason.DATABASE_UNAVAILABLE):
        owners = await fetch_owners(context.database, vault, tenant.metadata.name, live=True)
    if tenant.spec.deletion_policy != "Block" or not owns_stores(tenant, owners):
        return DeletionObserved(namespace=live, owners=owners)
    async with _blaming(context, tenant, TenantReason.CLUSTER_REFUSED):
        found = await context.cluster.list(INGEST_JOB, namespace_name(tenant), "")
    jobs = [IngestJob.model_validate(body) for body in found]
    async with _blaming(context, tenant, TenantReason.DATABASE_UNAVAILABLE):
        documents = await context.database.count_documents(tenant.metadata.name)
    return DeletionObserved(namespace=live, owners=owners, documents=documents, unfinished=unfinished_jobs(jobs))


async def _delete_namespace(context: Context, tenant: Tenant, live: Manifest) -> float:
    metadata, recorded = live["metadata"], tenant.status.namespace
    if recorded is None or recorded.uid != metadata["uid"]:
        await record_namespace(context, tenant, metadata["uid"])
        return 0
    waiting = [
        condition["message"]
        for condition in live.get("status", {}).get("conditions") or ()
        if condition["status"] == "True" and condition["type"].startswith("Namespace")
    ]
    progress = "; ".join([f"waiting for namespace {metadata['name']} to go", *waiting])
    await _tell(context, tenant, DeletionNews(TenantReason.DELETING, progress=progress))
    if not metadata.get("deletionTimestamp"):
        log.info("deleting namespace", tenant=tenant.metadata.name, namespace=metadata["name"], uid=metadata["uid"])
        async with _blaming(context, tenant, TenantReason.CLUSTER_REFUSED):
            await context.cluster.delete(namespace_key(tenant), metadata["uid"])
    return WAIT_SECONDS


async def _delete_stores(context: Context, vault: KeyVault, tenant: Tenant) -> None:
    """What was half taken over is taken over first; so everything is removed by its owner."""
    name, uid, database = tenant.metadata.name, tenant.metadata.uid, context.database
    async with _blaming(context, tenant, TenantReason.DATABASE_UNAVAILABLE):
        await claim_stores(database, vault, tenant)
        for slot in _SLOTS:
            await database.end_login(name, slot)
    async with _blaming(context, tenant, TenantReason.CACHE_UNAVAILABLE):
        await context.cache.delete_user(name)
        if erases(tenant):
            await context.cache.delete_keys(name)
    if not erases(tenant):
        return
    async with _blaming(context, tenant, TenantReason.DATABASE_UNAVAILABLE):
        await database.erase(name, uid)
    async with _blaming(context, tenant, TenantReason.STORAGE_UNAVAILABLE):
        await context.objects.delete_all(name)
    async with _blaming(context, tenant, TenantReason.CLUSTER_REFUSED):
        await vault.destroy(name, uid)
    async with _blaming(context, tenant, TenantReason.DATABASE_UNAVAILABLE):
        await database.release(name, uid)


async def _tell(context: Context, tenant: Tenant, news: DeletionNews) -> None:
    before = tenant.status.deletion.blocked_by if tenant.status.deletion is not None else ()
    await write_tenant_status(context, tenant, build_deleting_status(tenant, news, context.now()))
    if news.blocked_by and news.blocked_by != before:
        await events.emit(context.cluster, tenant, "Warning", "DeletionBlocked", "; ".join(news.blocked_by))

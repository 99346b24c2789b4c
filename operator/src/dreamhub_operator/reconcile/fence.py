"""Whether a namespace is provably a Tenant's. Pure.

Two marks have to agree: the Tenant's UID on the namespace, and the namespace's UID in the Tenant's status. Either alone
can be forged, restored from a backup, or left over from a Tenant of the same name. Before a namespace becomes ours an
empty UID stands in the status, so that an interruption in between leaves no doubt.
"""

from dreamhub.crd.tenant import Tenant
from dreamhub.names import OWNER_UID_LABEL
from dreamhub_operator.kinds import Manifest
from dreamhub_operator.reconcile.store_owners import explain_adoption, find_former


def find_owner(namespace: Manifest) -> str | None:
    """The UID that the namespace bears; None when nobody made it for a Tenant."""
    return (namespace["metadata"].get("labels") or {}).get(OWNER_UID_LABEL)


def is_own(tenant: Tenant, live: Manifest) -> bool:
    recorded = tenant.status.namespace
    expected = recorded is not None and recorded.uid in ("", live["metadata"]["uid"])
    return find_owner(live) == tenant.metadata.uid and expected


def explain_foreign(tenant: Tenant, live: Manifest) -> str | None:
    """Why the Tenant may not use this namespace, and how to hand it over; None when it may.

    Besides its own it may use one that was labelled for it while it had none, and that of the Tenant which it adopts.
    """
    owner, recorded = find_owner(live), tenant.status.namespace
    if is_own(tenant, live) or (owner == tenant.metadata.uid and recorded is None):
        return None
    if owner is not None and owner == find_former(tenant):
        return None
    name, subject = live["metadata"]["name"], tenant.metadata.name
    if owner == tenant.metadata.uid:
        recorded_uid = recorded.uid if recorded is not None else ""
        return (
            f"namespace {name} (UID {live['metadata']['uid']}) bears this Tenant's label, but is not the one that was "
            f"made for it (UID {recorded_uid}): somebody made it again. Delete it, or accept it: kubectl patch tenant "
            f'{subject} --subresource=status --type=merge --patch=\'{{"status":{{"namespace":null}}}}\''
        )
    if owner is not None:
        return (
            f"namespace {name} belongs to another Tenant (UID {owner}), which was deleted by force or with its "
            f"definition; nothing of it is touched. Rename this Tenant, or take over that one's namespace, documents "
            f"and keys: {explain_adoption(tenant, owner)}"
        )
    handover = f"kubectl label namespace {name} {OWNER_UID_LABEL}={tenant.metadata.uid}"
    return f"namespace {name} exists and was not made for this Tenant; rename the Tenant, or hand it over: {handover}"


def explain_unproven(tenant: Tenant, live: Manifest) -> str | None:
    """Why this namespace may not be deleted with the Tenant; None when it is its own, or simply not its business."""
    recorded = tenant.status.namespace
    if is_own(tenant, live) or (recorded is None and find_owner(live) != tenant.metadata.uid):
        return None
    uid, name = live["metadata"]["uid"], live["metadata"]["name"]
    recorded_uid = recorded.uid if recorded is not None else "none"
    return (
        f"namespace {name} is not provably this Tenant's: its UID is {uid}, recorded is {recorded_uid}; its owner is "
        f"{find_owner(live) or 'nobody'}, this Tenant is {tenant.metadata.uid}. Look into it: delete the namespace "
        f"yourself if it may go, or set its label {OWNER_UID_LABEL} and status.namespace.uid of the Tenant right"
    )

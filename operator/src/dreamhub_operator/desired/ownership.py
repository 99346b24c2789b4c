"""How the operator marks what it made: labels to find it by, a UID to prove whose it is."""

from dreamhub.names import OWNER_UID_LABEL, TENANT_LABEL, namespace
from dreamhub_operator.kinds import Kind, Manifest

MANAGED_BY = {"app.kubernetes.io/managed-by": "dreamhub-operator", "app.kubernetes.io/part-of": "dreamhub"}


def owner_labels(tenant: str, owner_uid: str) -> dict[str, str]:
    return {**MANAGED_BY, TENANT_LABEL: tenant, OWNER_UID_LABEL: owner_uid}


def owner_selector(owner_uid: str) -> str:
    """Raises ValueError for an empty UID: a selector must never mean everything."""
    if not owner_uid:
        raise ValueError("no owner UID to select by")
    return f"{OWNER_UID_LABEL}={owner_uid}"


def tenant_object(kind: Kind, name: str, tenant: str, tenant_uid: str) -> Manifest:
    """The frame of an object in a tenant's namespace."""
    return {
        "apiVersion": kind.api_version,
        "kind": kind.name,
        "metadata": {"name": name, "namespace": namespace(tenant), "labels": owner_labels(tenant, tenant_uid)},
    }

"""A tenant's namespace, its service accounts and who may do what in it."""

from dreamhub.crd.tenant import Tenant
from dreamhub.crd.tenant_spec import Owner
from dreamhub.names import OWNER_SERVICE_ACCOUNT, SUSPENDED_LABEL, WORKER_SERVICE_ACCOUNT, namespace
from dreamhub_operator.desired.ownership import owner_labels, tenant_object
from dreamhub_operator.kinds import NAMESPACE, ROLE_BINDING, SERVICE_ACCOUNT, Manifest

OPERATOR_ROLE = "dreamhub-operator-tenant"
"""ClusterRole with the operator's rights inside a tenant's namespace; the chart ships it. It is bound namespace by
namespace, so the operator can read no Secret outside of them."""

OWNER_ROLE = "dreamhub-tenant-owner"
"""ClusterRole of a tenant's owners: their IngestJobs and ErasureRequests, and the events about them. Nothing else."""

APPROVER_ROLE = "dreamhub-tenant-approver"
"""ClusterRole of those who may release an IngestJob whose estimate is above the tenant's threshold."""

Subject = dict[str, str]

_RBAC_GROUP = "rbac.authorization.k8s.io"


def build_namespace(tenant: Tenant) -> Manifest:
    level = "restricted"
    return {
        "apiVersion": NAMESPACE.api_version,
        "kind": NAMESPACE.name,
        "metadata": {
            "name": namespace(tenant.metadata.name),
            "labels": {
                **owner_labels(tenant.metadata.name, tenant.metadata.uid),
                SUSPENDED_LABEL: "true" if tenant.spec.suspend else "false",
                "pod-security.kubernetes.io/enforce": level,
                "pod-security.kubernetes.io/audit": level,
                "pod-security.kubernetes.io/warn": level,
            },
        },
    }


def build_service_accounts(tenant: Tenant) -> list[Manifest]:
    """`worker` runs pods, `owner` logs in to the API by a token. Neither has its token mounted anywhere."""
    return [
        {
            **tenant_object(SERVICE_ACCOUNT, name, tenant.metadata.name, tenant.metadata.uid),
            "automountServiceAccountToken": False,
        }
        for name in (WORKER_SERVICE_ACCOUNT, OWNER_SERVICE_ACCOUNT)
    ]


def build_subject(username: str) -> Subject:
    """The subject of a RoleBinding for somebody whom the API server calls so."""
    prefix, _, account = username.rpartition("system:serviceaccount:")
    namespace_of, _, name = account.partition(":")
    if prefix == "" and name:
        return {"kind": "ServiceAccount", "name": name, "namespace": namespace_of}
    return {"kind": "User", "name": username, "apiGroup": _RBAC_GROUP}


def build_operator_binding(tenant: Tenant, operator: Subject) -> Manifest:
    """What gives the operator itself its rights in the namespace. Made first, looked at by name."""
    return _role_binding(tenant, "dreamhub-operator", OPERATOR_ROLE, [operator])


def build_owner_binding(tenant: Tenant) -> Manifest:
    own = {"kind": "ServiceAccount", "name": OWNER_SERVICE_ACCOUNT, "namespace": namespace(tenant.metadata.name)}
    owners = [own, *(_subject(owner) for owner in tenant.spec.owners)]
    return _role_binding(tenant, "owners", OWNER_ROLE, owners)


def build_approver_binding(tenant: Tenant) -> Manifest:
    """Without subjects where nobody is named: then only those may approve who may in every namespace."""
    approvers = [_subject(approver) for approver in tenant.spec.approval.approvers]
    return _role_binding(tenant, "approvers", APPROVER_ROLE, approvers)


def _role_binding(tenant: Tenant, name: str, role: str, subjects: list[dict[str, str]]) -> Manifest:
    return {
        **tenant_object(ROLE_BINDING, name, tenant.metadata.name, tenant.metadata.uid),
        "roleRef": {"apiGroup": _RBAC_GROUP, "kind": "ClusterRole", "name": role},
        "subjects": subjects,
    }


def _subject(owner: Owner) -> dict[str, str]:
    if owner.kind == "ServiceAccount":
        return {"kind": owner.kind, "name": owner.name, "namespace": owner.namespace or ""}
    return {"kind": owner.kind, "name": owner.name, "apiGroup": _RBAC_GROUP}

"""The kinds of objects that the operator reads or writes, and their paths at the API server.

A fixed table instead of discovery: the operator knows its kinds, and discovery costs requests at every start.
"""

from dataclasses import dataclass
from typing import Any

from dreamhub.names import API_GROUP, API_VERSION

Manifest = dict[str, Any]
"""An object as JSON. Its shape is Kubernetes'; builders and readers of this package give it meaning."""


@dataclass(frozen=True, slots=True)
class Kind:
    group: str
    version: str
    plural: str
    name: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, name: str = "", namespace: str | None = None, subresource: str = "") -> str:
        """The path below the server's root. Raises ValueError when a namespaced object is asked for without one."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        if self.namespaced and name and not namespace:
            raise ValueError(f"{self.name}/{name} needs a namespace")
        scope = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        parts = [part for part in (self.plural, name, subresource) if part]
        return "/".join([root + scope, *parts])


NAMESPACE = Kind("", "v1", "namespaces", "Namespace", namespaced=False)
SERVICE_ACCOUNT = Kind("", "v1", "serviceaccounts", "ServiceAccount")
SECRET = Kind("", "v1", "secrets", "Secret")
RESOURCE_QUOTA = Kind("", "v1", "resourcequotas", "ResourceQuota")
LIMIT_RANGE = Kind("", "v1", "limitranges", "LimitRange")
EVENT = Kind("", "v1", "events", "Event")
POD = Kind("", "v1", "pods", "Pod")
JOB = Kind("batch", "v1", "jobs", "Job")
ROLE_BINDING = Kind("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding")
CLUSTER_ROLE = Kind("rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole", namespaced=False)
NETWORK_POLICY = Kind("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy")
DEFINITION = Kind(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False
)
LEASE = Kind("coordination.k8s.io", "v1", "leases", "Lease")
TENANT = Kind(API_GROUP, API_VERSION, "tenants", "Tenant", namespaced=False)
INGEST_JOB = Kind(API_GROUP, API_VERSION, "ingestjobs", "IngestJob")

WATCHED = (TENANT, INGEST_JOB, JOB, POD)

TENANT_CHILDREN = (ROLE_BINDING, SERVICE_ACCOUNT, RESOURCE_QUOTA, LIMIT_RANGE, NETWORK_POLICY)
"""Kinds of the objects in a tenant's namespace that are compared and pruned as a set. RoleBinding stands first: it
gives the operator its rights in the namespace."""

REFLECTED = (NAMESPACE, *TENANT_CHILDREN)
"""Kinds of which the operator remembers the objects of tenants, cluster-wide. Never Secrets: they are read singly."""

OPENING = (ROLE_BINDING, NETWORK_POLICY)
"""Kinds that add up: one more object of them opens what ours keep closed, so those of others are watched as well."""

_BY_NAME = {
    (kind.api_version, kind.name): kind
    for kind in (NAMESPACE, SECRET, EVENT, POD, JOB, LEASE, TENANT, INGEST_JOB, *TENANT_CHILDREN)
}


def resource_of(path: str) -> str:
    """The plural in a path that `Kind.path` built, for counting requests."""
    parts = path.strip("/").split("/")
    below = parts[2:] if parts[0] == "api" else parts[3:]
    return below[2] if below[0] == "namespaces" and len(below) > 2 else below[0]


def kind_of(manifest: Manifest) -> Kind:
    return _BY_NAME[manifest["apiVersion"], manifest["kind"]]

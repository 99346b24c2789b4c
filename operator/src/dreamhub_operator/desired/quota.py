"""What a tenant's pods may take: a quota for all together, defaults and a ceiling for each."""

from dreamhub.crd.tenant import Tenant
from dreamhub_operator.desired.ownership import tenant_object
from dreamhub_operator.kinds import LIMIT_RANGE, RESOURCE_QUOTA, Manifest

QUOTA_NAME = "tenant"


def build_quota(tenant: Tenant) -> Manifest:
    """The compute quota. Services that open ports to the outside and volumes are not for tenants: their quota is 0."""
    resources = tenant.spec.resources
    return {
        **tenant_object(RESOURCE_QUOTA, QUOTA_NAME, tenant.metadata.name, tenant.metadata.uid),
        "spec": {
            "hard": {
                "requests.cpu": str(resources.requests.cpu),
                "requests.memory": str(resources.requests.memory),
                "limits.cpu": str(resources.limits.cpu),
                "limits.memory": str(resources.limits.memory),
                "persistentvolumeclaims": "0",
                "services.loadbalancers": "0",
                "services.nodeports": "0",
            }
        },
    }


def build_limits(tenant: Tenant) -> Manifest:
    """Defaults for containers that name none; without them the quota would refuse such a pod."""
    return {
        **tenant_object(LIMIT_RANGE, "tenant", tenant.metadata.name, tenant.metadata.uid),
        "spec": {
            "limits": [
                {
                    "type": "Container",
                    "default": {"cpu": "500m", "memory": "512Mi"},
                    "defaultRequest": {"cpu": "100m", "memory": "128Mi"},
                }
            ]
        },
    }

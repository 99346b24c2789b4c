"""The Tenant: one customer of the platform, isolated in Kubernetes, PostgreSQL, Redis and S3 under one name."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from dreamhub.crd.schema import ObjectMeta, Part, Rule, rules
from dreamhub.domain.conditions import Condition, Time
from dreamhub.names import API_GROUP, API_VERSION

MAX_OWNERS = 32
MAX_EGRESS = 32
MAX_PORTS = 16

TenantPhase = Literal["Provisioning", "Active", "Suspended", "Deleting", "Orphaned", "Failed"]
TenantConditionType = Literal[
    "Ready", "Reconciling", "Stalled", "NamespaceReady", "DatabaseReady", "CacheReady", "CredentialsFresh"
]
DeletionPolicy = Literal["Block", "Retain", "Erase"]


class TenantReason(StrEnum):
    """Why a Tenant's condition is what it is. A closed set: programs match on it."""

    PROVISIONING = "Provisioning"
    PROVISIONED = "Provisioned"
    SUSPENDED = "Suspended"
    WAITING_FOR_NAMESPACE = "WaitingForNamespace"
    WAITING_FOR_DATABASE = "WaitingForDatabase"
    WAITING_FOR_CREDENTIALS = "WaitingForCredentials"
    NAMESPACE_FOREIGN = "NamespaceForeign"
    NAMESPACE_TERMINATING = "NamespaceTerminating"
    DATABASE_UNAVAILABLE = "DatabaseUnavailable"
    CACHE_UNAVAILABLE = "CacheUnavailable"
    STORAGE_UNAVAILABLE = "StorageUnavailable"
    KEYS_LOST = "KeysLost"
    UNKNOWN_MODEL = "UnknownModel"
    CLUSTER_REFUSED = "ClusterRefused"
    DELETING = "Deleting"
    DELETION_BLOCKED = "DeletionBlocked"
    INTERNAL_ERROR = "InternalError"


class Owner(
    Part,
    json_schema_extra=rules(
        Rule(
            "(self.kind == 'ServiceAccount') == has(self.__namespace__)",
            "namespace is required for kind ServiceAccount and not allowed for User and Group",
        )
    ),
):
    """A person, group or service account that may create and watch IngestJobs in the tenant's namespace."""

    kind: Literal["User", "Group", "ServiceAccount"]
    """What the name names."""
    name: Annotated[str, Field(min_length=1, max_length=253)]
    """The name as the cluster's authentication reports it."""
    namespace: Annotated[str, Field(min_length=1, max_length=63)] | None = None
    """The namespace of a ServiceAccount; not set for the others."""


def _quantity(field: str) -> dict[str, object]:
    text = "string(self)"
    return rules(
        Rule(f"isQuantity({text})", f"{field} must be a quantity such as 500m, 2 or 4Gi"),
        Rule(
            f"!isQuantity({text}) || !quantity({text}).isLessThan(quantity('0'))",
            f"{field} must not be negative",
        ),
        **{"x-kubernetes-int-or-string": True, "maxLength": 32},
    )


Cpu = Annotated[str | int, Field(json_schema_extra=_quantity("cpu"))]
Memory = Annotated[str | int, Field(json_schema_extra=_quantity("memory"))]


class Requests(Part):
    """What all pods of the tenant together may reserve."""

    cpu: Cpu = "2"
    """Sum of CPU requests, such as "2" or 500m."""
    memory: Memory = "4Gi"
    """Sum of memory requests, such as 4Gi."""


class Limits(Part):
    """What all pods of the tenant together may use."""

    cpu: Cpu = "4"
    """Sum of CPU limits, such as "4"."""
    memory: Memory = "8Gi"
    """Sum of memory limits, such as 8Gi."""


class Resources(Part):
    """The compute quota of the tenant's namespace."""

    requests: Requests = Requests()
    """What all pods of the tenant together may reserve."""
    limits: Limits = Limits()
    """What all pods of the tenant together may use."""


class TenantModels(Part):
    """Models by their names in the platform's model list."""

    embedding: Annotated[
        str,
        Field(
            min_length=1,
            max_length=128,
            json_schema_extra=rules(
                Rule(
                    "self == oldSelf",
                    "embedding is immutable: stored vectors of one model cannot be compared with those of another; "
                    "create a new tenant to use another model",
                )
            ),
        ),
    ] = "builtin/wordllama-256"
    """Model that turns chunks and queries into vectors. Cannot be changed: vectors of two models don't compare."""
    chat: Annotated[str, Field(min_length=1, max_length=128)] = "builtin/extractive"
    """Model that writes answers."""


class Egress(Part):
    """A destination outside the cluster that the tenant's workers may open connections to."""

    to: Annotated[
        str,
        Field(
            min_length=1,
            max_length=64,
            json_schema_extra=rules(Rule("isCIDR(self)", "to must be a CIDR such as 203.0.113.0/24")),
        ),
    ]
    """Address range in CIDR form, such as 203.0.113.0/24."""
    ports: Annotated[
        tuple[Annotated[int, Field(ge=1, le=65535)], ...],
        Field(min_length=1, max_length=MAX_PORTS, json_schema_extra={"x-kubernetes-list-type": "set"}),
    ]
    """TCP ports."""


class TenantNetwork(Part):
    """What the tenant's workers may reach beyond what the platform needs."""

    egress: Annotated[tuple[Egress, ...], Field(max_length=MAX_EGRESS)] = ()
    """Allowed destinations. Everything that is not named here or needed by the platform is denied."""


class TenantSpec(Part):
    """What the tenant shall be."""

    display_name: Annotated[str, Field(max_length=128)] = ""
    """Name for people."""
    owners: Annotated[tuple[Owner, ...], Field(max_length=MAX_OWNERS)] = ()
    """Who may create and watch IngestJobs in the tenant's namespace with kubectl."""
    resources: Resources = Resources()
    """Compute quota of the tenant's namespace."""
    models: TenantModels = TenantModels()
    """Models that the tenant's documents and questions go through."""
    network: TenantNetwork = TenantNetwork()
    """Network access of the tenant's workers."""
    suspend: bool = False
    """True keeps new IngestJobs waiting. Running ones finish; searching and reading go on."""
    deletion_policy: DeletionPolicy = "Block"
    """What deleting this Tenant does with its data. Block refuses while it has documents; Retain removes namespace and
    credentials but keeps documents and keys for a Tenant of the same name; Erase destroys everything, keys included."""


class NamespaceRef(Part):
    """The namespace that was made for this Tenant. It is only ever deleted when name and UID both match."""

    name: str
    """Name of the namespace."""
    uid: str
    """UID of the namespace."""


class Drift(Part):
    """Changes that others made to the tenant's objects and that were set back."""

    corrected: int = 0
    """How many objects were set back since the Tenant was created."""
    last_object: str = ""
    """The last one, as Kind/name."""
    last_fields: str = ""
    """The fields of it that had been changed."""
    last_time: Time | None = None
    """When it was set back."""


class Deletion(Part):
    """How far the deletion has come."""

    blocked_by: Annotated[tuple[str, ...], Field(max_length=10)] = ()
    """What has to go first, as sentences."""


class TenantCondition(Condition):
    """One observation about the Tenant."""

    type: TenantConditionType
    """What the condition is about."""
    reason: TenantReason
    """Why, as one word from a closed set; programs match on it."""


class TenantStatus(Part):
    """What the tenant is. Written by the operator only."""

    observed_generation: int = 0
    """The metadata.generation that this status was computed from."""
    phase: TenantPhase = "Provisioning"
    """Summary for people; programs read the conditions."""
    namespace: NamespaceRef | None = None
    """The tenant's namespace."""
    drift: Drift | None = None
    """Foreign changes that were set back."""
    deletion: Deletion | None = None
    """Set while the Tenant is being deleted."""
    conditions: Annotated[
        tuple[TenantCondition, ...],
        Field(
            max_length=16,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
        ),
    ] = ()
    """Ready, Reconciling and Stalled as kstatus reads them, and one condition for each part of the tenant."""


class Tenant(
    Part,
    json_schema_extra=rules(
        Rule(
            "self.metadata.name.matches('^[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?$')",
            "metadata.name must be a DNS label of at most 40 characters: a-z, 0-9 and hyphens inside",
        )
    ),
):
    """A customer of the platform: namespace, quota, network policy, database role and schema, cache user and keys."""

    api_version: str = f"{API_GROUP}/{API_VERSION}"
    kind: Literal["Tenant"] = "Tenant"
    metadata: ObjectMeta = ObjectMeta()
    spec: TenantSpec = TenantSpec()
    """What the tenant shall be."""
    status: TenantStatus = TenantStatus()
    """What the tenant is. Written by the operator only."""

"""The Tenant: one customer of the platform, isolated in Kubernetes, PostgreSQL, Redis and S3 under one name."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from dreamhub.crd.schema import ObjectMeta, Part, Rule, rules
from dreamhub.crd.tenant_spec import TenantSpec
from dreamhub.domain.conditions import Condition, Time
from dreamhub.names import API_GROUP, API_VERSION

TenantPhase = Literal["Provisioning", "Active", "Suspended", "Deleting", "Orphaned", "Failed"]
TenantConditionType = Literal[
    "Ready",
    "Reconciling",
    "Stalled",
    "NamespaceReady",
    "DatabaseReady",
    "CacheReady",
    "CredentialsFresh",
    "IsolationVerified",
    "WithinQuota",
]


class TenantReason(StrEnum):
    """Why a Tenant's condition is what it is. A closed set: programs match on it."""

    PROVISIONING = "Provisioning"
    PROVISIONED = "Provisioned"
    SUSPENDED = "Suspended"
    WAITING_FOR_NAMESPACE = "WaitingForNamespace"
    WAITING_FOR_DATABASE = "WaitingForDatabase"
    WAITING_FOR_CREDENTIALS = "WaitingForCredentials"
    NAMESPACE_FOREIGN = "NamespaceForeign"
    STORES_FOREIGN = "StoresForeign"
    DEFINITION_DELETED = "DefinitionDeleted"
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
    # WithinQuota
    WITHIN_QUOTA = "WithinQuota"
    QUOTA_REACHED = "QuotaReached"
    # IsolationVerified
    ISOLATION_VERIFIED = "IsolationVerified"
    PROBE_FAILED = "ProbeFailed"
    PROBES_INCONCLUSIVE = "ProbesInconclusive"
    NOT_PROBED = "NotProbed"


class NamespaceRef(Part):
    """The namespace that was made for this Tenant. It is only ever deleted when name and UID both match."""

    name: str
    """Name of the namespace."""
    uid: str
    """UID of the namespace; empty until it and the stores of the tenant's name are known to be this Tenant's."""


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
    foreign: Annotated[tuple[str, ...], Field(max_length=10)] = ()
    """NetworkPolicies and RoleBindings of others in the namespace, as Kind/name: they may open it. They are left."""


class Deletion(Part):
    """How far the deletion has come."""

    blocked_by: Annotated[tuple[str, ...], Field(max_length=10)] = ()
    """What has to go first, as sentences."""


class Usage(Part):
    """What the tenant holds and has used; limits are in spec.plan."""

    documents: int = 0
    """Documents, searchable or not."""
    chunks: int = 0
    """Chunks, those of replacements in progress included."""
    storage_bytes: int = 0
    """Bytes of original documents."""
    tokens_today: int = 0
    """Tokens sent to models since midnight UTC."""
    tokens_month: int = 0
    """Tokens sent to models since the first of the month, UTC."""
    running_jobs: int = 0
    """IngestJobs with a worker, or about to get one."""
    queued_jobs: int = 0
    """IngestJobs that wait."""
    observed_time: Time | None = None
    """When this was read."""


class CredentialsStatus(Part):
    """The tenant's logins to database and cache."""

    slot: Literal["a", "b"] = "a"
    """Which of the two database logins is in use."""
    rotated_time: Time | None = None
    """When the present login got its password."""
    previous_valid_until: Time | None = None
    """Until when the login before it is still accepted."""


class Reencryption(Part):
    """Content being brought under the active data key."""

    state: Literal["Spreading", "Running", "Done"] = "Done"
    """Spreading: the new key is made known to everybody first. Running: rows are being rewritten."""
    total: int = 0
    """Rows to rewrite, as counted at the start."""
    done: int = 0
    """Rows rewritten."""
    percent: Annotated[int, Field(ge=0, le=100)] = 0
    """Share that is done."""


class KeysStatus(Part):
    """The tenant's data keys. Ids only."""

    active: str = ""
    """Id of the key that encrypts."""
    rotated_time: Time | None = None
    """When it became active."""
    reencryption: Reencryption | None = None
    """How far content has come under the active key."""
    retired: Annotated[tuple[str, ...], Field(max_length=16)] = ()
    """Ids of keys that encrypt nothing any more and are kept for backups."""


class IsolationStatus(Part):
    """The last check of the walls around the tenant."""

    checked_time: Time | None = None
    """When it ended."""
    peer: str = ""
    """The Tenant that attacked and was attacked."""
    probes: int = 0
    """How many attempts were made."""
    failed: int = 0
    """How many got through."""
    first_failure: str = ""
    """The first one that got through, as a sentence."""
    request: str = ""
    """The value of the annotation dreamhub.dev/verify-isolation that it answered."""


class IndexStatus(Part):
    """What the tenant's searches read."""

    generation: int = 0
    """Which of the tenant's indexes is in use; another embedding model founds the next one."""
    model: str = ""
    """The embedding model of its vectors."""
    dimensions: int = 0
    """Length of its vectors."""
    hnsw: bool = False
    """Whether vectors are looked up in an index. Without one every vector is compared: few take no time."""


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
    usage: Usage | None = None
    """What the tenant holds and has used."""
    credentials: CredentialsStatus | None = None
    """The tenant's logins to database and cache."""
    keys: KeysStatus | None = None
    """The tenant's data keys."""
    index: IndexStatus | None = None
    """What the tenant's searches read; absent before its first document is searchable."""
    isolation: IsolationStatus | None = None
    """The last check of the walls around the tenant."""
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

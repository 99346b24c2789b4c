"""The one place that spells a name derived from a tenant or a job.

A name that two services build separately is a name that one of them will one day build differently; a tenant's
isolation rests on these being equal everywhere.
"""

import hashlib
import re
from typing import Literal

API_GROUP = "dreamhub.dev"
API_VERSION = "v1alpha1"
SYSTEM_NAMESPACE = "dreamhub-system"
"""Where the chart installs by default. Services take the real one from their settings."""

TOKEN_AUDIENCE = "dreamhub"
"""Audience of the service-account tokens that the API accepts (TokenReview)."""

TENANT_LABEL = f"{API_GROUP}/tenant"
OWNER_UID_LABEL = f"{API_GROUP}/owner-uid"
"""UID of the custom resource that an object was made for; pruning and deletion match it, never a name alone."""
SUSPENDED_LABEL = f"{API_GROUP}/suspended"
"""On a tenant's namespace, "true" or "false": an admission policy refuses new IngestJobs by it."""
ADOPT_ANNOTATION = f"{API_GROUP}/adopt"
"""On a Tenant: the UID of a former Tenant of the same name whose namespace, documents and keys it takes over."""

APPROVED_BY_ANNOTATION = f"{API_GROUP}/approved-by"
"""On an IngestJob: who set spec.approved. An admission policy sees to it that this is true."""

RETRY_OF_ANNOTATION = f"{API_GROUP}/retry-of"
"""On an IngestJob: the name of the one whose failed documents it tries again."""

REQUEST_ANNOTATION = f"{API_GROUP}/request"
"""On an IngestJob that was ordered under an Idempotency-Key: digests of the key and of the request."""

KUEUE_LABEL = "kueue.x-k8s.io/queue-name"
"""On an IngestJob: the queue of Kueue that its Job is to wait in."""

WORKER_SERVICE_ACCOUNT = "worker"
OWNER_SERVICE_ACCOUNT = "owner"
"""`kubectl -n dh-acme create token owner --audience dreamhub` logs in as the tenant."""

CREDENTIALS_SECRET = "dreamhub-credentials"
"""In the tenant's namespace: `database-url`, `redis-url`, `keys.json`."""

KEYS_SECRET = "dreamhub-tenant-keys"
"""In the system namespace: one entry for each tenant, `<tenant>.json`, its data keys, wrapped by a master key (see
`dreamhub.domain.key_ring` and `dreamhub.domain.envelope`)."""

MASTER_KEYS_SECRET = "dreamhub-master-keys"
"""In the system namespace: `master-keys.json`, what wraps the tenants' data keys."""
MASTER_KEYS_ENTRY = "master-keys.json"

CANARY_TENANT = "dreamhub-canary"
"""The Tenant that the operator makes for itself: what isolation probes attack. Admission reserves the name."""

LoginSlot = Literal["a", "b"]
"""Of a tenant's two database logins one is in use; the other is the one before it, or the next."""

_TENANT = re.compile(r"[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?")


def is_tenant_name(name: str) -> bool:
    """Whether `name` is a DNS label of at most 40 characters, as the Tenant resource demands."""
    return _TENANT.fullmatch(name) is not None


def namespace(tenant: str) -> str:
    return f"dh-{tenant}"


def tenant_of_namespace(name: str) -> str | None:
    """The tenant that a namespace belongs to by its name, or None. Proof of ownership is the UID, not this."""
    tenant = name.removeprefix("dh-")
    return tenant if tenant != name and is_tenant_name(tenant) else None


def database_role(tenant: str) -> str:
    """The tenant's PostgreSQL role and, under the same name, its schema. Hyphens stay: SQL must quote it."""
    return f"t_{tenant}"


def database_login(tenant: str, slot: LoginSlot) -> str:
    """A login that becomes the tenant's role as it logs in."""
    return f"{database_role(tenant)}.{slot}"


def redis_user(tenant: str) -> str:
    return f"t_{tenant}"


def redis_prefix(tenant: str) -> str:
    """Prefix of every key and channel of a tenant; the braces keep them on one Redis Cluster slot."""
    return f"dh:{{{tenant}}}:"


def progress_key(tenant: str, ingest_job_uid: str) -> str:
    """The capped stream of a job's progress; also the name of the channel that wakes its readers.

    By UID: a job that was deleted and made again under its name begins anew.
    """
    return f"{redis_prefix(tenant)}job:{ingest_job_uid}"


def work_key(tenant: str, ingest_job_uid: str) -> str:
    """The stream that hands out a job's documents to its workers."""
    return f"{redis_prefix(tenant)}work:{ingest_job_uid}"


def calls_key(tenant: str, model: str) -> str:
    """What a tenant's processes count of their calls to a provider, and the bucket that they take turns from."""
    return f"{redis_prefix(tenant)}model:{model}"


def budget_prefix(tenant: str) -> str:
    """Of keys that the tenant's user reads and cannot write: outside of its own prefix, and on the same slot."""
    return f"dh:budget:{{{tenant}}}:"


def budget_key(tenant: str, model: str) -> str:
    """The tenant's present share of a model's budget, as the operator has divided it."""
    return f"{budget_prefix(tenant)}{model}"


def object_key(tenant: str, version_id: str) -> str:
    """Where the original bytes of a document version lie in the bucket. Carries no file name."""
    return f"tenants/{tenant}/versions/{version_id}"


def import_folder(tenant: str) -> str:
    """Below it lie the objects that `spec.source.s3` reads: put there by whoever holds the bucket's keys."""
    return f"tenants/{tenant}/import/"


def job_name(ingest_job_uid: str) -> str:
    """The Kubernetes Job of an IngestJob: deterministic, so that a repeated create is a conflict, not a second run."""
    return f"ij-{hashlib.sha256(ingest_job_uid.encode()).hexdigest()[:16]}"


def rekey_job(key_id: str) -> str:
    """The Kubernetes Job, in a tenant's namespace, that brings content under this data key."""
    return f"rekey-{key_id}"


def job_input_secret(ingest_job_uid: str) -> str:
    return f"{job_name(ingest_job_uid)}-input"

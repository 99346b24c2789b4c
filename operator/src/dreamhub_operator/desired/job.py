"""The Kubernetes Job that ingests, and the Secret it takes its orders from."""

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from dreamhub.crd.ingest_job import IngestJob
from dreamhub.domain.job_input import JobInput
from dreamhub.names import CREDENTIALS_SECRET, KUEUE_LABEL, WORKER_SERVICE_ACCOUNT, job_input_secret, job_name
from dreamhub_operator.desired.ownership import owner_labels
from dreamhub_operator.desired.source import source_labels, source_mounts, source_volumes
from dreamhub_operator.kinds import INGEST_JOB, JOB, SECRET, Manifest
from dreamhub_operator.settings import MalwareScanner

COMPONENT_LABEL = "app.kubernetes.io/component"
WORKER_COMPONENT = "worker"
SPEC_HASH = "dreamhub.dev/spec-hash"
SIGNED_AT = "dreamhub.dev/urls-signed-at"
"""When the presigned URLs of the input were made, in seconds of Unix time."""

JOB_DIRECTORY = "/var/run/dreamhub/job"
CREDENTIALS_DIRECTORY = "/var/run/dreamhub/credentials"
JOB_FILE = "job.json"
MODELS_FILE = "models.yaml"

URL_SECONDS = 24 * 3600
"""Validity of presigned URLs. They are renewed at a quarter of it, so a pod that starts late still has hours."""
RENEW_SECONDS = URL_SECONDS // 4

BACKOFF_LIMIT = 3
"""Tries of one worker after its first."""
_CHANGEABLE = frozenset({"priority", "approved", "cancel", "suspend", "ttl_seconds_after_finished"})
"""Fields of an IngestJob's spec that may change after its creation."""
EXIT_PERMANENT = 42
EXIT_TRANSIENT = 75
TERMINATION_LOG = "/dev/termination-log"
"""Where the worker says why it ended: the kubelet makes the file and tells its content in the pod's status."""
GRACE_SECONDS = 30


@dataclass(frozen=True, slots=True)
class WorkerTemplate:
    """What new Jobs run: the same for all tenants."""

    image: str
    build: str
    resources: Manifest
    pull_policy: str
    pull_secrets: tuple[str, ...]
    size_limit: int
    """Largest original that a worker reads, in bytes."""
    log_level: str
    deadline_seconds: int
    """Of a Job, from its start to its last try's end; a suspended time does not count."""
    scanner: MalwareScanner | None = None


def spec_hash(job: IngestJob) -> str:
    """Of what decides the work. An existing Job with the same name but another hash is not ours to adopt.

    A field that stands as it does by default does not count, so that a release with more fields finds the same hash.
    """
    decisive = job.spec.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude=set(_CHANGEABLE))
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:32]


def _frame(kind: str, api_version: str, name: str, tenant: str, job: IngestJob) -> Manifest:
    owner = {
        "apiVersion": INGEST_JOB.api_version,
        "kind": INGEST_JOB.name,
        "name": job.metadata.name,
        "uid": job.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": False,
    }
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {
            "name": name,
            "namespace": job.metadata.namespace,
            "labels": owner_labels(tenant, job.metadata.uid),
            "ownerReferences": [owner],
        },
    }


def build_input(tenant: str, job: IngestJob, order: JobInput, models: str, keys: Mapping[str, str]) -> Manifest:
    """The Secret with job.json, models.yaml and, for a remote model, its keys by the names of their files."""
    files = {JOB_FILE: order.model_dump_json(by_alias=True), MODELS_FILE: models, **keys}
    secret = _frame(SECRET.name, SECRET.api_version, job_input_secret(job.metadata.uid), tenant, job)
    return {
        **secret,
        "type": "Opaque",
        "data": {name: base64.b64encode(text.encode()).decode() for name, text in files.items()},
    }


def build_job(tenant: str, job: IngestJob, worker: WorkerTemplate, signed_at: int) -> Manifest:
    manifest = _frame(JOB.name, JOB.api_version, job_name(job.metadata.uid), tenant, job)
    manifest["metadata"]["annotations"] = {SPEC_HASH: spec_hash(job), SIGNED_AT: str(signed_at)}
    labels = {**manifest["metadata"]["labels"], COMPONENT_LABEL: WORKER_COMPONENT, **source_labels(job)}
    queue = job.metadata.labels.get(KUEUE_LABEL)
    manifest["metadata"]["labels"] = {**labels, KUEUE_LABEL: queue} if queue else labels
    return {
        **manifest,
        "spec": {
            "suspend": bool(queue),
            "activeDeadlineSeconds": worker.deadline_seconds,
            "completionMode": "Indexed",
            "completions": count_workers(job),
            "parallelism": count_workers(job),
            "backoffLimitPerIndex": BACKOFF_LIMIT,
            "successPolicy": {"rules": [{"succeededCount": 1}]},
            "podReplacementPolicy": "Failed",
            "podFailurePolicy": build_failure_policy(),
            "template": {"metadata": {"labels": labels}, "spec": _pod(job, worker)},
        },
    }


def count_workers(job: IngestJob) -> int:
    """How many pods share it: no more than there are documents, where that is known."""
    source = job.spec.source
    if source.inline is not None:
        return 1
    return min(job.spec.parallelism, len(source.documents.ids)) if source.documents else job.spec.parallelism


def build_suspension(job: IngestJob, *, suspend: bool) -> Manifest:
    """What changes in its Job.

    Kueue starts and stops those that bear its label, and no others: one that shall stop loses it, and gets it back.
    """
    queue = job.metadata.labels.get(KUEUE_LABEL)
    if not queue:
        return {"spec": {"suspend": suspend}}
    return {"metadata": {"labels": {KUEUE_LABEL: None if suspend else queue}}, "spec": {"suspend": True}}


def build_failure_policy() -> Manifest:
    """A permanent failure is not tried again.

    A pod that was evicted, preempted, or left alone by what it needs goes on in another one, which does not count as a
    try. Tries are counted for each worker of the job.
    """
    permanent = {"operator": "In", "values": [EXIT_PERMANENT], "containerName": WORKER_COMPONENT}
    transient = {"operator": "In", "values": [EXIT_TRANSIENT], "containerName": WORKER_COMPONENT}
    return {
        "rules": [
            {"action": "FailJob", "onExitCodes": permanent},
            {"action": "Ignore", "onExitCodes": transient},
            {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        ]
    }


def _pod(job: IngestJob, worker: WorkerTemplate) -> Manifest:
    return {
        "serviceAccountName": WORKER_SERVICE_ACCOUNT,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "runAsGroup": 65532,
            "fsGroup": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "imagePullSecrets": [{"name": name} for name in worker.pull_secrets],
        "containers": [_container(job, worker)],
        "volumes": [
            {"name": "job", "secret": {"secretName": job_input_secret(job.metadata.uid), "defaultMode": 0o440}},
            {"name": "credentials", "secret": {"secretName": CREDENTIALS_SECRET, "defaultMode": 0o440}},
            *source_volumes(job),
            {"name": "tmp", "emptyDir": {"sizeLimit": "1Gi"}},
        ],
    }


def _container(job: IngestJob, worker: WorkerTemplate) -> Manifest:
    return {
        "name": WORKER_COMPONENT,
        "image": worker.image,
        "imagePullPolicy": worker.pull_policy,
        "resources": worker.resources,
        "env": [
            {"name": "DREAMHUB_JOB_DIR", "value": JOB_DIRECTORY},
            {"name": "DREAMHUB_CREDENTIALS_DIR", "value": CREDENTIALS_DIRECTORY},
            {"name": "DREAMHUB_POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "DREAMHUB_TERMINATION_LOG", "value": TERMINATION_LOG},
            {"name": "DREAMHUB_LOG_LEVEL", "value": worker.log_level},
            {"name": "DREAMHUB_UPLOAD_LIMIT_BYTES", "value": str(worker.size_limit)},
            *_scanner_environment(worker.scanner),
            {"name": "TMPDIR", "value": "/tmp"},  # noqa: S108 - the pod's own emptyDir
        ],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "terminationMessagePath": TERMINATION_LOG,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [
            {"name": "job", "mountPath": JOB_DIRECTORY, "readOnly": True},
            {"name": "credentials", "mountPath": CREDENTIALS_DIRECTORY, "readOnly": True},
            *source_mounts(job),
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - the pod's own emptyDir
        ],
    }


def _scanner_environment(scanner: MalwareScanner | None) -> list[Manifest]:
    if scanner is None:
        return []
    return [
        {"name": "DREAMHUB_SCANNER_ADDRESS", "value": scanner.address},
        {"name": "DREAMHUB_SCANNER_LIMIT_BYTES", "value": str(scanner.limit_bytes)},
    ]

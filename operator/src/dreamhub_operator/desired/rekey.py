"""The Job that brings a tenant's content under its active data key: a worker's image and walls, another program."""

from dreamhub.crd.tenant import Tenant
from dreamhub.names import CREDENTIALS_SECRET, TENANT_LABEL, WORKER_SERVICE_ACCOUNT, namespace, rekey_job
from dreamhub_operator.desired.job import (
    COMPONENT_LABEL,
    CREDENTIALS_DIRECTORY,
    GRACE_SECONDS,
    WORKER_COMPONENT,
    WorkerTemplate,
    build_failure_policy,
)
from dreamhub_operator.desired.ownership import MANAGED_BY
from dreamhub_operator.kinds import JOB, Manifest

COMMAND = ("/opt/venv/bin/python", "-m", "dreamhub_worker.rekey")
BACKOFF_LIMIT = 6
KEPT_SECONDS = 3600
RESOURCES: Manifest = {"requests": {"cpu": "50m", "memory": "96Mi"}, "limits": {"cpu": "500m", "memory": "256Mi"}}
"""Little: it is in no hurry, and takes what it needs from the tenant's own quota."""


def build_rekey_job(tenant: Tenant, key_id: str, worker: WorkerTemplate) -> Manifest:
    name = tenant.metadata.name
    labels = {**MANAGED_BY, TENANT_LABEL: name}
    return {
        "apiVersion": JOB.api_version,
        "kind": JOB.name,
        "metadata": {"name": rekey_job(key_id), "namespace": namespace(name), "labels": labels},
        "spec": {
            "backoffLimit": BACKOFF_LIMIT,
            "ttlSecondsAfterFinished": KEPT_SECONDS,
            "podReplacementPolicy": "Failed",
            "podFailurePolicy": build_failure_policy(),
            "template": {
                "metadata": {"labels": {**labels, COMPONENT_LABEL: WORKER_COMPONENT}},
                "spec": _pod(key_id, worker),
            },
        },
    }


def _pod(key_id: str, worker: WorkerTemplate) -> Manifest:
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
        "containers": [_container(key_id, worker)],
        "volumes": [{"name": "credentials", "secret": {"secretName": CREDENTIALS_SECRET, "defaultMode": 0o440}}],
    }


def _container(key_id: str, worker: WorkerTemplate) -> Manifest:
    return {
        "name": WORKER_COMPONENT,
        "image": worker.image,
        "imagePullPolicy": worker.pull_policy,
        "command": list(COMMAND),
        "resources": RESOURCES,
        "env": [
            {"name": "DREAMHUB_CREDENTIALS_DIR", "value": CREDENTIALS_DIRECTORY},
            {"name": "DREAMHUB_KEY_ID", "value": key_id},
            {"name": "DREAMHUB_LOG_LEVEL", "value": worker.log_level},
        ],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [{"name": "credentials", "mountPath": CREDENTIALS_DIRECTORY, "readOnly": True}],
    }

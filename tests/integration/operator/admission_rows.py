"""Requests that a tenant's namespace is closed to, each with the words of its refusal. They are dry runs."""

from typing import Any

DRY = "?dryRun=All"
APPS = "/apis/apps/v1/namespaces/dh-guarded"
BATCH = "/apis/batch/v1/namespaces/dh-guarded"
CORE = "/api/v1/namespaces/dh-guarded"
NETWORK = "/apis/networking.k8s.io/v1/namespaces/dh-guarded"
RIGHTS = "/apis/rbac.authorization.k8s.io/v1/namespaces/dh-guarded"
DREAMHUB = "/apis/dreamhub.dev/v1alpha1"
MERGE = "application/merge-patch+json"
GROUP = "rbac.authorization.k8s.io"

CONTAINER = {
    "name": "main",
    "image": "chosen/by-me:1",
    "command": ["sh"],
    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    "resources": {"requests": {"cpu": "1m", "memory": "1Mi"}, "limits": {"cpu": "1m", "memory": "1Mi"}},
}
POD_SPEC = {
    "containers": [CONTAINER],
    "restartPolicy": "Never",
    "securityContext": {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
}
TEMPLATE = {"metadata": {"labels": {"a": "b"}}, "spec": POD_SPEC}
SELECTED = {"selector": {"matchLabels": {"a": "b"}}, "template": TEMPLATE}
ALWAYS = {**SELECTED, "template": {**TEMPLATE, "spec": {**POD_SPEC, "restartPolicy": "Always"}}}
INLINE = {"source": {"inline": {"name": "note.md", "text": "x"}}}


def manifest(version: str, kind: str, name: str = "mine", /, **fields: Any) -> dict[str, Any]:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}, **fields}


def job_manifest(**metadata: Any) -> dict[str, Any]:
    body = manifest("dreamhub.dev/v1alpha1", "IngestJob", spec=INLINE)
    return {**body, "metadata": {**body["metadata"], **metadata}}


POD = manifest("v1", "Pod", spec=POD_SPEC)
JOB = manifest("batch/v1", "Job", spec={"template": TEMPLATE})
NOT_WORKLOADS = "only DreamHub runs workloads and nobody enters them"
MANAGED = "these are managed by DreamHub"

Row = tuple[str, str, Any, str]

WORKLOADS: dict[str, Row] = {
    "pod": ("POST", f"{CORE}/pods", POD, NOT_WORKLOADS),
    "job": ("POST", f"{BATCH}/jobs", JOB, NOT_WORKLOADS),
    "cron job": (
        "POST",
        f"{BATCH}/cronjobs",
        manifest(
            "batch/v1", "CronJob", spec={"schedule": "* * * * *", "jobTemplate": {"spec": {"template": TEMPLATE}}}
        ),
        NOT_WORKLOADS,
    ),
    "deployment": ("POST", f"{APPS}/deployments", manifest("apps/v1", "Deployment", spec=ALWAYS), NOT_WORKLOADS),
    "daemon set": ("POST", f"{APPS}/daemonsets", manifest("apps/v1", "DaemonSet", spec=ALWAYS), NOT_WORKLOADS),
    "replica set": ("POST", f"{APPS}/replicasets", manifest("apps/v1", "ReplicaSet", spec=ALWAYS), NOT_WORKLOADS),
    "stateful set": (
        "POST",
        f"{APPS}/statefulsets",
        manifest("apps/v1", "StatefulSet", spec={**ALWAYS, "serviceName": "x"}),
        NOT_WORKLOADS,
    ),
    "replication controller": (
        "POST",
        f"{CORE}/replicationcontrollers",
        manifest("v1", "ReplicationController", spec={**ALWAYS, "selector": {"a": "b"}}),
        NOT_WORKLOADS,
    ),
    "image of a running pod": (
        "PATCH",
        f"{CORE}/pods/running",
        {"spec": {"containers": [{**CONTAINER, "image": "another:1"}]}},
        NOT_WORKLOADS,
    ),
    "labels of a running pod": (
        "PATCH",
        f"{CORE}/pods/running",
        {"metadata": {"labels": {"app.kubernetes.io/component": "x"}}},
        NOT_WORKLOADS,
    ),
    "owner of a running pod": (
        "PATCH",
        f"{CORE}/pods/running",
        {"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "x"}]}},
        NOT_WORKLOADS,
    ),
    "ephemeral container": (
        "PATCH",
        f"{CORE}/pods/running/ephemeralcontainers",
        {
            "spec": {
                "ephemeralContainers": [
                    {"name": "debug", "image": "x", "securityContext": CONTAINER["securityContext"]}
                ]
            }
        },
        NOT_WORKLOADS,
    ),
    "delete a job": ("DELETE", f"{BATCH}/jobs/running", None, NOT_WORKLOADS),
    "exec": ("POST", f"{CORE}/pods/running/exec?command=sh&stdout=true", None, NOT_WORKLOADS),
    "attach": ("POST", f"{CORE}/pods/running/attach?stdout=true", None, NOT_WORKLOADS),
    "port-forward": ("POST", f"{CORE}/pods/running/portforward?ports=80", None, NOT_WORKLOADS),
    "pod proxy": ("GET", f"{CORE}/pods/running/proxy/", None, NOT_WORKLOADS),
}

BINDING = manifest(
    f"{GROUP}/v1",
    "RoleBinding",
    roleRef={"apiGroup": GROUP, "kind": "ClusterRole", "name": "view"},
    subjects=[{"apiGroup": GROUP, "kind": "User", "name": "oscar"}],
)
OPEN_WALL = manifest("networking.k8s.io/v1", "NetworkPolicy", spec={"podSelector": {}, "egress": [{}]})
LEGACY_TOKEN = manifest("v1", "Secret", type="kubernetes.io/service-account-token")
LEGACY_TOKEN["metadata"]["annotations"] = {"kubernetes.io/service-account.name": "worker"}
TOKEN_REQUEST = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": ["dreamhub"]}}

OBJECTS: dict[str, Row] = {
    "another network policy": ("POST", f"{NETWORK}/networkpolicies", OPEN_WALL, MANAGED),
    "open a wall": ("PATCH", f"{NETWORK}/networkpolicies/default-deny", {"spec": {"egress": [{}]}}, MANAGED),
    "tear a wall down": ("DELETE", f"{NETWORK}/networkpolicies/default-deny", None, MANAGED),
    "raise the quota": ("PATCH", f"{CORE}/resourcequotas/tenant", {"spec": {"hard": {"pods": "999"}}}, MANAGED),
    "delete the quota": ("DELETE", f"{CORE}/resourcequotas/tenant", None, MANAGED),
    "another limit range": ("POST", f"{CORE}/limitranges", manifest("v1", "LimitRange", spec={"limits": []}), MANAGED),
    "role": ("POST", f"{RIGHTS}/roles", manifest(f"{GROUP}/v1", "Role", rules=[]), MANAGED),
    "role binding": ("POST", f"{RIGHTS}/rolebindings", BINDING, MANAGED),
    "more owners": ("PATCH", f"{RIGHTS}/rolebindings/owners", {"subjects": []}, MANAGED),
    "delete the operator's rights": ("DELETE", f"{RIGHTS}/rolebindings/dreamhub-operator", None, MANAGED),
    "service account": ("POST", f"{CORE}/serviceaccounts", manifest("v1", "ServiceAccount"), MANAGED),
    "change a service account": (
        "PATCH",
        f"{CORE}/serviceaccounts/worker",
        {"automountServiceAccountToken": True},
        MANAGED,
    ),
    "secret": ("POST", f"{CORE}/secrets", manifest("v1", "Secret"), MANAGED),
    "secret that gets a token": ("POST", f"{CORE}/secrets", LEGACY_TOKEN, MANAGED),
    "change the credentials": ("PATCH", f"{CORE}/secrets/dreamhub-credentials", {"data": {"x": "eA=="}}, MANAGED),
    "service": (
        "POST",
        f"{CORE}/services",
        manifest("v1", "Service", spec={"selector": {"a": "b"}, "ports": [{"port": 80}]}),
        MANAGED,
    ),
    "ingress": (
        "POST",
        f"{NETWORK}/ingresses",
        manifest(
            "networking.k8s.io/v1",
            "Ingress",
            spec={"defaultBackend": {"service": {"name": "x", "port": {"number": 1}}}},
        ),
        MANAGED,
    ),
    "token of the worker": (
        "POST",
        f"{CORE}/serviceaccounts/worker/token",
        TOKEN_REQUEST,
        "for service account owner only",
    ),
}

NOT_YOURS = "set by DreamHub only"

NAMESPACES: dict[str, Row] = {
    "name": ("POST", "/api/v1/namespaces", manifest("v1", "Namespace", "dh-squat"), "begin with dh-"),
    "forged label": (
        "POST",
        "/api/v1/namespaces",
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": "x", "labels": {"dreamhub.dev/tenant": "guarded"}},
        },
        NOT_YOURS,
    ),
    "forged label later": (
        "PATCH",
        "/api/v1/namespaces/default",
        {"metadata": {"labels": {"dreamhub.dev/tenant": "default"}}},
        NOT_YOURS,
    ),
    "taken label": ("PATCH", CORE, {"metadata": {"labels": {"dreamhub.dev/tenant": None}}}, NOT_YOURS),
    "other owner": ("PATCH", CORE, {"metadata": {"labels": {"dreamhub.dev/owner-uid": "x"}}}, NOT_YOURS),
    "resumed by hand": ("PATCH", CORE, {"metadata": {"labels": {"dreamhub.dev/suspended": "x"}}}, NOT_YOURS),
    "loose pod security": (
        "PATCH",
        CORE,
        {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "privileged"}}},
        NOT_YOURS,
    ),
    "no pod security": (
        "PATCH",
        CORE,
        {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": None}}},
        NOT_YOURS,
    ),
    "older pod security": (
        "PATCH",
        CORE,
        {"metadata": {"labels": {"pod-security.kubernetes.io/enforce-version": "v1.0"}}},
        NOT_YOURS,
    ),
    "through its status": (
        "PATCH",
        f"{CORE}/status",
        {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "privileged"}}},
        NOT_YOURS,
    ),
    "node selector": (
        "PATCH",
        CORE,
        {"metadata": {"annotations": {"scheduler.alpha.kubernetes.io/node-selector": "a=b"}}},
        "not yours to set",
    ),
    "owner that is gone": (
        "PATCH",
        CORE,
        {"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "Namespace", "name": "x", "uid": "x"}]}},
        "owner references",
    ),
    "deletion": ("DELETE", CORE, None, "delete the Tenant"),
}

INSIDE = {**WORKLOADS, **OBJECTS}
REFUSED = {**INSIDE, **NAMESPACES}

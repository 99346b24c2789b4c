"""The Jobs that try the network from within a namespace, and reading what came of them. Pure.

A listener is a pod to be reached; the kubelet, which every policy lets through, says that it can be. A connector is a
pod that tries to reach it. Both look to policies like the tenant's workers: it is their walls that are tried.
"""

import ipaddress
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from dreamhub.crd.tenant_spec import TenantSpec
from dreamhub.names import API_GROUP, TENANT_LABEL, WORKER_SERVICE_ACCOUNT, namespace
from dreamhub_operator.desired.job import COMPONENT_LABEL, WORKER_COMPONENT, WorkerTemplate
from dreamhub_operator.desired.ownership import MANAGED_BY
from dreamhub_operator.isolation.outcome import Blocked, Inconclusive, Leaked, Outcome
from dreamhub_operator.kinds import JOB, Manifest
from dreamhub_operator.settings import EgressRule

PROBE_LABEL = f"{API_GROUP}/probe"
PORT = 9444
LIVE_SECONDS = 90
"""A listener ends by itself after this; a Job that is left behind is ended and removed soon after."""
KEPT_SECONDS = 60
MODULE = "dreamhub_worker.probe"


@dataclass(frozen=True, slots=True)
class Target:
    """Something that must not be reached, or, as the control, something that must."""

    name: str
    host: str
    port: int

    @property
    def address(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class PodSight:
    """What is seen of a probe's pod."""

    phase: str
    ip: str
    ready: bool
    message: str | None
    """The termination message; None while it runs."""
    waiting: str
    """Why it does not start."""


def build_listener(tenant: str, round_id: str, worker: WorkerTemplate) -> Manifest:
    container = {
        "args": ["listen", str(PORT), str(LIVE_SECONDS)],
        "ports": [{"containerPort": PORT, "protocol": "TCP"}],
        "readinessProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 1, "failureThreshold": 3},
    }
    return _job(tenant, f"dreamhub-probe-{round_id}-target", round_id, worker, container)


def build_connector(
    tenant: str, round_id: str, worker: WorkerTemplate, control: Target, targets: Iterable[Target]
) -> Manifest:
    container = {"args": ["connect", control.address, *(target.address for target in targets)]}
    return _job(tenant, f"dreamhub-probe-{round_id}-connect", round_id, worker, container)


def _job(tenant: str, name: str, round_id: str, worker: WorkerTemplate, container: Manifest) -> Manifest:
    labels = {**MANAGED_BY, TENANT_LABEL: tenant, PROBE_LABEL: round_id}
    return {
        "apiVersion": JOB.api_version,
        "kind": JOB.name,
        "metadata": {"name": name, "namespace": namespace(tenant), "labels": labels},
        "spec": {
            "activeDeadlineSeconds": LIVE_SECONDS,
            "ttlSecondsAfterFinished": KEPT_SECONDS,
            "backoffLimit": 0,
            "template": {
                "metadata": {"labels": {**labels, COMPONENT_LABEL: WORKER_COMPONENT}},
                "spec": _pod(worker, container),
            },
        },
    }


def _pod(worker: WorkerTemplate, container: Manifest) -> Manifest:
    return {
        "serviceAccountName": WORKER_SERVICE_ACCOUNT,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 1,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "runAsGroup": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "imagePullSecrets": [{"name": name} for name in worker.pull_secrets],
        "containers": [
            {
                "name": "probe",
                "image": worker.image,
                "imagePullPolicy": worker.pull_policy,
                "command": ["/opt/venv/bin/python", "-m", MODULE],
                "resources": {
                    "requests": {"cpu": "10m", "memory": "24Mi"},
                    "limits": {"cpu": "200m", "memory": "64Mi"},
                },
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
                **container,
            }
        ],
    }


def read_pod(body: Manifest) -> PodSight:
    status: Manifest = body.get("status") or {}
    container: Manifest = next(iter(status.get("containerStatuses") or ()), {})
    ended: Manifest = container.get("state", {}).get("terminated") or {}
    waiting: Manifest = container.get("state", {}).get("waiting") or {}
    conditions = [item for item in status.get("conditions") or () if item["status"] == "False" and item.get("message")]
    words = waiting.get("reason") or next((item["message"] for item in conditions), "")
    return PodSight(
        phase=status.get("phase", "Pending"),
        ip=status.get("podIP", ""),
        ready=bool(container.get("ready")),
        message=str(ended.get("message") or "") if ended else None,
        waiting=str(words)[:200],
    )


def read_results(message: str) -> dict[str, str]:
    """What the connector wrote: address to outcome. Empty when it wrote nothing that can be read."""
    try:
        found: Any = json.loads(message)
    except ValueError:
        return {}
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}


def judge(results: dict[str, str], control: Target, target: Target) -> Outcome:
    """Whatever else than an open connection to a living target is a wall, if the way to the control is open."""
    if results.get(control.address) != "open":
        return Inconclusive(
            f"the probe's pod could not reach {control.name} either ({results.get(control.address, 'no result')})"
        )
    found = results.get(target.address)
    if found is None:
        return Inconclusive("the probe's pod did not try it")
    return Leaked(f"a connection to {target.address} was opened") if found == "open" else Blocked()


def is_allowed(target: Target, spec: TenantSpec, platform: Iterable[EgressRule]) -> bool:
    """Whether somebody has let this tenant's workers go there on purpose: no wall is claimed then."""
    ranges = [(str(rule.cidr), rule.ports) for rule in platform if rule.cidr is not None]
    ranges += [(rule.to, rule.ports) for rule in spec.network.egress]
    return any(target.port in ports and _contains(cidr, target.host) for cidr, ports in ranges)


def _contains(cidr: str, host: str) -> bool:
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(cidr, strict=False)
    except ValueError:
        return False

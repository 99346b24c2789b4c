"""Pods that talk to each other on the local cluster, and the kubectl that commands them."""

import json
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

# One connection attempt: exit code 0 when it succeeds. Dropped packets show as a timeout.
_CONNECT = "import socket,sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=float(sys.argv[3]))"
_SERVE = """
import http.server, threading
servers = [http.server.ThreadingHTTPServer(("", port), http.server.SimpleHTTPRequestHandler) for port in (8000, 9000)]
threading.Thread(target=servers[0].serve_forever, daemon=True).start()
servers[1].serve_forever()
"""
_TIMEOUT_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Namespace:
    """One namespace of a test, with the image its pods run."""

    name: str
    image: str
    kubeconfig: str

    def kubectl(self, *args: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        command = ["kubectl", "--kubeconfig", self.kubeconfig, "--namespace", self.name, *args]
        return subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, timeout=120)

    def apply(self, *items: dict[str, Any]) -> None:
        """Apply manifests; their namespace is this one.

        Raises:
            RuntimeError: the API server refused one; says why.
        """
        content = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(items)})
        done = self.kubectl("apply", "--filename", "-", stdin=content)
        if done.returncode:
            raise RuntimeError(done.stderr)

    def start(self, *pods: dict[str, Any]) -> None:
        """Apply pods and return when all are Ready."""
        self.apply(*pods)
        names = [f"pod/{pod['metadata']['name']}" for pod in pods]
        done = self.kubectl("wait", "--for=condition=Ready", "--timeout=60s", *names)
        if done.returncode:
            raise RuntimeError(done.stderr + self.kubectl("describe", *names).stdout)

    def address(self, pod: str) -> str:
        return self.kubectl("get", "pod", pod, "--output", "jsonpath={.status.podIP}").stdout

    def connects(self, pod: str, host: str, port: int = 8000) -> bool:
        """Whether a pod gets through to a TCP port within a second."""
        command = ("python3", "-c", _CONNECT, host, str(port), str(_TIMEOUT_SECONDS))
        return self.kubectl("exec", pod, "--", *command).returncode == 0

    def opens(self, pod: str, host: str, port: int = 8000) -> bool:
        """Whether it gets through in the end: policies spread asynchronously."""
        return until(lambda: self.connects(pod, host, port), seconds=60)

    def closes(self, pod: str, host: str, port: int = 8000) -> bool:
        """Whether it no longer gets through in the end."""
        return until(lambda: not self.connects(pod, host, port), seconds=60)


def server(name: str, image: str, **labels: str) -> dict[str, Any]:
    """A pod that answers HTTP on ports 8000 (named http) and 9000 (admin), and is probed by its node."""
    container = {
        "name": "server",
        "image": image,
        "imagePullPolicy": "Never",
        "command": ["python3", "-c", _SERVE],
        "ports": [{"name": "http", "containerPort": 8000}, {"name": "admin", "containerPort": 9000}],
        "readinessProbe": {"httpGet": {"path": "/bin", "port": 8000}, "periodSeconds": 1},
    }
    return _pod(name, labels, container)


def client(name: str, image: str, command: str = "import time; time.sleep(3600)", **labels: str) -> dict[str, Any]:
    """A pod from which connections are tried."""
    container = {"name": "client", "image": image, "imagePullPolicy": "Never", "command": ["python3", "-c", command]}
    return _pod(name, labels, container)


def policy(name: str, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name},
        "spec": {"podSelector": {}, **spec},
    }


def service(name: str, selector: dict[str, str]) -> dict[str, Any]:
    """Port 80 of the pods' port http."""
    ports = [{"port": 80, "targetPort": "http"}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": selector, "ports": ports},
    }


def _pod(name: str, labels: dict[str, str], container: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"name": name, **labels}},
        "spec": {"terminationGracePeriodSeconds": 0, "restartPolicy": "Never", "containers": [container]},
    }


def until(condition: Callable[[], bool], seconds: float) -> bool:
    """Poll a condition until it holds or the time is over."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True

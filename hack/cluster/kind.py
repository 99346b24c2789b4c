"""Runs kind: the configuration it is given, and the states a cluster of containers can be in."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hack.cluster.command import run
from hack.cluster.daemon import Daemon
from hack.cluster.settings import NODE_PORT, POD_SUBNET, Settings


@dataclass(frozen=True, slots=True)
class Node:
    """A node's container as Docker sees it."""

    name: str
    state: str
    image: str


@dataclass(frozen=True, slots=True)
class Kind:
    """One cluster on one daemon, through the `kind` program at `program`."""

    program: str
    settings: Settings
    daemon: Daemon

    def nodes(self) -> list[Node]:
        """The cluster's containers, running or not."""
        mark = f"label=io.x-k8s.kind.cluster={self.settings.name}"
        output = self.daemon.docker("ps", "--all", "--filter", mark, "--format", "{{json .}}")
        return sorted(parse_nodes(output), key=lambda node: node.name)

    def create(self, image: str, *, own_network: bool) -> None:
        """Make the cluster; kind deletes by itself what it could not finish."""
        configuration = json.dumps(cluster_configuration(self.settings, own_network=own_network))
        options = ["--image", image, "--kubeconfig", str(self.settings.kubeconfig), "--config", "-"]
        self._run("create", "cluster", "--name", self.settings.name, *options, stdin=configuration)

    def delete(self) -> None:
        self._run("delete", "cluster", "--name", self.settings.name, "--kubeconfig", str(self.settings.kubeconfig))

    def _run(self, *args: str, stdin: str | None = None) -> None:
        run([self.program, *args], stdin=stdin, environment=self.daemon.environment, timeout=600)


def cluster_configuration(settings: Settings, *, own_network: bool) -> dict[str, Any]:
    """What kind is asked for (JSON is YAML). With `own_network` the pod network comes from us, not from kind."""
    port = {"containerPort": NODE_PORT, "hostPort": settings.port, "listenAddress": "127.0.0.1"}
    workers = (settings.nodes or 1) - 1
    return {
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "networking": {"disableDefaultCNI": own_network, "podSubnet": POD_SUBNET, "ipFamily": "ipv4"},
        "nodes": [
            {"role": "control-plane", "extraPortMappings": [port], "kubeadmConfigPatches": _STORE_PATCHES},
            *({"role": "worker"} for _ in range(workers)),
        ],
    }


def _faster_store(version: str, arguments: object) -> str:
    """Nothing here must survive a power cut, and waiting for the disk costs most of an API write."""
    etcd = {"local": {"extraArgs": arguments}}
    return json.dumps({"apiVersion": f"kubeadm.k8s.io/{version}", "kind": "ClusterConfiguration", "etcd": etcd})


# kind writes the one or the other, by the node's version of Kubernetes; a patch of another version is left out.
_STORE_PATCHES = [
    _faster_store("v1beta3", {"unsafe-no-fsync": "true"}),
    _faster_store("v1beta4", [{"name": "unsafe-no-fsync", "value": "true"}]),
]


def parse_nodes(output: str) -> list[Node]:
    """Nodes out of `docker ps --format '{{json .}}'`, one JSON object a line."""
    rows = [json.loads(line) for line in output.splitlines() if line.strip()]
    return [Node(name=row["Names"], state=row["State"], image=row["Image"]) for row in rows]


@dataclass(frozen=True, slots=True)
class Record:
    """What a finished `up` leaves behind: proof that the cluster was complete, and how it was made."""

    image: str
    own_network: bool
    nodes: int


def read_record(path: Path) -> Record | None:
    """The record of the last finished `up`, or None when there is none or another version wrote it."""
    try:
        return Record(**json.loads(path.read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def write_record(path: Path, record: Record) -> None:
    content = {"image": record.image, "own_network": record.own_network, "nodes": record.nodes}
    path.write_text(json.dumps(content), encoding="utf-8")

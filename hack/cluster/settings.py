"""Names, places and pinned versions of the local cluster, read once from the environment."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hack.cluster.errors import ClusterError

KUBERNETES_VERSION = "1.35.4"
# kindest/node:v1.37.0, the default of the pinned kind, whose pod network enforces NetworkPolicies. Docker wants no tag.
STOCK_NODE_IMAGE = "kindest/node@sha256:a1ed56cfb0e7b93589bdf97c8cd566405a265939e3620fc4f5de89adff580ae5"
STOCK_BASE_IMAGE = "python:3.11-slim-bookworm"
OWN_BASE_IMAGE = "dreamhub/base:bookworm"
PROJECT_FOLDER = Path(__file__).resolve().parent
NODE_PORT = 30080
POD_SUBNET = "10.244.0.0/16"


@dataclass(frozen=True, slots=True)
class Settings:
    """Where everything lives. A second cluster beside the first needs another `name` and another `port`."""

    name: str
    cache: Path
    port: int
    nodes: int | None
    """How many nodes were asked for; None takes a running cluster as it is and makes a new one with one node."""

    @property
    def binaries(self) -> Path:
        return self.cache / "bin"

    @property
    def logs(self) -> Path:
        return self.cache / "log" / self.name

    @property
    def kubeconfig(self) -> Path:
        return self.cache / ("kubeconfig" if self.name == "dreamhub" else f"kubeconfig-{self.name}")

    @property
    def record(self) -> Path:
        """Written when `up` has succeeded; its absence marks a half-made cluster."""
        return self.cache / f"cluster-{self.name}.json"

    @property
    def images(self) -> Path:
        """Data of the private Docker daemon: images stay here between `down` and `up`."""
        return self.cache / ("docker" if self.name == "dreamhub" else f"docker-{self.name}")

    @property
    def runtime(self) -> Path:
        """Everything of the private daemon that must not outlive it."""
        return Path(f"/run/{self.name}-docker")

    @property
    def docker_host(self) -> str:
        return f"unix://{self.runtime}/docker.sock"

    @property
    def bridge(self) -> str:
        """The private daemon's network interface; Linux allows 15 characters."""
        return f"{self.name[:14]}0"


def read_settings(environment: Mapping[str, str] = os.environ, nodes: int | None = None) -> Settings:
    """Take DREAMHUB_CACHE, DREAMHUB_CLUSTER, DREAMHUB_PORT and NODES from the environment."""
    name = environment.get("DREAMHUB_CLUSTER", "dreamhub")
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,13}", name):
        raise ClusterError(f"DREAMHUB_CLUSTER={name} is no cluster name: small letters, digits, dashes, at most 14.")
    home = Path(environment.get("HOME", "/root"))
    cache = Path(environment.get("DREAMHUB_CACHE", home / ".cache/dreamhub/cluster"))
    asked = nodes if nodes is not None else _number(environment, "NODES")
    if asked is not None and not 1 <= asked <= 9:
        raise ClusterError(f"A cluster of {asked} nodes cannot be made: ask for 1 to 9.")
    return Settings(
        name=name,
        cache=cache.expanduser().absolute(),
        port=_number(environment, "DREAMHUB_PORT") or 8080,
        nodes=asked,
    )


def _number(environment: Mapping[str, str], name: str) -> int | None:
    text = environment.get(name, "")
    if not text:
        return None
    if not text.isdecimal():
        raise ClusterError(f"{name}={text} is not a whole number.")
    return int(text)

"""Fills in the pod network's manifest; the agent travels as a ConfigMap, so that a change needs no new node image."""

import hashlib
import json
from pathlib import Path
from string import Template

from hack.cluster.settings import POD_SUBNET, Settings

_FOLDER = Path(__file__).resolve().parent
NETWORK_IMAGE = "dreamhub.local/network:1"


def network_manifest(settings: Settings) -> str:
    """YAML for `kubectl apply`; a changed agent changes an annotation, and thereby rolls the DaemonSet."""
    sources = {path.name: path.read_text(encoding="utf-8") for path in sorted((_FOLDER / "agent").glob("*.py"))}
    text = json.dumps(sources)
    config_map = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "dreamhub-network", "namespace": "kube-system"},
        "data": sources,
    }
    workload = Template((_FOLDER / "manifest.yaml").read_text(encoding="utf-8")).substitute(
        SOURCES=hashlib.sha256(text.encode()).hexdigest()[:16],
        IMAGE=NETWORK_IMAGE,
        API_SERVER=f"{settings.name}-control-plane:6443",
        POD_SUBNET=POD_SUBNET,
    )
    return f"{workload}---\n{json.dumps(config_map)}\n"

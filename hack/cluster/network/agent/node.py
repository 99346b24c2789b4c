"""The node's own side of the pod network: CNI configuration, routes, masquerading."""

import json
import subprocess
from collections.abc import Iterable
from pathlib import Path

from .gate import PLUGIN, PLUGIN_NAME
from .model import Node

_CONFIGURATIONS = Path("/host/net.d")
_PLUGINS = Path("/host/cni-bin")
_MASQUERADE = """table ip dreamhub_masquerade
delete table ip dreamhub_masquerade
table ip dreamhub_masquerade {{
  chain postrouting {{
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr {subnet} ip daddr != {subnet} masquerade
  }}
}}
"""


def cni_configuration(pod_network: str) -> str:
    """Point-to-point links, so that the node routes (and filters) also between its own pods."""
    addresses = {
        "type": "host-local",
        "dataDir": "/run/cni-ipam-state",
        "ranges": [[{"subnet": pod_network}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    }
    plugins = [
        {"type": "ptp", "ipMasq": False, "mtu": 1500, "ipam": addresses},
        {"type": "portmap", "capabilities": {"portMappings": True}},
        {"type": PLUGIN_NAME},
    ]
    return json.dumps({"cniVersion": "0.4.0", "name": "dreamhub", "plugins": plugins})


def plan_routes(nodes: Iterable[Node], own: str) -> dict[str, str]:
    """Pod network -> the node's address to send it to, for all nodes but `own`."""
    return {node.pod_network: node.address for node in nodes if node.name != own}


def apply_routes(wanted: dict[str, str], present: dict[str, str]) -> None:
    """Bring the routing table from `present`, what this agent set before, to `wanted`."""
    for network in present.keys() - wanted.keys():
        run("ip", "route", "delete", network)
    for network, address in wanted.items():
        if present.get(network) != address:
            run("ip", "route", "replace", network, "via", address)


def apply_rules(script: str) -> None:
    """Replace tables in one transaction: either all of the script holds or nothing has changed."""
    run("nft", "-f", "-", stdin=script)


def apply_dead_end(subnet: str) -> None:
    """Refuse what is meant for a pod that is gone: the default route would carry it, and what is in it, elsewhere."""
    run("ip", "route", "replace", "unreachable", subnet)


def apply_masquerade(subnet: str) -> None:
    apply_rules(_MASQUERADE.format(subnet=subnet))


def install_cni(pod_network: str) -> None:
    """Make the node's container runtime use this network; kubelet reports the node Ready from here on."""
    plugin = _PLUGINS / PLUGIN_NAME
    plugin.write_text(PLUGIN, encoding="utf-8")
    plugin.chmod(0o755)
    draft = _CONFIGURATIONS / ".dreamhub"
    draft.write_text(cni_configuration(pod_network), encoding="utf-8")
    draft.rename(_CONFIGURATIONS / "10-dreamhub.conflist")


def run(*command: str, stdin: str | None = None) -> None:
    """Run a program of the network image.

    Raises:
        OSError: it failed; says with which words.
    """
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"{' '.join(command)}: {done.stderr.strip()[:1000]}")

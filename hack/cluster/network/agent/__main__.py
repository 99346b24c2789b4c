"""Starts the watches and the CNI server, then keeps the node as the snapshots say."""

import os
import threading
import time
import traceback
from collections.abc import Callable

from .gate import CLAIMS, read_claims, serve
from .model import parse_namespace, parse_node, parse_pod, parse_policy
from .node import apply_dead_end, apply_masquerade, apply_routes, apply_rules, install_cni, plan_routes
from .rules import ruleset
from .store import Snapshot, Store
from .watch import Server, Watch

_GATHER_SECONDS = 0.01
_RETRY_SECONDS = 1.0
_PATHS = {
    "nodes": ("/api/v1/nodes", parse_node),
    "namespaces": ("/api/v1/namespaces", parse_namespace),
    "pods": ("/api/v1/pods", parse_pod),
    "networkpolicies": ("/apis/networking.k8s.io/v1/networkpolicies", parse_policy),
}


class _Node:
    """Remembers what is in force, so that silent changes cost nothing."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._routes: dict[str, str] = {}
        self._script = ""
        self._network = ""

    def apply(self, snapshot: Snapshot) -> None:
        """Raises OSError when the node cannot be changed; what was in force stays then."""
        script = ruleset(snapshot.policies, snapshot.pods, snapshot.namespaces, self._name)
        if script != self._script:
            apply_rules(script)
            self._script = script
        routes = plan_routes(snapshot.nodes, self._name)
        apply_routes(routes, self._routes)
        self._routes = routes
        own = [node.pod_network for node in snapshot.nodes if node.name == self._name]
        if own and own[0] != self._network:
            install_cni(own[0])
            self._network = own[0]


def main() -> None:
    """Never returns; a thread that ends takes the process with it, and kubelet starts it anew."""
    host, _, port = os.environ["API_SERVER"].rpartition(":")
    server, node = Server(host, int(port)), _Node(os.environ["NODE_NAME"])
    store = Store(claims=read_claims(CLAIMS))
    apply_dead_end(os.environ["POD_SUBNET"])
    apply_masquerade(os.environ["POD_SUBNET"])
    tasks = [Watch(server, store, kind, path, parse).follow_forever for kind, (path, parse) in _PATHS.items()]
    for task in (*tasks, lambda: serve(store)):
        threading.Thread(target=_run_or_exit, args=(task,), daemon=True).start()
    while True:
        snapshot = store.next_snapshot(_GATHER_SECONDS)
        try:
            node.apply(snapshot)
        except OSError as error:
            print(f"The node's network is not up to date: {error}", flush=True)
            time.sleep(_RETRY_SECONDS)
        else:
            store.mark_applied(snapshot.revision)


def _run_or_exit(task: Callable[[], None]) -> None:
    try:
        task()
    finally:
        traceback.print_exc()
        os._exit(1)


main()

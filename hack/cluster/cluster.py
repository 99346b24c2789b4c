"""Brings the cluster up and down: the order of things, and what to do with what is there already."""

import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum, auto

from hack.cluster import binaries, leftovers
from hack.cluster.command import find_program, run, succeeds
from hack.cluster.daemon import Daemon, close_daemon, find_daemon, open_daemon
from hack.cluster.errors import ClusterError
from hack.cluster.kind import Kind, Node, Record, read_record, write_record
from hack.cluster.network.manifest import network_manifest
from hack.cluster.node_image import ensure_node_image, own_node_image
from hack.cluster.progress import Progress
from hack.cluster.settings import STOCK_NODE_IMAGE, Settings

_ANSWER_SECONDS = 40
_RECOVERY_SECONDS = 40
_READY_SECONDS = 120
_SYSTEM_NAMESPACES = ("kube-system", "local-path-storage")


class Step(Enum):
    """What `up` does with the containers it finds."""

    CREATE = auto()
    RECREATE = auto()
    KEEP = auto()


def choose_step(nodes: list[Node], record: Record | None, asked: int | None) -> Step:
    """Keep a cluster that was finished once and whose nodes all run; what is half-made or was killed is made anew.

    Raises:
        ClusterError: a whole cluster runs, but with another number of nodes than was asked for.
    """
    if not nodes:
        return Step.CREATE
    whole = record is not None and record.nodes == len(nodes) and all(node.state == "running" for node in nodes)
    if not whole:
        return Step.RECREATE
    if asked is not None and asked != len(nodes):
        raise ClusterError(f"A cluster of {len(nodes)} node(s) runs, {asked} were asked for: take it down first.")
    return Step.KEEP


@contextmanager
def alone(settings: Settings, progress: Progress) -> Iterator[None]:
    """Hold the cluster's lock: of two `up` at the same time the second waits and then finds everything done."""
    settings.cache.mkdir(parents=True, exist_ok=True)
    with (settings.cache / f"lock-{settings.name}").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress.say("Another process works on the cluster; waiting for it.")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def up(settings: Settings, progress: Progress) -> None:
    """Leave with every node and every system pod Ready, whatever the state before."""
    daemon = open_daemon(settings, progress)
    kind = Kind(ensure_tool(settings, "kind", progress), settings, daemon)
    ensure_tool(settings, "kubectl", progress)
    step = choose_step(kind.nodes(), read_record(settings.record), settings.nodes)
    if step is Step.CREATE or step is Step.RECREATE or not _recovers(settings, progress):
        _create(kind, progress)
        with progress.stage("Wait until nodes and system pods are Ready"):
            _wait_until_ready(settings, _READY_SECONDS)
    progress.say(f"Cluster {settings.name} is up after {progress.seconds:.1f} s: KUBECONFIG={settings.kubeconfig}")


def down(settings: Settings, progress: Progress) -> None:
    """Delete the cluster and, where it is ours, the daemon; images and programs stay in the cache."""
    if os.geteuid() != 0 and settings.runtime.exists():
        raise ClusterError("Root started the private Docker daemon of this cluster; run this as root.")
    daemon = find_daemon(settings)
    if daemon:
        kind = Kind(ensure_tool(settings, "kind", progress), settings, daemon)
        if kind.nodes():
            with progress.stage("Delete the nodes"):
                kind.delete()
        _remove_network(daemon)
    settings.record.unlink(missing_ok=True)
    settings.kubeconfig.unlink(missing_ok=True)
    with progress.stage("Stop the private daemon and clean up"):
        close_daemon(settings)
    progress.say(f"Cluster {settings.name} is down; its images stay in {settings.cache}.")


def ensure_tool(settings: Settings, name: str, progress: Progress) -> str:
    """Path of kind, kubectl or helm: from the cache, from PATH, or built from its module now.

    Another kind than the pinned one does not count: node images and kind releases belong together.
    """
    found = find_program(name, first=settings.binaries)
    if found and (name != "kind" or binaries.KIND_VERSION in run([found, "version"])):
        return found
    module = {"kind": binaries.KIND, "helm": binaries.HELM}.get(name, binaries.KUBERNETES)
    binaries.build(settings, (module,), progress)
    return str(settings.binaries / name)


def kubectl(settings: Settings, *args: str, stdin: str | None = None, timeout: float | None = 120) -> str:
    """Run kubectl on the cluster and return what it printed."""
    program = find_program("kubectl", first=settings.binaries) or "kubectl"
    return run([program, "--kubeconfig", str(settings.kubeconfig), *args], stdin=stdin, timeout=timeout)


def answers(settings: Settings) -> bool:
    """Whether the API server says that it is ready."""
    program = find_program("kubectl", first=settings.binaries) or "kubectl"
    command = [program, "--kubeconfig", str(settings.kubeconfig), "get", "--raw", "/readyz", "--request-timeout=3s"]
    return succeeds(command, timeout=10)


def choose_node_image(settings: Settings, daemon: Daemon, progress: Progress) -> tuple[str, bool]:
    """(image, whether it is ours and so needs our pod network). Kind's own wins wherever it can be had."""
    if daemon.has_image(STOCK_NODE_IMAGE):
        return STOCK_NODE_IMAGE, False
    if not daemon.has_image(own_node_image()):
        with progress.stage("Ask the registry for kind's node image"):
            pulled = daemon.can_pull(STOCK_NODE_IMAGE)
        if pulled:
            return STOCK_NODE_IMAGE, False
    return ensure_node_image(settings, daemon, progress), True


def _recovers(settings: Settings, progress: Progress) -> bool:
    """Whether the cluster that is there is or becomes Ready, with today's network agent."""
    record = read_record(settings.record)
    with progress.stage("Look at the cluster that is there"):
        if record is None or not _answers_within(settings, _ANSWER_SECONDS):
            return False
        try:
            if record.own_network:
                _apply_network(settings)
                rollout = ("rollout", "status", "daemonset/dreamhub-network", f"--timeout={_RECOVERY_SECONDS}s")
                kubectl(settings, "--namespace", "kube-system", *rollout)
            _wait_until_ready(settings, _RECOVERY_SECONDS)
        except ClusterError:
            return False
    return True


def _create(kind: Kind, progress: Progress) -> None:
    """Make the cluster anew, its network included."""
    settings = kind.settings
    settings.record.unlink(missing_ok=True)
    if kind.nodes():
        with progress.stage("Delete an unfinished or stopped cluster"):
            kind.delete()
    image, own_network = choose_node_image(settings, kind.daemon, progress)
    _refuse_taken_port(settings)
    with progress.stage(f"Create the nodes from {image}"):
        kind.create(image, own_network=own_network)
    if own_network:
        _apply_network(settings)
    write_record(settings.record, Record(image, own_network, settings.nodes or 1))


def _apply_network(settings: Settings) -> None:
    kubectl(settings, "apply", "--filename", "-", stdin=network_manifest(settings))


def _wait_until_ready(settings: Settings, seconds: int) -> None:
    wait = ("wait", "--for=condition=Ready", "--all", f"--timeout={seconds}s")
    kubectl(settings, *wait, "nodes", timeout=seconds + 10)
    for namespace in _SYSTEM_NAMESPACES:
        kubectl(settings, "--namespace", namespace, *wait, "pods", timeout=seconds + 10)


def _is_ready(settings: Settings) -> bool:
    """Whether the API server, every node and every system pod are Ready at this moment."""
    if not answers(settings):
        return False
    try:
        _wait_until_ready(settings, 0)
    except ClusterError:
        return False
    return True


def _answers_within(settings: Settings, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not answers(settings):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.5)
    return True


def _refuse_taken_port(settings: Settings) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", settings.port))
        except OSError as error:
            raise ClusterError(
                f"Port {settings.port} of 127.0.0.1 is taken; stop what listens there or set DREAMHUB_PORT to another."
            ) from error


def _remove_network(daemon: Daemon) -> None:
    """Remove kind's network unless another cluster, running or not, is on it."""
    if succeeds(["docker", "network", "inspect", "kind"], environment=daemon.environment):
        users = daemon.docker("ps", "--all", "--quiet", "--filter", "network=kind")
        if not users.strip():
            daemon.docker("network", "rm", "kind")


@dataclass(frozen=True, slots=True)
class Status:
    """What `status` tells."""

    daemon: str
    nodes: list[Node]
    ready: bool
    leftovers: list[str]
    """Of a daemon that no longer answers; `up` and `down` remove them."""

    def lines(self, settings: Settings) -> list[str]:
        """For people."""
        shown = [f"daemon      {self.daemon}"]
        shown += [f"node        {node.name}: {node.state}, image {node.image}" for node in self.nodes] or [
            "node        none"
        ]
        shown += [f"cluster     {'ready' if self.ready else 'not ready'}"]
        if self.ready:
            shown += [f"kubeconfig  {settings.kubeconfig}", f"port        http://127.0.0.1:{settings.port}"]
        return shown + [f"leftover    {line}" for line in self.leftovers]


def read_status(settings: Settings) -> Status:
    """Look, change nothing."""
    daemon = find_daemon(settings)
    if daemon is None:
        remaining = leftovers.find(settings).describe() if os.geteuid() == 0 else []
        return Status("none answers", [], ready=False, leftovers=remaining)
    nodes = Kind("kind", settings, daemon).nodes()
    name = f"private, {daemon.host}" if daemon.host else "the machine's own"
    return Status(name, nodes, ready=bool(nodes) and _is_ready(settings), leftovers=[])

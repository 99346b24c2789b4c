"""Puts images of the Docker daemon into the nodes, only those that a node lacks, all in one archive."""

import os
import subprocess
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from hack.cluster.daemon import Daemon, find_daemon
from hack.cluster.errors import ClusterError, CommandError
from hack.cluster.kind import Kind
from hack.cluster.progress import Progress
from hack.cluster.settings import Settings

_CTR = ("ctr", "--namespace", "k8s.io", "images")


@dataclass(frozen=True, slots=True)
class Image:
    """An image under the name a node uses for it; `identity` is the digest of its configuration."""

    name: str
    identity: str


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """For one node: images to send, and names to give to images that are there already."""

    send: tuple[Image, ...]
    name: tuple[Image, ...]


def load(settings: Settings, names: Iterable[str], progress: Progress) -> None:
    """Make `names` usable by pods with imagePullPolicy IfNotPresent or Never.

    Raises:
        ClusterError: no cluster runs, or the daemon has no such image.
    """
    daemon = find_daemon(settings)
    nodes = Kind("kind", settings, daemon).nodes() if daemon else []
    if daemon is None or not nodes:
        raise ClusterError("No cluster runs: `python -m hack.cluster up` makes one.")
    images = [_inspect(daemon, name) for name in dict.fromkeys(names)]
    plans = {node.name: plan_load(images, _present(daemon, node.name)) for node in nodes}
    for node, plan in plans.items():
        for image in plan.name:
            daemon.docker("exec", node, *_CTR, "tag", "--force", image.identity, image.name)
    wanted = {image.name: image for plan in plans.values() for image in plan.send}
    receivers = [node for node, plan in plans.items() if plan.send]
    if not wanted:
        progress.say(f"The nodes have all {len(images)} images already.")
        return
    with progress.stage(f"Load {', '.join(wanted)} into {', '.join(receivers)}"):
        _send(daemon, list(wanted), receivers, settings.cache)


def canonical_name(name: str) -> str:
    """The full name that container runtimes use: dreamhub/worker:1 -> docker.io/dreamhub/worker:1."""
    first, slash, _ = name.partition("/")
    if not slash:
        name = f"docker.io/library/{name}"
    elif not ({".", ":"} & set(first) or first == "localhost"):
        name = f"docker.io/{name}"
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


def plan_load(images: Iterable[Image], present: dict[str, str]) -> LoadPlan:
    """What a node lacks; `present` maps the node's image names to digests, identities being names, too."""
    send, name = [], []
    for image in images:
        if image.identity not in present:
            send.append(image)
        elif present.get(image.name) != present[image.identity]:
            name.append(image)
    return LoadPlan(tuple(send), tuple(name))


def parse_listing(text: str) -> dict[str, str]:
    """Names to digests out of `ctr images ls`: reference, type, digest and more in columns."""
    rows = [line.split() for line in text.splitlines()[1:]]
    return {row[0]: row[2] for row in rows if len(row) > 2}


def _inspect(daemon: Daemon, name: str) -> Image:
    try:
        identity = daemon.docker("image", "inspect", "--format", "{{.Id}}", name).strip()
    except CommandError as error:
        raise ClusterError(f"The Docker daemon has no image {name}: build it first (`make images`).") from error
    return Image(canonical_name(name), identity)


def _present(daemon: Daemon, node: str) -> dict[str, str]:
    return parse_listing(daemon.docker("exec", node, *_CTR, "ls"))


def _send(daemon: Daemon, names: list[str], nodes: list[str], cache: Path) -> None:
    """Save once, import everywhere at the same time."""
    with TemporaryDirectory(dir=cache, prefix="load-") as folder, ThreadPoolExecutor(len(nodes)) as pool:
        archive = Path(folder, "images.tar")
        daemon.docker("save", "--output", str(archive), *names)
        list(pool.map(lambda node: _import(daemon, archive, node), nodes))


def _import(daemon: Daemon, archive: Path, node: str) -> None:
    command = ["docker", "exec", "--privileged", "--interactive", node, *_CTR, "import", "--digests", "-"]
    with archive.open("rb") as packed:
        done = subprocess.run(
            command,
            stdin=packed,
            env={**os.environ, **daemon.environment},
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise CommandError(command, done.returncode, done.stderr)

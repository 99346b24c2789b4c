"""Puts images of the Docker daemon into the nodes: only the images, and of them only the layers, that a node lacks."""

import os
import subprocess
import tarfile
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from hack.cluster.archive import write_layout
from hack.cluster.daemon import Daemon, find_daemon
from hack.cluster.errors import ClusterError, CommandError
from hack.cluster.kind import Kind
from hack.cluster.progress import Progress
from hack.cluster.settings import Settings

_CTR = ("ctr", "--namespace", "k8s.io")


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
    images = {name: _inspect(daemon, name) for name in names}
    plans = {node.name: plan_load(images.values(), _present(daemon, node.name)) for node in nodes}
    for node, plan in plans.items():
        for image in plan.name:
            daemon.docker("exec", node, *_CTR, "images", "tag", "--force", image.identity, image.name)
    wanted = {name: image for name, image in images.items() if any(image in plan.send for plan in plans.values())}
    receivers = [node for node, plan in plans.items() if plan.send]
    if not wanted:
        progress.say(f"The nodes have all {len(images)} images already.")
        return
    with progress.stage(f"Load {', '.join(wanted)} into {', '.join(receivers)}"):
        _send(daemon, wanted, receivers, settings.cache)


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
    return parse_listing(daemon.docker("exec", node, *_CTR, "images", "ls"))


def _send(daemon: Daemon, images: Mapping[str, Image], nodes: list[str], cache: Path) -> None:
    """Save once, then import everywhere at the same time what each node lacks."""
    with TemporaryDirectory(dir=cache, prefix="load-") as folder, ThreadPoolExecutor(len(nodes)) as pool:
        archive = Path(folder, "images.tar")
        daemon.docker("save", "--output", str(archive), *images)
        names: dict[str, set[str]] = {}
        for image in images.values():
            names.setdefault(image.identity, set()).add(image.name)
        list(pool.map(lambda node: _import(daemon, archive, names, node), nodes))


def _import(daemon: Daemon, archive: Path, names: Mapping[str, set[str]], node: str) -> None:
    present = set(daemon.docker("exec", node, *_CTR, "content", "ls", "--quiet").split())
    command = ["docker", "exec", "--privileged", "--interactive", node, *_CTR, "images", "import", "-"]
    with (
        tarfile.open(archive) as source,
        subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, **daemon.environment},
        ) as process,
    ):
        if process.stdin is None:
            raise ClusterError("The import's input is not open.")
        # An import that fails closes its end early; what it said is worth more than the broken pipe.
        with suppress(BrokenPipeError), process.stdin as target:
            write_layout(source, target, names, present)
        said = process.stdout.read().decode(errors="replace") if process.stdout else ""
    if process.returncode:
        raise CommandError(command, process.returncode, said)

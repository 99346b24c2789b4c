"""`python -m hack.install`: DreamHub on the local cluster, from this tree.

Builds the images that changed, loads them into the nodes, and installs or upgrades the chart with them. `--only worker`
does so for one image and leaves the others as the release has them.
"""

import argparse
import fcntl
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hack.cluster.cluster import ensure_tool, kubectl
from hack.cluster.command import run
from hack.cluster.errors import ClusterError, CommandError
from hack.cluster.settings import NODE_PORT, Settings
from hack.images.dockerfile import DockerfileError
from hack.images.prepare import Images
from hack.images.tags import ON_REQUEST, TARGETS, MissingSourceError
from hack.install.diagnosis import describe_pods
from hack.install.release import RELEASE, Upgrade

_NAMESPACE_MANIFEST = """
apiVersion: v1
kind: Namespace
metadata:
  name: {namespace}
  labels:
    pod-security.kubernetes.io/enforce: restricted
    pod-security.kubernetes.io/warn: restricted
"""


def install(images: Images, arguments: argparse.Namespace) -> None:
    """Build, load, `helm upgrade --install`, wait until everything is ready."""
    settings, progress = images.settings, images.progress
    names = images.build()
    images.load(names)
    helm = ensure_tool(settings, "helm", progress)
    namespace: str = arguments.namespace
    kubectl(settings, "apply", "--filename", "-", stdin=_NAMESPACE_MANIFEST.format(namespace=namespace))
    upgrade = Upgrade(
        namespace=namespace,
        images=names,
        keep_values=bool(arguments.only),
        node_port=NODE_PORT,
        timeout_seconds=arguments.timeout,
        values=arguments.values,
        settings=arguments.set,
    )
    with only_one(settings), progress.stage("Install with Helm and wait until all is ready"):
        forget_killed_operation(settings, namespace)
        try:
            run(upgrade.command(helm), environment={"KUBECONFIG": str(settings.kubeconfig)})
        except CommandError as error:
            raise ClusterError("\n".join([str(error), *_explain(settings, namespace)])) from error
    progress.say(f"DreamHub is ready at http://127.0.0.1:{settings.port} after {progress.seconds:.1f} s")


@contextmanager
def only_one(settings: Settings) -> Iterator[None]:
    """Installations on one cluster wait for each other: Helm would refuse the second."""
    with (settings.cache / "install.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def forget_killed_operation(settings: Settings, namespace: str) -> None:
    """Remove the record that a killed Helm left; with it, Helm says for ever that another operation is in progress."""
    pending = "pending-install,pending-upgrade,pending-rollback"
    selector = f"owner=helm,name={RELEASE},status in ({pending})"
    kubectl(settings, "--namespace", namespace, "delete", "secret", "--selector", selector, "--ignore-not-found")


def _explain(settings: Settings, namespace: str) -> list[str]:
    """What each pod that is not ready waits for, and the end of its log."""
    pods = json.loads(kubectl(settings, "--namespace", namespace, "get", "pods", "--output", "json"))
    lines: list[str] = []
    for name, reasons in describe_pods(pods).items():
        lines.append(f"pod {name}: {reasons}")
        # A container that has not started has no log.
        with suppress(ClusterError):
            log = kubectl(
                settings, "--namespace", namespace, "logs", name, "--all-containers", "--prefix", "--tail", "3"
            )
            lines += [f"  {line}" for line in log.splitlines()]
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m hack.install", description=__doc__)
    parser.add_argument(
        "--only", action="append", choices=(*TARGETS, *ON_REQUEST), default=[], help="rebuild this image alone"
    )
    parser.add_argument("--namespace", default="dreamhub-system")
    parser.add_argument("--values", action="append", type=Path, default=[], help="file with values of the chart")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a value of the chart")
    parser.add_argument("--timeout", type=int, default=300, metavar="SECONDS", help="for everything to become ready")
    arguments = parser.parse_args()
    try:
        install(Images.of_tree(arguments.only or TARGETS), arguments)
    except (ClusterError, DockerfileError, MissingSourceError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

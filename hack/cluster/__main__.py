"""`python -m hack.cluster`: the local cluster from the command line."""

import argparse
import os
import shlex
import sys

from hack.cluster import binaries, cluster
from hack.cluster.daemon import find_daemon, open_daemon
from hack.cluster.debian import ensure_base_image, has_builder
from hack.cluster.errors import ClusterError
from hack.cluster.images import load
from hack.cluster.progress import Progress
from hack.cluster.settings import Settings, read_settings


def main() -> int:
    """Run one command; an error is one sentence, not a stack."""
    arguments = _parser().parse_args()
    progress = Progress()
    try:
        settings = read_settings(nodes=getattr(arguments, "nodes", None))
        return _run(arguments, settings, progress)
    except ClusterError as error:
        progress.say(f"[red]failed[/] after {progress.seconds:.1f} s")
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped; `up` takes up from here.", file=sys.stderr)
        return 130


def _run(arguments: argparse.Namespace, settings: Settings, progress: Progress) -> int:
    match arguments.command:
        case "up":
            with cluster.alone(settings, progress):
                cluster.up(settings, progress)
        case "down":
            with cluster.alone(settings, progress):
                cluster.down(settings, progress)
        case "load":
            load(settings, arguments.images, progress)
        case "status":
            status = cluster.read_status(settings)
            print("\n".join(status.lines(settings)))
            return 0 if status.ready else 1
        case "env":
            print("\n".join(f"export {name}={shlex.quote(value)}" for name, value in environment(settings).items()))
        case "base":
            print(ensure_base_image(settings, open_daemon(settings, progress), progress))
        case _:
            binaries.build(settings, (binaries.HELM, binaries.LINT), progress)
            print(settings.binaries)
    return 0


def environment(settings: Settings) -> dict[str, str]:
    """What a shell needs to use the cluster and to build images for it."""
    daemon = find_daemon(settings)
    variables = {
        "KUBECONFIG": str(settings.kubeconfig),
        "PATH": f"{settings.binaries}:{os.environ.get('PATH', '')}",
    }
    if daemon:
        variables |= daemon.environment
        if not has_builder(daemon):
            variables["DOCKER_BUILDKIT"] = "0"
    return variables


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m hack.cluster", description="A local Kubernetes for DreamHub.")
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="make the cluster, or whatever of it is missing")
    up.add_argument("--nodes", type=int, help="how many (default: $NODES, else 1)")
    commands.add_parser("down", help="delete the cluster and everything of it that runs")
    commands.add_parser("status", help="tell what runs; exit code 0 when the cluster is ready")
    load_parser = commands.add_parser("load", help="put images of the Docker daemon into all nodes")
    load_parser.add_argument("images", nargs="+", metavar="IMAGE")
    commands.add_parser("env", help="print shell lines for docker, kubectl and helm")
    commands.add_parser("base", help="make sure of a base image with Python and print its name")
    commands.add_parser("tools", help="build helm, kubeconform, actionlint and helm-docs; print their folder")
    return parser


if __name__ == "__main__":
    sys.exit(main())

"""`python -m hack.images [build|load|list] [TARGET ...]`: the container images of DreamHub.

Without a command: build what changed and load it into the local cluster.
"""

import argparse
import sys

from hack.cluster.errors import ClusterError
from hack.images.dockerfile import DockerfileError
from hack.images.prepare import Images
from hack.images.tags import TARGETS, MissingSourceError


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m hack.images", description=__doc__)
    parser.add_argument("command", nargs="?", choices=("all", "build", "load", "list"), default="all")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"which images: {', '.join(TARGETS)} (all)")
    arguments = parser.parse_args()
    unknown = set(arguments.targets) - set(TARGETS)
    if unknown:
        parser.error(f"no image is called {', '.join(sorted(unknown))}: there are {', '.join(TARGETS)}")
    try:
        images = Images.of_tree(arguments.targets or TARGETS)
        if arguments.command in ("all", "build"):
            images.build()
        if arguments.command in ("all", "load"):
            images.load()
        if arguments.command == "list":
            for name in images.names.values():
                print(name)
    except (ClusterError, DockerfileError, MissingSourceError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

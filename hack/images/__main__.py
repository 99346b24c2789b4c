"""`python -m hack.images [TARGET ...]`: build the images that changed and load them into the local cluster.

Prints the full name of each image, unchanged ones included.
"""

import argparse
import sys

from hack.cluster.errors import ClusterError
from hack.images.dockerfile import DockerfileError
from hack.images.prepare import Images
from hack.images.tags import ON_REQUEST, TARGETS, MissingSourceError


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m hack.images", description=__doc__)
    parser.add_argument("--no-load", action="store_true", help="build only: needs no cluster")
    known = (*TARGETS, *ON_REQUEST)
    parser.add_argument(
        "targets",
        nargs="*",
        metavar="TARGET",
        help=f"which images: {', '.join(known)} (all but {', '.join(ON_REQUEST)})",
    )
    arguments = parser.parse_args()
    unknown = set(arguments.targets) - set(known)
    if unknown:
        parser.error(f"no image is called {', '.join(sorted(unknown))}: there are {', '.join(known)}")
    try:
        images = Images.of_tree(arguments.targets or TARGETS)
        names = images.build()
        if not arguments.no_load:
            images.load(names)
        print("\n".join(names.values()))
    except (ClusterError, DockerfileError, MissingSourceError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

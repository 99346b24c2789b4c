"""Brings what the tests run and no wheel has onto this machine: `python -m hack.host unit|integration`.

Unit tests render the chart, so they need Helm. Integration tests need a current Redis, ClamAV, Dovecot and, for the
operator, etcd and kube-apiserver. Those two come from pinned Go modules, built once into the user's cache, the others
from the distribution.
"""

import sys
from collections.abc import Sequence

from hack.cluster.binaries import HELM, KUBERNETES, LINT, build
from hack.cluster.errors import ClusterError
from hack.cluster.host import require_programs
from hack.cluster.progress import Progress
from hack.cluster.settings import read_settings

PROGRAMS = {
    "redis-server": "redis-server",
    "clamd": "clamav-daemon",
    "dovecot": "dovecot-imapd",
    "unshare": "util-linux",
    "ip": "iproute2",
}
"""Program -> Debian package. The wheels of Redis are older than the 7.0 whose XAUTOCLAIM the tests rely on."""

MODULES = {"unit": (HELM, LINT), "integration": (KUBERNETES,)}


def main(arguments: Sequence[str] = tuple(sys.argv[1:])) -> int:
    suite = arguments[0] if len(arguments) == 1 else ""
    if suite not in MODULES:
        print(f"usage: python -m hack.host {'|'.join(MODULES)}", file=sys.stderr)
        return 2
    progress = Progress()
    try:
        if suite == "integration":
            require_programs(PROGRAMS, progress)
        build(read_settings(), MODULES[suite], progress)
    except ClusterError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

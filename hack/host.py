"""Sees to it that this machine has what the integration tests run and no wheel brings: a current Redis."""

import sys

from hack.cluster.errors import ClusterError
from hack.cluster.host import require_programs
from hack.cluster.progress import Progress

TEST_PROGRAMS = {"redis-server": "redis-server"}
"""Program -> Debian package. The wheels of Redis are older than the 7.0 whose XAUTOCLAIM the tests rely on."""


def main() -> int:
    try:
        require_programs(TEST_PROGRAMS, Progress())
    except ClusterError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""What this machine has and lacks: programs, rights, capabilities."""

import os
from collections.abc import Callable
from pathlib import Path

from hack.cluster.command import find_program, run
from hack.cluster.errors import ClusterError
from hack.cluster.progress import Progress

# program -> Debian package that brings it
DAEMON_PROGRAMS = {
    "dockerd": "docker.io",
    "docker": "docker.io",
    "runc": "runc",
    "jq": "jq",
    "nft": "nftables",
    "iptables": "iptables",
    "ip": "iproute2",
    "mount": "mount",
}
IMAGE_PROGRAMS = {"debootstrap": "debootstrap", "tar": "tar"}
_CAP_SYS_RESOURCE = 24


def missing_packages(programs: dict[str, str], exists: Callable[[str], bool]) -> list[str]:
    """Debian packages of the programs that do not exist, each once."""
    return sorted({package for program, package in programs.items() if not exists(program)})


def require_programs(programs: dict[str, str], progress: Progress) -> None:
    """Install what is missing when root on Debian or Ubuntu.

    Raises:
        ClusterError: something is missing and cannot be installed from here; names the command that does.
    """
    packages = missing_packages(programs, lambda name: find_program(name) is not None)
    if not packages:
        return
    command = f"apt-get install -y --no-install-recommends {' '.join(packages)}"
    if os.geteuid() != 0 or find_program("apt-get") is None:
        raise ClusterError(f"This machine lacks {', '.join(packages)}. Install them as root:\n  {command}")
    with progress.stage(f"Install {', '.join(packages)}"):
        quiet = {"DEBIAN_FRONTEND": "noninteractive"}
        run(["apt-get", "update"], environment=quiet)
        run(command.split(), environment=quiet)


def require_root(purpose: str) -> None:
    """Refuse early and plainly where the kernel would refuse late and darkly."""
    if os.geteuid() != 0:
        raise ClusterError(
            f"{purpose} needs root. Either start Docker (then kind needs no root), or run this again as root."
        )


def may_raise_limits() -> bool:
    """Whether CAP_SYS_RESOURCE can be had here: privileged containers ask for it."""
    return has_capability(Path("/proc/self/status").read_text(encoding="ascii"), _CAP_SYS_RESOURCE)


def has_capability(status: str, number: int) -> bool:
    """Whether a /proc/<pid>/status text has capability `number` in its bounding set."""
    for line in status.splitlines():
        name, _, value = line.partition(":")
        if name == "CapBnd":
            return bool(int(value, 16) >> number & 1)
    return False

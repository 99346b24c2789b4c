"""Finds and removes what a private Docker daemon leaves on a machine, whether it was stopped or killed.

Everything is recognised by a name of ours: processes by our runtime folder or our cgroup, mounts by our folders, the
interface, the nftables table and the cgroup by the cluster's name. Nothing else is ever touched.
"""

import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from hack.cluster.command import find_program, run, succeeds
from hack.cluster.errors import ClusterError
from hack.cluster.settings import Settings

_STOP_SECONDS = 20
_KILL_SECONDS = 10
_CGROUPS = Path("/sys/fs/cgroup")
# Docker makes these wherever its other folders are, the last to mount it into nodes where the kernel has no modules.
_EMPTY_FOLDERS = (Path("/run/docker/plugins"), Path("/run/docker"), Path("/lib/modules"))


@dataclass(frozen=True, slots=True)
class Leftovers:
    """What is on the machine now."""

    daemon: int | None
    processes: tuple[int, ...]
    mounts: tuple[str, ...]
    """Deepest first: the order to unmount in."""
    interfaces: tuple[str, ...]
    tables: tuple[str, ...]
    cgroups: tuple[Path, ...]
    """Deepest first: the order to remove in."""
    folders: tuple[Path, ...]

    def describe(self) -> list[str]:
        """One line for each thing, for people."""
        lines = [f"process {pid}" for pid in self.processes]
        lines += [f"mount {mount}" for mount in self.mounts]
        lines += [f"interface {name}" for name in self.interfaces]
        lines += [f"nftables table {name}" for name in self.tables]
        lines += [f"cgroup {path}" for path in self.cgroups]
        return lines + [f"folder {path}" for path in self.folders]


def table_name(settings: Settings) -> str:
    """The nftables table with the masquerading rule; nft takes no dash in names."""
    return f"{settings.name.replace('-', '_')}_nodes"


def find(settings: Settings) -> Leftovers:
    """Look at the machine; changes nothing."""
    cgroups = tuple(_find_cgroups(settings))
    members = {pid for cgroup in cgroups for pid in _members(cgroup)}
    folders = (str(settings.runtime), str(settings.images))
    tables = run(["nft", "list", "tables"]).splitlines() if find_program("nft") else []
    return Leftovers(
        daemon=_daemon_process(settings),
        processes=tuple(sorted({*_find_processes(str(settings.runtime)), *members})),
        mounts=mounts_below(Path("/proc/self/mountinfo").read_text(encoding="utf-8"), folders),
        interfaces=(settings.bridge,) if Path("/sys/class/net", settings.bridge).exists() else (),
        tables=tuple(name for name in (table_name(settings),) if f"table ip {name}" in tables),
        cgroups=cgroups,
        folders=(settings.runtime,) if settings.runtime.exists() else (),
    )


def clear(settings: Settings) -> None:
    """Stop the private daemon, politely first, and remove what is left of it.

    Raises:
        ClusterError: something cannot be removed; names it.
    """
    _stop_daemon(settings)
    _kill(settings)
    for mount in find(settings).mounts:
        if not succeeds(["umount", mount]):
            run(["umount", "--lazy", mount])
    found = find(settings)
    for interface in found.interfaces:
        run(["ip", "link", "delete", interface])
    for table in found.tables:
        run(["nft", "delete", "table", "ip", table])
    for cgroup in found.cgroups:
        _remove_cgroup(cgroup)
    _restore_forwarding(settings)
    if found.folders and not mounts_below(
        Path("/proc/self/mountinfo").read_text(encoding="utf-8"), (str(settings.runtime),)
    ):
        shutil.rmtree(settings.runtime)
    for made_by_docker in _EMPTY_FOLDERS:
        with suppress(OSError):  # it is in use, or was never made
            made_by_docker.rmdir()
    remaining = find(settings).describe()
    if remaining:
        raise ClusterError("These things of an earlier cluster cannot be removed:\n  " + "\n  ".join(remaining))


def mounts_below(mountinfo: str, folders: tuple[str, ...]) -> tuple[str, ...]:
    """Mount points inside `folders`, deepest first, from a /proc/<pid>/mountinfo text."""
    points = [line.split()[4].replace("\\040", " ") for line in mountinfo.splitlines() if line]
    inside = [point for point in points if any(point == top or point.startswith(f"{top}/") for top in folders)]
    return tuple(reversed(inside))


def _stop_daemon(settings: Settings) -> None:
    daemon = _daemon_process(settings)
    if daemon is None:
        return
    os.kill(daemon, signal.SIGTERM)
    if not _wait_until_gone({daemon}, _STOP_SECONDS):
        os.kill(daemon, signal.SIGKILL)
        _wait_until_gone({daemon}, _KILL_SECONDS)


def _kill(settings: Settings) -> None:
    """Kill what is left, again and again: containers' processes may still be starting others."""
    deadline = time.monotonic() + _KILL_SECONDS
    while (remaining := find(settings).processes) and time.monotonic() < deadline:
        for pid in remaining:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        _wait_until_gone(set(remaining), 1)


def _wait_until_gone(pids: set[int], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not any(_is_alive(pid) for pid in pids):
            return True
        time.sleep(0.05)
    return False


def _is_alive(pid: int) -> bool:
    """Zombies count as gone: only their parent can take them away."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def _daemon_process(settings: Settings) -> int | None:
    configuration = str(settings.runtime / "daemon.json")
    found = [pid for pid in _find_processes(configuration) if "dockerd" in _command_line(pid)[0]]
    return found[0] if found else None


def _find_processes(text: str) -> Iterator[int]:
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal() and int(folder.name) != os.getpid():
            pid = int(folder.name)
            if is_daemon_part(_command_line(pid), text) and _is_alive(pid):
                yield pid


def is_daemon_part(command: list[str], text: str) -> bool:
    """Whether a command line is one of Docker's programs working below `text`; an editor that names it is not ours."""
    programs = {"dockerd", "containerd", "containerd-shim", "containerd-shim-runc-v2", "docker-proxy", "runc"}
    below = (f"{text}/", f"unix://{text}/")
    return Path(command[0]).name in programs and any(word == text or word.startswith(below) for word in command)


def _command_line(pid: int) -> list[str]:
    try:
        text = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return [""]
    return text.rstrip("\0").split("\0")


def _find_cgroups(settings: Settings) -> Iterator[Path]:
    """Our cgroup in every hierarchy (v1 has one for each controller), children before parents."""
    tops = [_CGROUPS / settings.name, *(path / settings.name for path in _CGROUPS.iterdir() if path.is_dir())]
    for top in tops:
        if top.is_dir():
            yield from (Path(folder) for folder, _, _ in os.walk(top, topdown=False))


def _members(cgroup: Path) -> list[int]:
    try:
        return [int(pid) for pid in (cgroup / "cgroup.procs").read_text(encoding="ascii").split() if pid != "0"]
    except (FileNotFoundError, OSError):
        return []


def _remove_cgroup(cgroup: Path) -> None:
    """The kernel frees a cgroup shortly after its last process has ended."""
    deadline = time.monotonic() + _KILL_SECONDS
    while cgroup.exists():
        try:
            cgroup.rmdir()
        except OSError as error:
            if time.monotonic() > deadline:
                raise ClusterError(f"The cgroup {cgroup} cannot be removed: {error}.") from error
            time.sleep(0.05)


def _restore_forwarding(settings: Settings) -> None:
    former = settings.runtime / "ip_forward"
    if former.is_file():
        Path("/proc/sys/net/ipv4/ip_forward").write_text(former.read_text(encoding="ascii"), encoding="ascii")

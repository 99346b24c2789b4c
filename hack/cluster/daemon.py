"""The Docker daemon that holds the nodes: the machine's own when one answers, else a private one.

The private daemon touches the machine as little as it can: no docker0, no iptables rules (one nftables table of ours
does the masquerading, docker-proxy the published ports), its own cgroup, interface name and runtime folder.
`leftovers` relies on exactly these names to clean up after a daemon that was killed.
"""

import json
import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from hack.cluster import leftovers
from hack.cluster.command import find_program, run, succeeds
from hack.cluster.errors import ClusterError
from hack.cluster.host import DAEMON_PROGRAMS, may_raise_limits, require_programs, require_root
from hack.cluster.progress import Progress
from hack.cluster.settings import PROJECT_FOLDER, Settings

_START_SECONDS = 30
_FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")


@dataclass(frozen=True, slots=True)
class Daemon:
    """An answering Docker daemon; `host` is set when it is the private one."""

    host: str | None

    @property
    def environment(self) -> dict[str, str]:
        """What a `docker` or `kind` process needs to talk to this daemon."""
        return {"DOCKER_HOST": self.host} if self.host else {}

    def docker(self, *args: str, stdin: str | None = None, timeout: float | None = None) -> str:
        """Run one docker command and return what it printed."""
        return run(["docker", *args], stdin=stdin, environment=self.environment, timeout=timeout)

    def has_image(self, name: str) -> bool:
        return succeeds(["docker", "image", "inspect", name], environment=self.environment)

    def can_pull(self, name: str) -> bool:
        """Try to fetch an image; False where no registry is reached (told apart from nothing: any failure counts)."""
        return succeeds(["docker", "pull", "--quiet", name], environment=self.environment, timeout=600)


def find_daemon(settings: Settings) -> Daemon | None:
    """The daemon to use if one answers already: the private one first, since it holds our cluster if it runs."""
    if (settings.runtime / "docker.sock").exists() and _answers(settings.docker_host):
        return Daemon(settings.docker_host)
    return Daemon(None) if _answers(None) else None


def open_daemon(settings: Settings, progress: Progress) -> Daemon:
    """A daemon that answers; starts the private one where none does."""
    daemon = find_daemon(settings)
    if daemon:
        return daemon
    require_root("No Docker daemon answers; starting a private one")
    require_programs(DAEMON_PROGRAMS, progress)
    daemon = find_daemon(settings)  # installing Docker may have started it
    if daemon:
        return daemon
    with progress.stage("Start a private Docker daemon"):
        leftovers.clear(settings)
        _start(settings)
    return Daemon(settings.docker_host)


def close_daemon(settings: Settings) -> None:
    """Stop the private daemon and remove what it made outside its image store; nothing to do where there is none."""
    if os.geteuid() == 0:
        leftovers.clear(settings)


def daemon_configuration(settings: Settings, runtime_wrapper: Path | None) -> dict[str, object]:
    """Content of the private daemon's daemon.json."""
    configuration: dict[str, object] = {
        "hosts": [settings.docker_host],
        "data-root": str(settings.images),
        "exec-root": str(settings.runtime / "exec"),
        "pidfile": str(settings.runtime / "docker.pid"),
        "cgroup-parent": f"/{settings.name}",
        # The systemd driver would take only slices for a parent, and leave the cgroup to systemd.
        "exec-opts": ["native.cgroupdriver=cgroupfs"],
        "storage-driver": "overlay2",
        "bridge": "none",
        "iptables": False,
        "ip-forward": True,
    }
    if runtime_wrapper:
        configuration["runtimes"] = {"reduced": {"path": str(runtime_wrapper)}}
        configuration["default-runtime"] = "reduced"
    return configuration


def masquerade_rules(settings: Settings) -> str:
    """The one table the private daemon needs: nodes reach the outside under the machine's address."""
    return (
        f"table ip {leftovers.table_name(settings)} {{\n"
        "  chain postrouting {\n"
        "    type nat hook postrouting priority srcnat; policy accept;\n"
        f'    iifname "{settings.bridge}" oifname != "{settings.bridge}" masquerade\n'
        "  }\n}\n"
    )


def _answers(host: str | None) -> bool:
    chosen = {"DOCKER_HOST": host} if host else None
    return find_program("docker") is not None and succeeds(
        ["docker", "version", "--format", "{{.Server.Version}}"], environment=chosen, timeout=10
    )


def _start(settings: Settings) -> None:
    settings.runtime.mkdir(parents=True, exist_ok=True)
    settings.images.mkdir(parents=True, exist_ok=True)
    settings.logs.mkdir(parents=True, exist_ok=True)
    # Docker switches forwarding on and leaves it on; `leftovers.clear` puts the former value back.
    (settings.runtime / "ip_forward").write_text(_FORWARDING.read_text(encoding="ascii"), encoding="ascii")
    configuration = settings.runtime / "daemon.json"
    configuration.write_text(json.dumps(daemon_configuration(settings, _runtime_wrapper(settings))), encoding="utf-8")
    dockerd = find_program("dockerd") or "dockerd"
    log = settings.logs / "dockerd.log"
    with log.open("w", encoding="utf-8") as output:
        process = subprocess.Popen(
            [dockerd, "--config-file", str(configuration)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=os.environ | {"PATH": f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin"},
            start_new_session=True,
        )
    deadline = time.monotonic() + _START_SECONDS
    while not _answers(settings.docker_host):
        if process.poll() is not None or time.monotonic() > deadline:
            end = "\n".join(log.read_text(encoding="utf-8").splitlines()[-10:])
            raise ClusterError(f"The private Docker daemon did not start; its log {log} ends with:\n{end}")
        time.sleep(0.1)
    run(["nft", "-f", "-"], stdin=masquerade_rules(settings))
    _make_network(settings)


def _make_network(settings: Settings) -> None:
    """Make the network that kind would make, under an interface name that clean-up knows."""
    daemon = Daemon(settings.docker_host)
    if not succeeds(["docker", "network", "inspect", "kind"], environment=daemon.environment):
        bridge = f"com.docker.network.bridge.name={settings.bridge}"
        daemon.docker("network", "create", "--driver", "bridge", "--opt", bridge, "kind")


def _runtime_wrapper(settings: Settings) -> Path | None:
    if may_raise_limits():
        return None
    source = (PROJECT_FOLDER / "node/runc-without-resource").read_text(encoding="utf-8")
    wrapper = settings.runtime / "runc"
    wrapper.write_text(source.replace("@RUNC@", find_program("runc") or "runc"), encoding="utf-8")
    wrapper.chmod(0o755)
    return wrapper

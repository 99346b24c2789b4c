"""Processes that are killed and come back at once: servers on their old ports and data, the operator in its old pod."""

import asyncio
import contextlib
import os
import pwd
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage

from tests.integration.servers import ServerError, die_with_parent, find_programs, wait_for_port

PAUSE_SECONDS = 0.2


def end_container(process: "subprocess.Popen[bytes]") -> None:
    """`kill -9` of a container's first process: the kernel ends all others of the container with it.

    Else a backend of PostgreSQL that computes goes on until it looks up, and keeps the next server from starting.
    """
    others = [*_find_children(process.pid)]
    process.kill()
    for pid in others:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()


def _find_children(pid: int) -> Iterator[int]:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for child in map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()):
            yield child
            yield from _find_children(child)


def take_time(process: "subprocess.Popen[bytes]", *, kill: bool = False) -> float | None:
    """Seconds of CPU that it has used, once it has ended; None while it runs. Children that it left are not counted."""
    if process.returncode is not None:
        return 0.0
    before = getrusage(RUSAGE_CHILDREN)
    if kill:
        end_container(process)
    if process.poll() is None:
        return None
    after = getrusage(RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@dataclass
class Mortal:
    """A process that is started again whenever it has ended."""

    name: str
    command: Sequence[str]
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    port: int | None = None
    process: "subprocess.Popen[bytes] | None" = None
    cpu_seconds: float = 0.0
    """Of all that have ended."""

    def start(self) -> None:
        command = die_with_parent(self.command, signal.SIGKILL)
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                command, env={**os.environ, **self.environment}, stdout=output, stderr=output
            )

    def kill(self) -> bool:
        """False when there is nothing to kill: it is not up."""
        if self.process is None or not self.is_running(self.process):
            return False
        self.cpu_seconds += take_time(self.process, kill=True) or 0.0
        return True

    def is_running(self, process: "subprocess.Popen[bytes]") -> bool:
        seconds = take_time(process)
        self.cpu_seconds += seconds or 0.0
        return seconds is None

    async def keep(self) -> None:
        """Until this is cancelled."""
        while True:
            self.start()
            while self.process is not None and self.is_running(self.process):
                await asyncio.sleep(0.05)
            await asyncio.sleep(PAUSE_SECONDS)

    async def ready(self) -> None:
        """Of a server: it listens."""
        while self.port is not None and not await self._listens(self.port):
            await asyncio.sleep(PAUSE_SECONDS)

    async def _listens(self, port: int) -> bool:
        with contextlib.suppress(ServerError):
            if self.process is not None:
                await asyncio.to_thread(wait_for_port, port, self.process, self.log)
                return True
        return False


def postgres_command(data: Path, port: int) -> list[str]:
    """As `run_postgres` starts it, over a folder that this one has made."""
    nobody = pwd.getpwnam("nobody")
    drop = ["setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups"]
    settings = {"port": port, "listen_addresses": "127.0.0.1", "unix_socket_directories": data, "fsync": "off"}
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    server = [str(find_programs() / "postgres"), "-D", str(data), *options, "-c", "shared_buffers=256MB"]
    return [*(drop if os.geteuid() == 0 else []), *server]


def redis_command(folder: Path, port: int, password: str) -> list[str]:
    """Without persistence: after a kill it has forgotten streams, functions and users."""
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)]
    return [*command, "--requirepass", password, "--save", "", "--appendonly", "no"]

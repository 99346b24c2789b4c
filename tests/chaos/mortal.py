"""Processes that are killed and come back at once: servers on their old ports and data, the operator in its old pod."""

import asyncio
import contextlib
import os
import pwd
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.integration.servers import ServerError, die_with_parent, find_programs, wait_for_port

PAUSE_SECONDS = 0.2


@dataclass
class Mortal:
    """A process that is started again whenever it has ended."""

    name: str
    command: Sequence[str]
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    port: int | None = None
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        command = die_with_parent(self.command, signal.SIGKILL)
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                command, env={**os.environ, **self.environment}, stdout=output, stderr=output
            )

    def kill(self) -> bool:
        """False when there is nothing to kill: it is not up."""
        if self.process is None or self.process.poll() is not None:
            return False
        self.process.kill()
        self.process.wait()
        return True

    async def keep(self) -> None:
        """Until this is cancelled."""
        while True:
            self.start()
            while self.process is not None and self.process.poll() is None:
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

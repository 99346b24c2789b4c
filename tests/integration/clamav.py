"""Debian's clamd with signatures of our own, on a free port (`apt install clamav-daemon` brings no database)."""

import contextlib
import hashlib
import os
import shutil
import signal
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen

from tests.integration.servers import ServerError, pick_port, run_server

MARK = b"dreamhub-test-malware-0f1e2d3c"
"""What the tests call malware: nothing else holds it."""
HASHED = b"a file that is known as a whole\n"

LIMIT = 8 * 2**20
"""StreamMaxLength of the server."""
PART_LIMIT = 4 * 2**20
"""MaxFileSize: what is larger is not looked at, or, where it is packed, only up to here."""


@dataclass(frozen=True)
class ClamavServer:
    port: int
    process: Popen[bytes]

    def freeze(self) -> None:
        """It accepts connections, as the kernel does that for it, and answers none."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def write_signatures(folder: Path) -> None:
    digest = hashlib.md5(HASHED, usedforsecurity=False).hexdigest()
    (folder / "own.ndb").write_text(f"DreamHub.Test.Mark:0:*:{MARK.hex()}\n")
    (folder / "own.hdb").write_text(f"{digest}:{len(HASHED)}:DreamHub.Test.Hashed\n")


def write_configuration(folder: Path, port: int) -> Path:
    lines = {
        "TCPSocket": port,
        "TCPAddr": "127.0.0.1",
        "DatabaseDirectory": folder / "signatures",
        "TemporaryDirectory": folder,
        "Foreground": "yes",
        "AlertExceedsMax": "yes",
        "StreamMaxLength": LIMIT,
        "MaxFileSize": PART_LIMIT,
        "MaxThreads": 4,
    }
    file = folder / "clamd.conf"
    file.write_text("".join(f"{name} {value}\n" for name, value in lines.items()))
    return file


@contextlib.contextmanager
def run_clamav(folder: Path, port: int | None = None) -> Iterator[ClamavServer]:
    """It answers when the block starts."""
    program = shutil.which("clamd") or shutil.which("clamd", path="/usr/sbin")
    if program is None:
        raise ServerError("clamd is missing: apt install clamav-daemon")
    signatures = folder / "signatures"
    signatures.mkdir(exist_ok=True)
    write_signatures(signatures)
    port = port or pick_port()
    command = [program, "--config-file", str(write_configuration(folder, port))]
    with run_server(command, folder / "log", port, signal.SIGKILL) as process:
        _wait_for_pong(port)
        yield ClamavServer(port, process)


def _wait_for_pong(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(b"zPING\0")
        answer = connection.recv(16)
    if answer != b"PONG\0":
        raise ServerError(f"clamd answers a ping by {answer!r} (user {os.geteuid()})")

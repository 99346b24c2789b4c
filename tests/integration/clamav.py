"""Debian's clamd with signatures of our own, on a free port (`apt install clamav-daemon` brings no database)."""

import contextlib
import hashlib
import shutil
import signal
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen

from tests.integration.servers import START_SECONDS, ServerError, pick_port, run_server

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


def find_program() -> str:
    program = shutil.which("clamd") or shutil.which("clamd", path="/usr/sbin")
    if program is None:
        raise ServerError("clamd is missing: apt install clamav-daemon")
    return program


@contextlib.contextmanager
def run_clamav(folder: Path, port: int | None = None) -> Iterator[ClamavServer]:
    """It answers when the block starts."""
    signatures = folder / "signatures"
    signatures.mkdir()
    write_signatures(signatures)
    port = port or pick_port()
    command = [find_program(), "--config-file", str(write_configuration(folder, port))]
    with run_server(command, folder / "log", port, signal.SIGKILL) as process:
        _ping(socket.create_connection(("127.0.0.1", port), timeout=30))
        yield ClamavServer(port, process)


@contextlib.contextmanager
def run_embedded_clamav(folder: Path, configuration: str) -> Iterator[Path]:
    """By the configuration of the image, with folders of this machine; yields its socket."""
    write_signatures(folder)
    own = {
        "LocalSocket": str(folder / "clamd.sock"),
        "DatabaseDirectory": str(folder),
        "TemporaryDirectory": str(folder),
    }
    lines = [line.split() for line in configuration.splitlines()]
    file = folder / "clamd.conf"
    file.write_text("".join(f"{name} {own.get(name, value)}\n" for name, value in lines))
    with (folder / "log").open("wb") as log:
        process = Popen([find_program(), "--config-file", str(file)], stdout=log, stderr=log)
    try:
        _wait_for_socket(folder / "clamd.sock", process)
        yield folder / "clamd.sock"
    finally:
        process.kill()
        process.wait()


def _wait_for_socket(path: Path, process: Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not path.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            raise ServerError(f"clamd does not start: {path.with_name('log').read_text()[-2_000:]}")
        time.sleep(0.05)
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(30)
    connection.connect(str(path))
    _ping(connection)


def _ping(connection: socket.socket) -> None:
    with connection:
        connection.sendall(b"zPING\0")
        answer = connection.recv(16)
    if answer != b"PONG\0":
        raise ServerError(f"clamd answers a ping by {answer!r}")

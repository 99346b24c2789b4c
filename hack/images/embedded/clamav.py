"""Entry point of the embedded ClamAV image: `update`, `keep-updated`, `serve` or `ping`.

A pod runs them on one volume of signatures and one local socket: `update` once before the others, `serve` is clamd,
`keep-updated` fetches new signatures, where that is wanted. `clamav_gate.py` lets workers in.
"""

import os
import shutil
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

DATABASES = Path("/var/lib/clamav")
OWN_SIGNATURES = Path("/etc/dreamhub/signatures")
"""Where the chart mounts a ConfigMap with signatures of the platform's own."""
SOCKET = Path("/run/clamav/clamd.sock")
CONFIGURATION = Path("/run/clamav/clamd.conf")
UPDATES = Path("/run/clamav/freshclam.conf")
MIRROR = "database.clamav.net"

PART_BYTES, TOTAL_BYTES = 256 * 2**20, 1024 * 2**20
"""What workers accept unpacked of one part of a document, and twice what they accept of all: of a larger packed part
clamd looks at the first bytes and says nothing of the rest."""


class StartError(Exception):
    """The image was started without something it needs; the text says what to do."""


def build_configuration(limit: int) -> str:
    """clamd.conf: everything that is looked at is looked at whole, and what is not is reported."""
    settings = {
        "LocalSocket": SOCKET,
        "LocalSocketMode": "600",
        "DatabaseDirectory": DATABASES,
        "TemporaryDirectory": "/tmp",  # noqa: S108 - the pod's own emptyDir
        "Foreground": "yes",
        "SelfCheck": 300,
        "ConcurrentDatabaseReload": "no",  # both databases at once would need twice the memory
        "MaxThreads": 8,
        "ReadTimeout": 60,
        "CommandReadTimeout": 5,
        "StreamMaxLength": limit,
        "MaxFileSize": max(limit, PART_BYTES),
        "MaxScanSize": max(4 * limit, TOTAL_BYTES),
        "AlertExceedsMax": "yes",
    }
    return "".join(f"{name} {value}\n" for name, value in settings.items())


def copy_signatures(source: Path, target: Path) -> list[str]:
    """The platform's own, in place of those of the last start; returns their names."""
    for stale in target.glob("own-*"):
        stale.unlink()
    files = sorted(file for file in source.iterdir() if file.is_file()) if source.is_dir() else []
    for file in files:
        shutil.copyfile(file, target / f"own-{file.name}")
    return [file.name for file in files]


def update(environment: Mapping[str, str]) -> None:
    """Fetches signatures where there are none yet: clamd does not start without any."""
    own = copy_signatures(OWN_SIGNATURES, DATABASES)
    fetched = [file for file in DATABASES.glob("*.c?d") if not file.name.startswith("own-")]
    if environment.get("DREAMHUB_SIGNATURE_UPDATES") == "true" and not fetched:
        _become_freshclam(environment)
    if not own and not fetched:
        raise StartError(f"no signatures in {DATABASES} or {OWN_SIGNATURES}: turn updates on, or mount some")


def _become_freshclam(environment: Mapping[str, str], *options: str) -> NoReturn:
    mirror = environment.get("DREAMHUB_SIGNATURE_MIRROR") or MIRROR
    UPDATES.write_text(f"DatabaseDirectory {DATABASES}\nDatabaseMirror {mirror}\nChecks 12\n")
    os.execv("/usr/bin/freshclam", ["freshclam", f"--config-file={UPDATES}", "--stdout", *options])


def serve(environment: Mapping[str, str]) -> NoReturn:
    limit = environment.get("DREAMHUB_SCANNER_LIMIT_BYTES", "")
    if not limit.isdigit():
        raise StartError("DREAMHUB_SCANNER_LIMIT_BYTES is not set to a number of bytes")
    CONFIGURATION.write_text(build_configuration(int(limit)))
    SOCKET.unlink(missing_ok=True)
    os.execv("/usr/sbin/clamd", ["clamd", f"--config-file={CONFIGURATION}"])


def ping() -> None:
    """For the probe: clamd answers when its signatures are loaded."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(5)
        connection.connect(str(SOCKET))
        connection.sendall(b"zPING\0")
        if connection.recv(16) != b"PONG\0":
            raise StartError("clamd does not answer")


def main(arguments: list[str]) -> None:
    commands = {
        "update": lambda: update(os.environ),
        "keep-updated": lambda: _become_freshclam(os.environ, "--daemon", "--foreground"),
        "serve": lambda: serve(os.environ),
        "ping": ping,
    }
    if len(arguments) != 1 or arguments[0] not in commands:
        sys.exit(f"usage: clamav.py {'|'.join(commands)}")
    try:
        commands[arguments[0]]()
    except (StartError, OSError) as error:
        sys.exit(f"clamav: {error}")


if __name__ == "__main__":
    main(sys.argv[1:])

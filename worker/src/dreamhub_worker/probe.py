"""`python -m dreamhub_worker.probe`: the pod's part in proving that the network between tenants is closed.

    listen PORT SECONDS          answer on a port, so that there is something to be reached
    connect CONTROL TARGET...    try to open a connection to each host:port, the one that must be open first

What `connect` found becomes the container's termination message, as JSON: `{"host:port": "open" | "refused" |
"silent" | "<error>"}`. The standard library alone, so that a probe is started and done within a second.
"""

import json
import os
import socket
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

TERMINATION_LOG = Path("/dev/termination-log")
TRY_SECONDS = 3.0
TRIES = 2
"""One lost packet must not look like a wall."""
CONTROL_SECONDS = 20.0
"""A policy that lets a new pod out takes a moment to reach its node."""


def split_address(text: str) -> tuple[str, int]:
    """`host:port`, an IPv6 host in brackets. Raises ValueError."""
    host, _, port = text.rpartition(":")
    if not host:
        raise ValueError(f"{text!r} is no host:port")
    return host.strip("[]"), int(port)


def connect_once(address: str) -> str:
    """What a connection comes to: open, refused (somebody answered), silent (nobody did), or the error's name."""
    try:
        with socket.create_connection(split_address(address), timeout=TRY_SECONDS):
            return "open"
    except ConnectionRefusedError:
        return "refused"
    except TimeoutError:
        return "silent"
    except OSError as error:
        return os.strerror(error.errno) if error.errno else type(error).__name__


def connect_control(address: str) -> str:
    """As `connect_once`, tried until it is open or its time is over."""
    deadline = time.monotonic() + CONTROL_SECONDS
    while (found := connect_once(address)) != "open" and time.monotonic() < deadline:
        time.sleep(0.5)
    return found


def connect_target(address: str) -> str:
    """`open` when one of the tries was."""
    found = ""
    for _ in range(TRIES):
        found = connect_once(address)
        if found == "open":
            break
    return found


def connect(control: str, targets: Sequence[str]) -> dict[str, str]:
    """All at once after the control, which shows that this pod reaches anything at all."""
    results = {control: connect_control(control)}

    def ask(target: str) -> None:
        results[target] = connect_target(target)

    threads = [threading.Thread(target=ask, args=(target,)) for target in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def listen(port: int, seconds: float) -> None:
    """Take connections and close them, for so long."""
    deadline = time.monotonic() + seconds
    with _open(port) as server:
        while (left := deadline - time.monotonic()) > 0:
            server.settimeout(left)
            try:
                connection, _ = server.accept()
            except TimeoutError:
                return
            connection.close()


def _open(port: int) -> socket.socket:
    """On every address of the pod, of both families where it has both."""
    if socket.has_dualstack_ipv6():
        return socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", port))


def main(arguments: Sequence[str]) -> int:
    """The exit code: 0 when it did its part, whatever it found; 2 for arguments that make no sense."""
    match arguments:
        case ["listen", port, seconds]:
            listen(int(port), float(seconds))
        case ["connect", control, *targets]:
            TERMINATION_LOG.write_text(json.dumps(connect(control, targets)), encoding="utf-8")
        case _:
            sys.stderr.write(f"{__doc__}\n")
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

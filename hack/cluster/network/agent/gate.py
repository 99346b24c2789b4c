"""The last step of a pod's network set-up: CNI asks here, and is answered once the pod's policies are in force."""

import http.server
import json
import socketserver
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .store import Claim, Store

SOCKET = Path("/run/dreamhub-network/agent.sock")
CLAIMS = SOCKET.with_name("claims.json")
PLUGIN_NAME = "dreamhub-gate"
# Speaks CNI on one side and HTTP on the other; a pod that goes away must not wait for an agent that is away.
PLUGIN = f"""#!/bin/sh
curl --silent --show-error --fail-with-body --max-time 20 --unix-socket {SOCKET} \\
  --header "Command: $CNI_COMMAND" --header "Container: $CNI_CONTAINERID" --header "Arguments: $CNI_ARGS" \\
  --data-binary @- http://agent/ || [ "$CNI_COMMAND" = DEL ]
"""
_WAIT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class GateError(Exception):
    """Why a pod may not start yet; kubelet shows it in the pod's events and tries again."""

    message: str


def answer(store: Store, command: str, container: str, arguments: str, configuration: Mapping[str, Any]) -> Any:
    """What the plugin prints for a CNI command.

    Raises:
        GateError: the pod is unknown, or the node's packet filter could not be brought up to date.
    """
    if command == "VERSION":
        return {"cniVersion": "1.0.0", "supportedVersions": ["0.3.1", "0.4.0", "1.0.0"]}
    if command == "DEL":
        store.claim(container, None)
    elif command == "ADD":
        _admit(store, container, arguments, configuration)
    return configuration.get("prevResult") or {}


def _admit(store: Store, container: str, arguments: str, configuration: Mapping[str, Any]) -> None:
    given = dict(entry.partition("=")[::2] for entry in arguments.split(";"))
    namespace, name, uid = (given.get(f"K8S_POD_{part}", "") for part in ("NAMESPACE", "NAME", "UID"))
    if not store.wait_for_pod(namespace, name, uid, _WAIT_SECONDS):
        raise GateError(f"the API server did not tell of pod {namespace}/{name}")
    addresses = [entry["address"].partition("/")[0] for entry in configuration["prevResult"]["ips"]]
    revision = store.claim(container, Claim(namespace, name, uid, tuple(text for text in addresses if ":" not in text)))
    if not store.wait_until_applied(revision, _WAIT_SECONDS):
        raise GateError(f"the policies of pod {namespace}/{name} are not in force; see the log of the network agent")


def read_claims(path: Path) -> dict[str, Claim]:
    """The claims that an earlier run of this agent kept; none when there are none or they cannot be read."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {key: Claim(space, name, uid, tuple(given)) for key, (space, name, uid, given) in content.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def keep_claims(path: Path, claims: Mapping[str, Claim]) -> None:
    """Keep claims beyond this process: an agent that starts anew must not open what the API server tells late."""
    draft = path.with_suffix(".new")
    content = {key: [claim.namespace, claim.name, claim.uid, claim.addresses] for key, claim in claims.items()}
    draft.write_text(json.dumps(content), encoding="utf-8")
    draft.rename(path)


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


def serve(store: Store) -> None:
    """Answer on the socket for ever; runs in a thread of its own."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            configuration = json.loads(self.rfile.read(length) or b"{}")
            header = self.headers
            asked = (header.get("Command", ""), header.get("Container", ""), header.get("Arguments", ""))
            try:
                status, body = 200, answer(store, *asked, configuration)
                with store.changed:
                    keep_claims(CLAIMS, store.claims)
            except GateError as error:
                status, body = 503, {"cniVersion": "0.4.0", "code": 11, "msg": error.message}
            content = json.dumps(body).encode()
            self.send_response_only(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    SOCKET.parent.mkdir(parents=True, exist_ok=True)
    SOCKET.unlink(missing_ok=True)
    with _Server(str(SOCKET), Handler) as server:
        server.serve_forever()

"""Reaching DreamHub with nothing but kubectl: a login minted from a service account, a way in by port-forward.

So a newcomer needs neither an identity provider nor an ingress. kubectl brings the cluster's address and rights; what
it refuses is told in its own words.
"""

import asyncio
import re
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from dreamhub_client.credentials import RenewedToken
from dreamhub_client.errors import CredentialError, UnreachableError

AUDIENCE = "dreamhub"
SERVICE_ACCOUNT = "owner"
API_SERVICE = "dreamhub-api"
SYSTEM_NAMESPACE = "dreamhub-system"
TOKEN_SECONDS = 3600
FORWARD_SECONDS = 20

_FORWARDING = re.compile(r"Forwarding from 127\.0\.0\.1:(\d+)")


@dataclass(frozen=True)
class KubeAccess:
    """Which cluster, and where in it. `kubeconfig` and `context` None are kubectl's own defaults."""

    tenant: str
    system_namespace: str = SYSTEM_NAMESPACE
    kubectl: str = "kubectl"
    kubeconfig: Path | None = None
    context: str | None = None

    @property
    def tenant_namespace(self) -> str:
        return f"dh-{self.tenant}"

    def command(self, *arguments: str) -> list[str]:
        flags = ["--kubeconfig", str(self.kubeconfig)] if self.kubeconfig else []
        if self.context:
            flags += ["--context", self.context]
        return [self.kubectl, *flags, *arguments]


async def create_token(access: KubeAccess, seconds: int = TOKEN_SECONDS) -> str:
    """A token of the tenant's `owner` service account.

    Raises:
        CredentialError: kubectl is missing, or the cluster refuses.
    """
    command = access.command(
        *("--namespace", access.tenant_namespace, "create", "token", SERVICE_ACCOUNT),
        *("--audience", AUDIENCE, "--duration", f"{seconds}s"),
    )
    process = await _start(command, stderr=PIPE)
    out, err = await process.communicate()
    if process.returncode != 0:
        raise CredentialError(
            f"kubectl gave no token for tenant {access.tenant}: {_last_line(err)}. "
            f"Check the cluster with `kubectl get tenant {access.tenant}`"
        )
    return out.decode().strip()


def kube_tokens(access: KubeAccess) -> RenewedToken:
    """Tokens minted as they are needed, renewed well before they expire."""
    return RenewedToken(lambda: create_token(access), TOKEN_SECONDS * 0.8)


@asynccontextmanager
async def forward_api(access: KubeAccess) -> AsyncIterator[str]:
    """A server address on this machine that leads to the API while the context is open.

    Raises:
        UnreachableError: kubectl is missing, or the service has no ready pod.
    """
    command = access.command(
        *("--namespace", access.system_namespace, "port-forward", f"service/{API_SERVICE}", ":80"),
        *("--address", "127.0.0.1"),
    )
    try:
        process = await _start(command, stderr=STDOUT)
    except CredentialError as error:
        raise UnreachableError(error.message) from error
    drain: asyncio.Task[None] | None = None
    try:
        port = await _await_port(process.stdout, access)
        drain = asyncio.create_task(_drain(process.stdout))
        yield f"http://127.0.0.1:{port}"
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        if drain is not None:
            await drain
        await process.wait()


async def _start(command: list[str], stderr: int) -> Process:
    try:
        return await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=stderr)
    except FileNotFoundError as error:
        raise CredentialError(
            f"{command[0]} is not installed or not on the PATH: install kubectl, or give --server and --token-file"
        ) from error


async def _await_port(output: asyncio.StreamReader | None, access: KubeAccess) -> int:
    said = b""
    with suppress(TimeoutError):
        async with asyncio.timeout(FORWARD_SECONDS):
            while output is not None and (line := await output.readline()):
                if found := _FORWARDING.search(line.decode()):
                    return int(found[1])
                said += line
    raise UnreachableError(
        f"kubectl cannot forward to service {API_SERVICE} in namespace {access.system_namespace}: "
        f"{_last_line(said)}. Look at `kubectl -n {access.system_namespace} get pods`"
    )


async def _drain(output: asyncio.StreamReader | None) -> None:
    """Reads what kubectl tells of each connection; unread, it would fill the pipe and stop kubectl."""
    while output is not None and await output.read(4096):
        pass


def _last_line(output: bytes) -> str:
    lines = output.decode(errors="replace").strip().splitlines()
    return (
        lines[-1].removeprefix("error: ").removeprefix("Error from server ").rstrip(".")
        if lines
        else "it gave no reason"
    )

"""Which server and which login: decided once, from the options and the environment."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from dreamhub_client import Client, FileToken, StaticToken, TokenSource, open_client
from dreamhub_client.kube import SYSTEM_NAMESPACE, KubeAccess, forward_api, kube_tokens


class UsageError(Exception):
    """The options contradict each other or say too little."""


@dataclass(frozen=True)
class Connection:
    """At least one of `server` and `kube`; exactly one way to log in."""

    server: str | None
    kube: KubeAccess | None
    token: str | None
    token_file: Path | None

    def tokens(self) -> TokenSource:
        if self.token_file is not None:
            return FileToken(self.token_file)
        if self.token is not None:
            return StaticToken(self.token)
        if self.kube is None:
            raise UsageError("no login: give --token-file, --token or --kube")
        return kube_tokens(self.kube)

    @property
    def logs_in_by_kubectl(self) -> bool:
        return self.token is None and self.token_file is None

    def describe(self) -> str:
        return self.server or (f"service in the cluster, tenant {self.kube.tenant}" if self.kube else "nothing")


def parse_kube(value: str, context: str | None) -> KubeAccess:
    """`TENANT` or `NAMESPACE/TENANT`, where NAMESPACE is the one that DreamHub is installed in."""
    namespace, slash, tenant = value.rpartition("/")
    if not tenant or (slash and not namespace):
        raise UsageError(f"--kube {value}: give TENANT or NAMESPACE/TENANT, such as acme or dreamhub-system/acme")
    return KubeAccess(tenant=tenant, system_namespace=namespace or SYSTEM_NAMESPACE, context=context)


def choose_connection(
    *, server: str | None, token: str | None, token_file: Path | None, kube: KubeAccess | None
) -> Connection:
    """The connection that the options mean.

    Raises:
        UsageError: they mean none, or two.
    """
    if server is None and kube is None:
        raise UsageError(
            "no server: give --server https://..., set DREAMHUB_SERVER, or use a cluster that kubectl reaches by "
            "--kube TENANT"
        )
    if token is not None and token_file is not None:
        raise UsageError("--token and --token-file (or their variables) are both set: give one")
    if token is None and token_file is None and kube is None:
        raise UsageError(
            "no login: give --token-file, set DREAMHUB_TOKEN, or let kubectl mint a token by --kube TENANT"
        )
    return Connection(server, kube, token, token_file)


@asynccontextmanager
async def connect(connection: Connection) -> AsyncIterator[Client]:
    """A client of the connection; opens a port-forward when there is no server address."""
    if connection.server is not None:
        async with open_client(connection.server, connection.tokens()) as client:
            yield client
        return
    if connection.kube is None:
        raise UsageError("no server: give --server or --kube")
    async with forward_api(connection.kube) as server, open_client(server, connection.tokens()) as client:
        yield client

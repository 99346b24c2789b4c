"""The way to the API server, the same for kopf's watches and our own requests.

Credentials are found as kopf finds them (service account in a pod, else kubeconfig). The token goes into each request
by a middleware that re-reads its file every minute: the kubelet rotates projected tokens while we run.

aiohttp directly, because kopf brings it anyway. `kubernetes.aio` 37 costs more CPU for one create (measured over 300 of
a ConfigMap: 0.5 ms here, 1.2 ms by its ApiClient, 1.5 ms by its dynamic client, 2.1 ms typed) and tens of megabytes:
docs/adr/0016-the-operator-speaks-http.md.
"""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import kopf

from dreamhub.errors import InvalidInputError

TOKEN_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
TOKEN_SECONDS = 60.0

Handler = Callable[[aiohttp.ClientRequest], Awaitable[aiohttp.ClientResponse]]


@dataclass
class TokenFile:
    """The service account's token, read again when it is older than a minute."""

    path: Path
    clock: Callable[[], float] = time.monotonic
    _text: str = ""
    _read_at: float = field(default=float("-inf"))

    def read(self) -> str:
        if self.clock() - self._read_at > TOKEN_SECONDS:
            self._text = self.path.read_text(encoding="utf-8").strip()
            self._read_at = self.clock()
        return self._text

    async def authorize(self, request: aiohttp.ClientRequest, handler: Handler) -> aiohttp.ClientResponse:
        """The middleware."""
        request.headers["Authorization"] = f"Bearer {self.read()}"
        return await handler(request)


@dataclass(frozen=True)
class Connection:
    """Where the API server is, and sessions that are logged in to it."""

    credentials: kopf.ConnectionInfo

    @property
    def url(self) -> str:
        return self.credentials.server

    def open_session(self, *traces: aiohttp.TraceConfig) -> aiohttp.ClientSession:
        """A session without a total timeout, since watches have none: requests bring theirs. The caller closes it."""
        in_pod = TOKEN_FILE.exists()
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=self.credentials.as_ssl_context()),
            headers={} if in_pod else self.credentials.as_http_headers(),
            middlewares=[TokenFile(TOKEN_FILE).authorize] if in_pod else [],
            trace_configs=list(traces),
        )


def find_credentials() -> kopf.ConnectionInfo:
    """Where the API server is and how to log in. Raises InvalidInputError when neither way is there."""
    settings = kopf.OperatorSettings()
    found = kopf.login_with_service_account(settings=settings) or kopf.login_with_kubeconfig(settings=settings)
    if not isinstance(found, kopf.ConnectionInfo):
        raise InvalidInputError(
            "no way to the Kubernetes API: run in a pod with a service account token, or set KUBECONFIG"
        )
    return found

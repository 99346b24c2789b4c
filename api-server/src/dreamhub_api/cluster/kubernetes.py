"""Requests to the Kubernetes API server by path, with our errors. The typed layer above knows which resources exist."""

import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp
from kubernetes.aio import client, config

from dreamhub.errors import (
    BugError,
    ConflictError,
    DreamHubError,
    ForbiddenError,
    InvalidInputError,
    LimitExceededError,
    NotFoundError,
    UnavailableError,
)

REQUEST_TIMEOUT = aiohttp.ClientTimeout(total=15, connect=5)
WATCH_SECONDS = 240
"""The API server ends a watch after this; a silent network fault is noticed a little later."""

JSON = "application/json"
MERGE = "application/merge-patch+json"

Object = dict[str, Any]
Query = Mapping[str, str]


class WatchExpiredError(Exception):
    """410: the resource version is too old to watch from. Caught by the watch cache, which lists again."""


class KubernetesApi:
    """One connection pool. In a pod the service account's token is read again as it rotates."""

    def __init__(self, api: client.ApiClient) -> None:
        self._api: Any = api

    @classmethod
    async def open(cls, kubeconfig: Path | None) -> "KubernetesApi":
        loader: Any = config  # the client is typed only in part
        configuration = client.Configuration()
        if kubeconfig is None:
            loader.load_incluster_config(client_configuration=configuration)
        else:
            await loader.load_kube_config(str(kubeconfig), client_configuration=configuration)
        return cls(client.ApiClient(configuration))

    async def close(self) -> None:
        await self._api.close()

    async def request(
        self, method: str, path: str, *, query: Query | None = None, body: Object | None = None
    ) -> Object:
        """One call; the answer's JSON. A PATCH is a merge patch. Raises the errors of `error_of`."""
        try:
            response = await self._send(method, path, query or {}, body, REQUEST_TIMEOUT)
            data = await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _unreachable() from error
        if response.status >= 400:
            raise error_of(response.status, data)
        answer: Object = json.loads(data)
        return answer

    async def watch(self, path: str, query: Query) -> AsyncIterator[Object]:
        """Events until the API server ends the watch. Lines may outgrow any stream buffer, so they are cut here."""
        wanted = {**query, "watch": "true", "allowWatchBookmarks": "true", "timeoutSeconds": str(WATCH_SECONDS)}
        timeout = aiohttp.ClientTimeout(total=WATCH_SECONDS + 15, connect=5)
        try:
            response = await self._send("GET", path, wanted, None, timeout)
            try:
                if response.status >= 400:
                    raise _watch_error(response.status, await response.read())
                async for event in _events(response.content):
                    yield event
            finally:
                response.close()
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise _unreachable() from error

    async def _send(
        self, method: str, path: str, query: Query, body: Object | None, limits: aiohttp.ClientTimeout
    ) -> aiohttp.ClientResponse:
        serialized = await self._api.param_serialize(
            method=method,
            resource_path=path,
            query_params=list(query.items()),
            header_params={"Accept": "application/json", "Content-Type": MERGE if method == "PATCH" else JSON},
            body=body,
            auth_settings=["BearerToken"],
        )
        answer = await self._api.call_api(*serialized, _request_timeout=limits)
        response: aiohttp.ClientResponse = answer.response
        return response


async def _events(stream: aiohttp.StreamReader) -> AsyncIterator[Object]:
    rest = b""
    async for piece in stream.iter_any():
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            if line.strip():
                event: Object = json.loads(line)
                if event.get("type") == "ERROR":
                    status = event.get("object", {})
                    raise _watch_error(int(status.get("code", 500)), json.dumps(status).encode())
                yield event


def _watch_error(status: int, data: bytes) -> Exception:
    return WatchExpiredError() if status == 410 else error_of(status, data)


def _unreachable() -> UnavailableError:
    return UnavailableError("the Kubernetes API server does not answer; try again", code="KubernetesUnavailable")


def error_of(status: int, data: bytes) -> DreamHubError:
    """Our error for a refusal. Only what a caller can mend carries Kubernetes' own sentence."""
    try:
        message = str(json.loads(data).get("message", ""))
    except (ValueError, AttributeError):
        message = ""
    match status:
        case 400 | 422:
            return InvalidInputError(f"the cluster refused it: {message}", code="RefusedByCluster")
        case 401 | 403:
            return _forbidden(message)
        case 404:
            return NotFoundError("there is no such object in the cluster")
        case 409:
            return ConflictError("the object exists already or was changed meanwhile")
        case _:
            return UnavailableError(
                "the Kubernetes API server does not serve this now; try again", code="KubernetesUnavailable"
            )


def _forbidden(message: str) -> DreamHubError:
    """Admission answers 403 too; what is left is a role that the chart did not grant."""
    if "exceeded quota" in message:
        return LimitExceededError("the tenant's quota of objects in its namespace is used up", code="OverQuota")
    if "being terminated" in message:
        return ForbiddenError("the tenant's namespace is being deleted", code="TenantDeleting")
    return BugError(f"the server's own Kubernetes login may not do this: {message}", code="ClusterRole")

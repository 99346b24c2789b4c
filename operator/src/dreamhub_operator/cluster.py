"""The only Kubernetes I/O of the operator besides kopf's watches.

Every write names one field manager. Statuses of the API server become the errors of `dreamhub.errors`; an absent
object is None, not an error, where asking for it is a question.
"""

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import NoReturn

import aiohttp

from dreamhub.errors import ConflictError, DreamHubError, ForbiddenError, InvalidInputError, NotFoundError
from dreamhub.errors import UnavailableError as ApiUnavailableError
from dreamhub_operator.freshness import CLIENT_SECONDS, SERVER_SECONDS
from dreamhub_operator.kinds import SERVICE_ACCOUNT, Kind, Manifest, kind_of

FIELD_MANAGER = "dreamhub-operator"
REQUEST_SECONDS = 15.0
LIST_LIMIT = 500

_JSON = "application/json"
_MERGE = "application/merge-patch+json"
_APPLY = "application/apply-patch+yaml"


Observe = Callable[[str, str], None]
"""Called with the method and the resource of every request that is sent."""


class ExpiredError(ConflictError):
    """The version to watch from is too old: list again."""


@dataclass(frozen=True, slots=True)
class ObjectKey:
    """An object by kind and name, for requests that need no manifest."""

    kind: Kind
    name: str
    namespace: str | None = None

    def path(self, subresource: str = "") -> str:
        return self.kind.path(self.name, self.namespace, subresource)

    @property
    def label(self) -> str:
        """For people: Kind/name."""
        return f"{self.kind.name}/{self.name}"


def key_of(manifest: Manifest) -> ObjectKey:
    metadata = manifest["metadata"]
    return ObjectKey(kind_of(manifest), metadata["name"], metadata.get("namespace"))


class Cluster:
    """Requests of the operator.

    They raise UnavailableError when the API server does not answer or asks to come back, ForbiddenError when RBAC or a
    quota refuses, InvalidInputError when it finds an object wrong, ConflictError on 409.
    """

    def __init__(
        self, url: str, session: aiohttp.ClientSession, observe: Observe = lambda _method, _kind: None
    ) -> None:
        self._url = url
        self._session = session
        self._observe = observe
        self._timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS, sock_connect=5)

    async def get(self, key: ObjectKey) -> Manifest | None:
        try:
            return await self._request("GET", key.path())
        except NotFoundError:
            return None

    async def list(self, kind: Kind, namespace: str, selector: str) -> list[Manifest]:
        """All objects that match. Items carry apiVersion and kind, which lists leave out."""
        items: list[Manifest] = []
        async for page in self.pages(kind, namespace, selector):
            items += [{**item, "apiVersion": kind.api_version, "kind": kind.name} for item in page["items"]]
        return items

    async def pages(self, kind: Kind, namespace: str | None, selector: str) -> AsyncIterator[Manifest]:
        """A list in pieces, of one namespace or (None) of all. Raises ExpiredError when it took too long."""
        query = {"limit": str(LIST_LIMIT)} | ({"labelSelector": selector} if selector else {})
        while True:
            page = await self._request("GET", kind.path(namespace=namespace), query=query)
            yield page
            token = page["metadata"].get("continue")
            if not token:
                return
            query["continue"] = token

    async def watch(self, kind: Kind, selector: str, version: str) -> AsyncIterator[Manifest]:
        """Events in all namespaces since this version, until the API server ends the watch.

        The first is an empty BOOKMARK, when the watch is accepted. Raises ExpiredError when the version is too old.
        """
        query = {"watch": "true", "allowWatchBookmarks": "true", "timeoutSeconds": str(SERVER_SECONDS)}
        query |= {"resourceVersion": version} | ({"labelSelector": selector} if selector else {})
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=CLIENT_SECONDS)
        path = kind.path()
        self._observe("WATCH", path)
        try:
            async with self._session.get(self._url + path, params=query, timeout=timeout) as response:
                if response.status >= 300:
                    _raise_for("WATCH", path, response.status, await response.text())
                yield {"type": "BOOKMARK", "object": {"metadata": {}}}
                async for line in _lines(response.content):
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        _raise_for("WATCH", path, event["object"].get("code", 0), json.dumps(event["object"]))
                    yield event
        except (TimeoutError, aiohttp.ClientError) as error:
            raise ApiUnavailableError(f"the watch of {kind.plural} broke: {error!r}") from error

    async def apply(self, manifest: Manifest) -> Manifest:
        """Server-side apply: our fields become as given, those of others stay."""
        query = {"fieldManager": FIELD_MANAGER, "force": "true"}
        return await self._request("PATCH", key_of(manifest).path(), manifest, _APPLY, query)

    async def create(self, manifest: Manifest) -> Manifest:
        """Create, or raise ConflictError when the name is taken."""
        key = key_of(manifest)
        path = key.kind.path(namespace=key.namespace)
        return await self._request("POST", path, manifest, _JSON, {"fieldManager": FIELD_MANAGER})

    async def patch(self, key: ObjectKey, changes: Manifest, *, subresource: str = "") -> Manifest:
        """Merge patch. With metadata.uid in `changes`, only that very object is patched."""
        query = {"fieldManager": FIELD_MANAGER}
        return await self._request("PATCH", key.path(subresource), changes, _MERGE, query)

    async def replace(self, manifest: Manifest) -> Manifest:
        """Replace the object at the resourceVersion that the manifest carries, or raise ConflictError."""
        return await self._request("PUT", key_of(manifest).path(), manifest, _JSON, {"fieldManager": FIELD_MANAGER})

    async def delete(self, key: ObjectKey, uid: str) -> bool:
        """Delete the object with this UID and no other; children go in the background. False: it was gone already.

        Raises ConflictError when another object has taken the name.
        """
        options = {"propagationPolicy": "Background", "preconditions": {"uid": uid}}
        try:
            await self._request("DELETE", key.path(), options)
        except NotFoundError:
            return False
        return True

    async def create_token(self, account: str, namespace: str, audience: str, seconds: int) -> str:
        """A token of a service account."""
        spec = {"audiences": [audience], "expirationSeconds": seconds}
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        answer = await self._request("POST", SERVICE_ACCOUNT.path(account, namespace, "token"), request)
        return str(answer["status"]["token"])

    async def fetch_username(self) -> str:
        """Who we are to the API server."""
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        answer = await self._request("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", review)
        return str(answer["status"]["userInfo"]["username"])

    async def is_answering(self) -> bool:
        """Whether the API server answers at all: tells a dead watch from a dead server."""
        try:
            await self._send("GET", "/readyz/ping")
        except DreamHubError:
            return False
        return True

    async def _request(
        self,
        method: str,
        path: str,
        body: Manifest | None = None,
        content_type: str = _JSON,
        query: dict[str, str] | None = None,
    ) -> Manifest:
        data = None if body is None else json.dumps(body)
        answer: Manifest = json.loads(await self._send(method, path, data, content_type, query))
        return answer

    async def _send(
        self,
        method: str,
        path: str,
        data: str | None = None,
        content_type: str = _JSON,
        query: dict[str, str] | None = None,
    ) -> str:
        self._observe(method, path)
        try:
            async with self._session.request(
                method,
                self._url + path,
                params=query,
                data=data,
                headers={"Content-Type": content_type},
                timeout=self._timeout,
            ) as response:
                text = await response.text()
                if response.status >= 300:
                    _raise_for(method, path, response.status, text)
                return text
        except (TimeoutError, aiohttp.ClientError) as error:
            raise ApiUnavailableError(f"the Kubernetes API does not answer {method} {path}: {error!r}") from error


async def _lines(stream: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Whole lines of any length; `StreamReader.readline` refuses long ones."""
    rest = b""
    async for data in stream.iter_any():
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            yield line


def _raise_for(method: str, path: str, status: int, text: str) -> NoReturn:
    message = f"{method} {path}: {status} {_message(text)}"
    match status:
        case 404:
            raise NotFoundError(message)
        case 410:
            raise ExpiredError(message)
        case 409:
            raise ConflictError(message)
        case 401 | 403:
            raise ForbiddenError(message)
        case 400 | 405 | 413 | 415 | 422:
            raise InvalidInputError(message)
        case _:
            raise ApiUnavailableError(message)


def _message(text: str) -> str:
    """The sentence of a Status object, or the text of a proxy in between."""
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        return text[:200]

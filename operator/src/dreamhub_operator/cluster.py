"""The only Kubernetes I/O of the operator besides kopf's watches.

Every write names one field manager. Statuses of the API server become the errors of `dreamhub.errors`; an absent
object is None, not an error, where asking for it is a question.
"""

import json
from dataclasses import dataclass
from typing import NoReturn

import aiohttp

from dreamhub.errors import ConflictError, DreamHubError, ForbiddenError, InvalidInputError, NotFoundError
from dreamhub.errors import UnavailableError as ApiUnavailableError
from dreamhub_operator.kinds import Kind, Manifest, kind_of

FIELD_MANAGER = "dreamhub-operator"
REQUEST_SECONDS = 15.0
LIST_LIMIT = 500

_JSON = "application/json"
_MERGE = "application/merge-patch+json"
_APPLY = "application/apply-patch+yaml"


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

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self._url = url
        self._session = session
        self._timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS, sock_connect=5)

    async def get(self, key: ObjectKey) -> Manifest | None:
        try:
            return await self._request("GET", key.path())
        except NotFoundError:
            return None

    async def list(self, kind: Kind, namespace: str, selector: str) -> list[Manifest]:
        """All objects that match, read in pages. Items carry apiVersion and kind, which lists leave out."""
        query = {"labelSelector": selector, "limit": str(LIST_LIMIT)}
        items: list[Manifest] = []
        while True:
            page = await self._request("GET", kind.path(namespace=namespace), query=query)
            items += [{**item, "apiVersion": kind.api_version, "kind": kind.name} for item in page["items"]]
            token = page["metadata"].get("continue")
            if not token:
                return items
            query["continue"] = token

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


def _raise_for(method: str, path: str, status: int, text: str) -> NoReturn:
    message = f"{method} {path}: {status} {_message(text)}"
    match status:
        case 404:
            raise NotFoundError(message)
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

"""Follows one kind of object at the API server: a list, then a stream of changes, free while it is silent."""

import http.client
import json
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .store import Store

_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_WATCH_SECONDS = 300
_RETRY_SECONDS = 1.0


class StaleError(Exception):
    """The API server no longer knows where the stream stopped: list again."""


@dataclass(frozen=True, slots=True)
class Server:
    """The API server, addressed directly: services do not work on a node before its network does."""

    host: str
    port: int

    def stream(self, path: str) -> Iterator[bytes]:
        """Lines of the answer; the token is read anew for each request, since it is rotated."""
        context = ssl.create_default_context(cafile=str(_ACCOUNT / "ca.crt"))
        connection = http.client.HTTPSConnection(self.host, self.port, timeout=_WATCH_SECONDS + 30, context=context)
        try:
            token = (_ACCOUNT / "token").read_text(encoding="ascii")
            connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
            response = connection.getresponse()
            if response.status != http.client.OK:
                raise StaleError(f"{response.status} {response.read(300)!r}")
            yield from response
        finally:
            connection.close()


@dataclass(frozen=True, slots=True)
class Watch:
    """One kind and how to read it; `parse` returns None for objects that do not matter."""

    server: Server
    store: Store
    kind: str
    path: str
    parse: Callable[[Mapping[str, Any]], Any]

    def follow_forever(self) -> None:
        """Runs in a thread of its own; any failure leads to a fresh list after a second."""
        pause = threading.Event()
        while True:
            try:
                version = self._list()
                while True:
                    version = self._follow(version)
            except (OSError, http.client.HTTPException, ValueError, KeyError, StaleError) as error:
                print(f"{self.kind}: listing again after {type(error).__name__}: {error}", flush=True)
                pause.wait(_RETRY_SECONDS)

    def _list(self) -> str:
        answer = json.loads(b"".join(self.server.stream(self.path)))
        parsed = {_key(item): self.parse(item) for item in answer["items"]}
        self.store.replace_all(self.kind, {key: value for key, value in parsed.items() if value is not None})
        version: str = answer["metadata"]["resourceVersion"]
        return version

    def _follow(self, version: str) -> str:
        """Apply one stream of changes until the server ends it; returns where it ended."""
        query = f"?watch=1&allowWatchBookmarks=1&timeoutSeconds={_WATCH_SECONDS}&resourceVersion={version}"
        for line in self.server.stream(self.path + query):
            event = json.loads(line)
            if event["type"] == "ERROR":
                raise StaleError(event["object"].get("message", ""))
            item = event["object"]
            version = item["metadata"]["resourceVersion"]
            if event["type"] != "BOOKMARK":
                self.store.put(self.kind, _key(item), None if event["type"] == "DELETED" else self.parse(item))
        return version


def _key(item: Mapping[str, Any]) -> str:
    metadata = item["metadata"]
    return f"{metadata['namespace']}/{metadata['name']}" if "namespace" in metadata else str(metadata["name"])

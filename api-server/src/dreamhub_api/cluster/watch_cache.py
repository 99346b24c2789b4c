"""A copy in memory of one kind of object, kept by list and watch, with its freshness known."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, NoReturn, Protocol, TypeVar

import structlog
from pydantic import ValidationError

from dreamhub.errors import DreamHubError
from dreamhub_api.cluster.kubernetes import Object, WatchExpiredError

PAGE_SIZE = "500"
FIRST_DELAY_SECONDS = 0.5
MAX_DELAY_SECONDS = 30.0

R = TypeVar("R")
Key = tuple[str, str]
"""Namespace (empty for cluster-scoped objects) and name."""

_JITTER = random.SystemRandom()
"""Spreads the reconnects of many instances."""

_log = structlog.get_logger(__name__)


def _describe(error: ValueError) -> str:
    """Places and rules, never the values: a refused field may hold a name or a text of a tenant."""
    if not isinstance(error, ValidationError):
        return type(error).__name__
    faults = error.errors(include_input=False, include_context=False, include_url=False)[:10]
    return "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in faults)


class Api(Protocol):
    """What the cache needs of `KubernetesApi`."""

    async def request(
        self, method: str, path: str, *, query: Mapping[str, str] | None = None, body: Object | None = None
    ) -> Object: ...

    def watch(self, path: str, query: Mapping[str, str]) -> AsyncIterator[Object]: ...


@dataclass(frozen=True)
class Source(Generic[R]):
    """Which objects, and what is kept of each.

    `parse` sees the raw object and may raise ValueError: it is then left out and logged, since one bad object must not
    blind the server to all others.
    """

    path: str
    parse: Callable[[Object], R]
    field_selector: str | None = None
    lists: bool = True
    """False for a single object watched by name: a role with resourceNames may watch but not list."""


class WatchCache(Generic[R]):
    """`run` never ends; read with `get` and `values`. Listeners hear (key, new value or None when it is gone)."""

    def __init__(self, api: Api, source: Source[R]) -> None:
        self._api = api
        self._source = source
        self._objects: dict[str, dict[str, R]] = {}
        self._versions: dict[Key, int] = {}
        self._listeners: list[Callable[[Key, R | None], None]] = []
        self._heard_at = float("-inf")
        self._synced = asyncio.Event()

    @property
    def synced(self) -> bool:
        """Whether all objects were seen once. Stays true while a lost watch is being restored."""
        return self._synced.is_set()

    async def wait_synced(self) -> None:
        await self._synced.wait()

    def age_seconds(self) -> float:
        """Since the last event, bookmark or list."""
        return time.monotonic() - self._heard_at

    def get(self, key: Key) -> R | None:
        return self._objects.get(key[0], {}).get(key[1])

    def namespace(self, name: str) -> Mapping[str, R]:
        """The objects of one namespace (empty: the cluster-scoped ones) by name. Read it at once, never keep it."""
        return self._objects.get(name, {})

    def listen(self, listener: Callable[[Key, R | None], None]) -> None:
        self._listeners.append(listener)

    def store(self, item: Object) -> R | None:
        """Take an object that was just read or written, so that its writer reads what it wrote; never an older one."""
        return self._apply("MODIFIED", item)

    def forget(self, key: Key) -> None:
        """Drop an object that was just deleted; the watch confirms it later."""
        namespace = self._objects.get(key[0], {})
        if namespace.pop(key[1], None) is not None:
            self._tell(key, None)
        if not namespace:
            self._objects.pop(key[0], None)

    async def run(self) -> NoReturn:
        """List, watch, and list again when the watch cannot go on, with growing pauses while the cluster is away."""
        delay = FIRST_DELAY_SECONDS
        version: str | None = None
        while True:
            try:
                if version is None:
                    version = await self._list() if self._source.lists else ""
                version = await self._watch(version)
                delay = FIRST_DELAY_SECONDS
            except WatchExpiredError:
                version = None
            except (DreamHubError, ValueError, KeyError) as error:
                _log.warning("watch interrupted", path=self._source.path, error=str(error))
                await asyncio.sleep(delay * _JITTER.uniform(0.5, 1.0))
                delay = min(delay * 2, MAX_DELAY_SECONDS)

    async def _list(self) -> str:
        found: dict[Key, Object] = {}
        query = {"limit": PAGE_SIZE}
        while True:
            page = await self._api.request("GET", self._source.path, query=query)
            found.update((_key_of(item), item) for item in page.get("items", ()))
            metadata = page["metadata"]
            if not metadata.get("continue"):
                break
            query = {"limit": PAGE_SIZE, "continue": metadata["continue"]}
        for key in self._keys() - found.keys():
            self._versions.pop(key, None)
            self.forget(key)
        for item in found.values():
            self._apply("ADDED", item)
        self._mark_heard()
        version: str = metadata["resourceVersion"]
        return version

    async def _watch(self, version: str) -> str:
        """Apply events; returns the version to go on from."""
        query = {"resourceVersion": version} if version else {}
        if self._source.field_selector is not None:
            query["fieldSelector"] = self._source.field_selector
        if not self._source.lists:
            self._mark_heard()
        async for event in self._api.watch(self._source.path, query):
            item = event["object"]
            version = item["metadata"]["resourceVersion"] if self._source.lists else ""
            if event["type"] != "BOOKMARK":
                self._apply(event["type"], item)
            self._mark_heard()
        return version

    def _keys(self) -> set[Key]:
        return {(namespace, name) for namespace, objects in self._objects.items() for name in objects}

    def _mark_heard(self) -> None:
        self._heard_at = time.monotonic()
        self._synced.set()

    def _apply(self, event: str, item: Object) -> R | None:
        key = _key_of(item)
        version = int(item["metadata"].get("resourceVersion", 0))
        seen = self._versions.get(key, -1)
        if version < seen or (version == seen and event != "DELETED"):
            return self.get(key)  # nothing new: also of one that was deleted before the watch told of its making
        if event == "DELETED":
            self._versions.pop(key, None)
            self.forget(key)
            return None
        try:
            value = self._source.parse(item)
        except ValueError as error:
            _log.error("object cannot be read", path=self._source.path, name=key[1], error=_describe(error))
            return None
        self._versions[key] = version
        self._objects.setdefault(key[0], {})[key[1]] = value
        self._tell(key, value)
        return value

    def _tell(self, key: Key, value: R | None) -> None:
        for listener in self._listeners:
            listener(key, value)


def _key_of(item: Mapping[str, Any]) -> Key:
    metadata = item["metadata"]
    return metadata.get("namespace", ""), metadata["name"]

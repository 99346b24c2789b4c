"""Watches the managed objects of all tenants: list once in pages, then follow the changes.

Beside kopf and not by it: kopf starts a task and keeps a record for every object that it sees, for all of them at
once when it starts; and to see what others open in a tenant's namespace it would do so for every RoleBinding there is.
"""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from dreamhub.errors import DreamHubError
from dreamhub.names import OWNER_UID_LABEL
from dreamhub_operator.children import Children
from dreamhub_operator.cluster import Cluster, ExpiredError, ObjectKey
from dreamhub_operator.freshness import Freshness
from dreamhub_operator.kinds import OPENING, Kind, Manifest
from dreamhub_operator.queue import backoff

PAUSE_SECONDS = 0.1
"""Before a watch that has ended is opened again."""

log = structlog.get_logger()


@dataclass
class Reflector:
    """One kind. `changed` is called with each tenant namespace in which something is new."""

    kind: Kind
    cluster: Cluster
    children: Children
    freshness: Freshness
    changed: Callable[[str], None]
    listed: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once the memory holds every object of the kind."""
    _version: str = ""
    """What has been dealt with; empty before the first list."""
    _failures: int = 0

    @property
    def selector(self) -> str:
        return "" if self.kind in OPENING else OWNER_UID_LABEL

    async def run(self) -> None:
        """Until cancelled. An API server that does not answer is asked again, ever later."""
        while True:
            try:
                await (self._follow() if self._version else self._list())
            except ExpiredError:
                self._version = ""
            except DreamHubError as error:
                self._failures += 1
                log.warning("watch interrupted", kind=self.kind.plural, error=error.message)
                await asyncio.sleep(backoff(self._failures, random.random()))  # noqa: S311 - jitter, no secret

    async def _list(self) -> None:
        seen: set[ObjectKey] = set()
        version = ""
        async for page in self.cluster.pages(self.kind, None, self.selector):
            for body in page["items"]:
                metadata = body["metadata"]
                seen.add(ObjectKey(self.kind, metadata["name"], metadata.get("namespace")))
                self._tell(self.children.put(self.kind, body))
            version = str(page["metadata"]["resourceVersion"])
        for space in self.children.settle(self.kind, seen, int(version)):
            self.changed(space)
        self._version = version
        self.listed.set()

    async def _follow(self) -> None:
        """Until the API server ends the watch."""
        async for event in self.cluster.watch(self.kind, self.selector, self._version):
            self._failures = 0
            self.freshness.prove(self.kind.plural)
            self._see(event["type"], event["object"])
            self._version = event["object"]["metadata"].get("resourceVersion", self._version)
        await asyncio.sleep(PAUSE_SECONDS)

    def _see(self, change: str, body: Manifest) -> None:
        if change in {"ADDED", "MODIFIED"}:
            self._tell(self.children.put(self.kind, body))
        elif change == "DELETED":
            self._tell(self.children.drop(self.kind, body))

    def _tell(self, space: str | None) -> None:
        if space is not None:
            self.changed(space)

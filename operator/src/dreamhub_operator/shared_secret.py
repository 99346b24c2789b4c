"""One Secret with an entry for each tenant: read once for all of them, written for all that wait at once.

Read and written tenant by tenant, the Secret would travel in whole for each, and writers would conflict.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from dreamhub.errors import ConflictError, DreamHubError
from dreamhub_operator.cluster import Cluster, ObjectKey
from dreamhub_operator.desired.ownership import MANAGED_BY
from dreamhub_operator.kinds import SECRET, Manifest

Entries = Mapping[str, str]
"""The Secret's data: base64 text by name."""
Decide = Callable[[Entries], Mapping[str, str | None]]
"""From what the Secret holds to what shall change in it; None removes an entry. Called again after a conflict."""

TRIES = 8


class SharedSecret:
    def __init__(self, cluster: Cluster, key: ObjectKey, clock: Callable[[], float] = time.monotonic) -> None:
        self._cluster = cluster
        self._key = key
        self._clock = clock
        self._known: Manifest | None = None
        self._read_at = float("-inf")
        self._waiting: list[tuple[Decide, asyncio.Future[None]]] = []
        self._lock = asyncio.Lock()

    async def entries(self, max_age: float) -> Entries:
        """What the Secret held at most this many seconds ago. Our own writes are always in it."""
        if self._clock() - self._read_at > max_age:
            async with self._lock:
                if self._clock() - self._read_at > max_age:
                    await self._read()
        return self._data()

    async def update(self, decide: Decide) -> None:
        """Change entries, decided from what is there at the moment of the write. Raises what `decide` raises."""
        done = asyncio.get_running_loop().create_future()
        self._waiting.append((decide, done))
        async with self._lock:
            if not done.done():
                await self._write_waiting()
        await done

    def _data(self) -> Entries:
        return (self._known or {}).get("data") or {}

    async def _read(self) -> None:
        """Made here when absent, and not by the chart, so that no uninstall takes the entries with it."""
        started = self._clock()
        secret = await self._cluster.get(self._key)
        if secret is None:
            metadata = {"name": self._key.name, "namespace": self._key.namespace, "labels": MANAGED_BY}
            secret = await self._cluster.create(
                {"apiVersion": SECRET.api_version, "kind": SECRET.name, "metadata": metadata, "type": "Opaque"}
            )
        self._known, self._read_at = secret, started

    async def _write_waiting(self) -> None:
        batch, self._waiting = self._waiting, []
        try:
            await self._write_until_done(batch)
        except DreamHubError as error:
            for _, done in batch:
                if not done.done():
                    done.set_exception(error)
        except asyncio.CancelledError:
            self._waiting = batch + self._waiting
            raise
        for _, done in batch:
            if not done.done():
                done.set_result(None)

    async def _write_until_done(self, batch: list[tuple[Decide, "asyncio.Future[None]"]]) -> None:
        for _ in range(TRIES):
            if self._known is None:
                await self._read()
            with suppress(ConflictError):
                await self._write(self._decide(batch))
                return
            self._known = None
        raise ConflictError(f"the Secret {self._key.name} changes faster than it can be written; trying again")

    def _decide(self, batch: list[tuple[Decide, "asyncio.Future[None]"]]) -> dict[str, str | None]:
        """All changes together, each decided on top of those before it."""
        changes: dict[str, str | None] = {}
        for decide, done in batch:
            if done.done():
                continue
            present = {**self._data(), **changes}
            try:
                changes |= decide({name: text for name, text in present.items() if text is not None})
            except DreamHubError as error:
                done.set_exception(error)
        return changes

    async def _write(self, changes: Mapping[str, str | None]) -> None:
        """Against the version that was decided from. Raises ConflictError when it is not the present one any more."""
        if changes and self._known is not None:
            version = self._known["metadata"]["resourceVersion"]
            body = {"metadata": {"resourceVersion": version}, "data": dict(changes)}
            self._known = await self._cluster.patch(self._key, body)

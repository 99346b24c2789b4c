"""What a reader's events leave behind: as the collector keeps it, in memory."""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dreamhub_worker.fetch_guard import AllowedNetwork
from dreamhub_worker.sources.source import (
    Begin,
    Checkpoint,
    Complete,
    Event,
    Found,
    Gone,
    ObjectEntry,
    ObjectLinks,
    Same,
    Skipped,
    Source,
    SourceContext,
    SourceFactory,
)


@dataclass
class Reading:
    """What one reading told."""

    found: dict[str, Found] = field(default_factory=dict)
    opened: list[str] = field(default_factory=list)
    """Keys of the items whose content was fetched: new ones, and those in another revision."""
    same: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    checkpoints: int = 0
    complete: bool = False


class NoLinks:
    """A tenant without objects."""

    async def list(self, prefix: str) -> AsyncIterator[ObjectEntry]:
        for entry in tuple[ObjectEntry, ...]():
            yield replace(entry, key=prefix + entry.key)

    async def download(self, key: str, path: Path, limit: int) -> int:
        raise AssertionError(f"{key} to {path} within {limit}")


@dataclass
class Library:
    """The items of one source over several readings."""

    factory: SourceFactory
    config: Mapping[str, Any]
    folder: Path
    secret: Mapping[str, str] = field(default_factory=dict)
    networks: tuple[AllowedNetwork, ...] = ()
    links: ObjectLinks = field(default_factory=NoLinks)
    size_limit: int = 2**20
    items: dict[str, bytes] = field(default_factory=dict)
    revisions: dict[str, str] = field(default_factory=dict)
    checkpoint: Checkpoint | None = None
    _told: set[str] = field(default_factory=set)

    async def read(self, stop: Callable[[Event], bool] = lambda _: False) -> Reading:
        """One reading, to its end or until `stop` says so of an event, which is then lost, as by a kill."""
        reading = Reading()
        events = self.source().read(self.checkpoint)
        async for event in events:
            if stop(event):
                break
            await self._take(event, reading)
        return reading

    def source(self) -> Source:
        context = SourceContext(
            folder=self.folder,
            size_limit=self.size_limit,
            known=self._known,
            links=self.links,
            secret=self.secret,
            private_networks=self.networks,
        )
        return self.factory(self.config, context)

    async def _known(self, key: str) -> str | None:
        return self.revisions.get(key)

    async def _take(self, event: Event, reading: Reading) -> None:
        match event:
            case Found():
                await self._found(event, reading)
            case Same(key):
                assert key in self.items
                self._told.add(key)
                reading.same.append(key)
            case Gone(key):
                self._forget(key)
                reading.gone.append(key)
            case Skipped(key, reason, message):
                assert message
                self._told.add(key)
                reading.skipped[key] = reason
            case Checkpoint():
                self.checkpoint = event
                reading.checkpoints += 1
            case Begin():
                self._told.clear()
            case Complete(state):
                self.checkpoint = None if state is None else Checkpoint(state)
                for key in set(self.items) - self._told:
                    self._forget(key)
                    reading.gone.append(key)
                self._told.clear()
                reading.complete = True

    async def _found(self, event: Found, reading: Reading) -> None:
        reading.found[event.key] = event
        self._told.add(event.key)
        if event.key in self.items and event.revision and self.revisions.get(event.key) == event.revision:
            if isinstance(event.data, Path):
                event.data.unlink()
            return
        content = await event.data() if callable(event.data) else event.data
        if isinstance(content, Path):
            path, content = content, content.read_bytes()
            path.unlink()
        reading.opened.append(event.key)
        self.items[event.key], self.revisions[event.key] = content, event.revision

    def _forget(self, key: str) -> None:
        self.items.pop(key, None)
        self.revisions.pop(key, None)


def left_in(folder: Path) -> list[Path]:
    """Temporary files that nobody has cleared away."""
    return list(folder.iterdir())

"""Mailboxes in files: objects of the tenant's import folder, split into messages.

Whether anything changed is seen by the list of objects alone. If so, every file is split again and every message told,
which stores only those that are new; the ones that are not told are gone.
"""

import asyncio
import hashlib
import json
import mailbox
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

from dreamhub.errors import NotFoundError
from dreamhub.ids import new_id
from dreamhub_worker.sources.mail_message import MEDIA_TYPE, REVISION, message_key, message_name, read_headers
from dreamhub_worker.sources.source import Checkpoint, Complete, Event, Found, ObjectEntry, Skipped, SourceContext

MAX_SIZES = 10
"""How many times the limit of a document a mailbox may be large: it is split on the worker's disk."""


@dataclass(frozen=True, slots=True)
class MboxFiles:
    prefix: str
    context: SourceContext

    async def read(self, checkpoint: Checkpoint | None) -> AsyncIterator[Event]:
        entries = [entry async for entry in self.context.links.list(self.prefix) if entry.size > 0]
        state = {"objects": _fingerprint(entries)}
        if checkpoint is not None and checkpoint.state == state:
            return
        seen: set[str] = set()
        for entry in entries:
            async for event in self._split(entry, seen):
                yield event
        yield Complete(state)

    async def _split(self, entry: ObjectEntry, seen: set[str]) -> AsyncIterator[Event]:
        path = self.context.folder / f"mbox-{new_id('ver')}"
        limit = MAX_SIZES * self.context.size_limit
        if entry.size > limit:
            yield Skipped(entry.key, "TooLarge", f"the mailbox is above the limit of {limit} bytes; split it")
            return
        try:
            await self.context.links.download(entry.key, path, limit)
            async for event in self._messages(entry.key, path, seen):
                yield event
        except NotFoundError:
            return  # gone since it was listed: the next reading sees another list
        finally:
            await asyncio.to_thread(path.unlink, missing_ok=True)

    async def _messages(self, key: str, path: Path, seen: set[str]) -> AsyncIterator[Event]:
        if not await asyncio.to_thread(is_mbox, path):
            yield Skipped(key, "NotAMailbox", "the file is no mailbox: its first line does not begin with From")
            return
        limit = self.context.size_limit
        messages = split_mbox(path, limit)
        while (data := await asyncio.to_thread(next, messages, None)) is not None:
            headers = read_headers(data)
            item = message_key(headers, f"sha256:{hashlib.sha256(data).hexdigest()}")
            if item in seen:
                continue
            seen.add(item)
            if len(data) > limit:
                yield Skipped(item, "TooLarge", f"the message is above the limit of {limit} bytes")
            else:
                yield Found(item, message_name(headers), MEDIA_TYPE, data, REVISION)


def _fingerprint(entries: list[ObjectEntry]) -> str:
    said = [[entry.key, entry.etag or entry.modified.isoformat(), entry.size] for entry in entries]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def is_mbox(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(5) == b"From "


def split_mbox(path: Path, limit: int) -> Iterator[bytes]:
    """Each message, without the line before it and its quoting of From. Of one above `limit` a byte more than that."""
    box = mailbox.mbox(path, create=False)
    try:
        for key in box.iterkeys():
            with box.get_file(key) as file:
                data: bytes = file.read(limit + 1)
            yield data.replace(b"\n>From ", b"\nFrom ") if len(data) <= limit else data
    finally:
        box.close()

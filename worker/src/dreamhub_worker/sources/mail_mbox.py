"""Mailboxes in files: objects of the tenant's import folder, split into messages.

Whether anything changed is seen by the list of objects alone. If so, every file is split again and every message told,
which stores only those that are new; the ones that are not told are gone.
"""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

from dreamhub.errors import NotFoundError, TooLargeError
from dreamhub.ids import new_id
from dreamhub_worker.sources.mail_message import MAX_HEAD, MEDIA_TYPE, REVISION, message_key, message_name, read_headers
from dreamhub_worker.sources.source import Checkpoint, Complete, Event, Found, ObjectEntry, Skipped, SourceContext

MAX_SIZES = 10
"""How many times the limit of a document a mailbox may be large: it is split on the worker's disk."""
MAX_MESSAGES = 1_000_000
"""Of one reading: which were told is held in memory."""
_SMALL = 4 * 2**20
"""Bytes of a message that is handed on in memory; a larger one becomes a file."""
_LINE = 2**16
"""Bytes of a line that are read at once: there are files without any line end."""
_MARK, _QUOTED = b"From ", b">From "


@dataclass(frozen=True, slots=True)
class Message:
    """A message in a mailbox, without the line before it and the empty one behind it."""

    mailbox: Path
    start: int
    end: int

    @property
    def size(self) -> int:
        return self.end - self.start

    def head(self) -> bytes:
        with self.mailbox.open("rb") as file:
            file.seek(self.start)
            return file.read(min(self.size, MAX_HEAD))

    def digest(self) -> str:
        digest = hashlib.sha256()
        for line in self.lines():
            digest.update(line)
        return digest.hexdigest()

    def lines(self) -> Iterator[bytes]:
        """Without the mailbox's quoting of From. Never more of it than a piece of a line at once."""
        left = self.size
        begins = True
        with self.mailbox.open("rb") as file:
            file.seek(self.start)
            while left > 0 and (line := file.readline(min(_LINE, left))):
                left -= len(line)
                yield line[1:] if begins and line.startswith(_QUOTED) else line
                begins = line.endswith(b"\n")


@dataclass(frozen=True, slots=True)
class MboxFiles:
    prefix: str
    context: SourceContext

    async def read(self, checkpoint: Checkpoint | None) -> AsyncIterator[Event]:
        entries = [entry async for entry in self.context.links.list(self.prefix) if entry.size > 0]
        state = {"objects": _fingerprint(entries)}
        if checkpoint is not None and checkpoint.state == state:
            return
        seen: set[bytes] = set()
        for entry in entries:
            async for event in self._split(entry, seen):
                yield event
        yield Complete(state)

    async def _split(self, entry: ObjectEntry, seen: set[bytes]) -> AsyncIterator[Event]:
        path = self.context.folder / f"mbox-{new_id('ver')}"
        limit = MAX_SIZES * self.context.size_limit
        if entry.size > limit:
            yield Skipped(
                entry.key, "TooLarge", f"the mailbox is above the limit of {limit} bytes; split it", entry.key
            )
            return
        try:
            await self.context.links.download(entry.key, path, limit)
            async for event in self._messages(entry.key, path, seen):
                yield event
        except NotFoundError:
            return  # gone since it was listed: the next reading sees another list
        finally:
            await asyncio.to_thread(path.unlink, missing_ok=True)

    async def _messages(self, key: str, path: Path, seen: set[bytes]) -> AsyncIterator[Event]:
        if not await asyncio.to_thread(is_mbox, path):
            cause = "the file is no mailbox: its first line does not begin with From"
            yield Skipped(key, "NotAMailbox", cause, name=key)
            return
        limit = self.context.size_limit
        messages = split_mbox(path)
        while (message := await asyncio.to_thread(next, messages, None)) is not None:
            headers = read_headers(await asyncio.to_thread(message.head))
            item = message_key(headers, "") or f"sha256:{await asyncio.to_thread(message.digest)}"
            mark = hashlib.sha256(item.encode()).digest()
            if mark in seen:
                continue
            seen.add(mark)
            if len(seen) > MAX_MESSAGES:
                raise TooLargeError(
                    f"the mailboxes hold more than {MAX_MESSAGES:,} messages; read them by several jobs"
                )
            if message.size > limit:
                cause = f"the message is above the limit of {limit} bytes"
                yield Skipped(item, "TooLarge", cause, message_name(headers))
            else:
                data = await asyncio.to_thread(self._take_out, message)
                yield Found(item, message_name(headers), MEDIA_TYPE, data, REVISION)

    def _take_out(self, message: Message) -> bytes | Path:
        """At once, for the mailbox is deleted as soon as the last message was told."""
        if message.size <= _SMALL:
            return b"".join(message.lines())
        path = self.context.folder / f"message-{new_id('ver')}"
        with path.open("wb") as file:
            file.writelines(message.lines())
        return path


def _fingerprint(entries: list[ObjectEntry]) -> str:
    said = [[entry.key, entry.etag or entry.modified.isoformat(), entry.size] for entry in entries]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def is_mbox(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_MARK)) == _MARK


def split_mbox(path: Path) -> Iterator[Message]:
    """The messages in order, each as soon as its end was met: the library's splitter keeps a table of all of them."""
    start, at, blank = -1, 0, 0
    begins, marks = True, False
    with path.open("rb") as file:
        while line := file.readline(_LINE):
            if begins:
                marks = line.startswith(_MARK)
                if marks and start >= 0:
                    yield Message(path, start, at - blank)
                blank = len(line) if line in {b"\n", b"\r\n"} else 0
            at += len(line)
            begins = line.endswith(b"\n")
            if marks:
                start = at
    if start >= 0:
        yield Message(path, start, at - blank)

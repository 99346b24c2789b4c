"""What waits to be sent on one connection: bounded in bytes, with progress coalesced to its last value. Pure."""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass

MAX_BYTES = 1_048_576


class SlowReaderError(Exception):
    """What may not be dropped has outgrown the bound. The connection is closed, and its client resumes."""


@dataclass(frozen=True)
class Frame:
    """`slot` names the value that this frame is the latest of: a newer one replaces it. None is never replaced."""

    text: str
    slot: str | None = None


class Outbox:
    """Single consumer. A replaced frame gives up its place in the line, so that offsets leave in rising order."""

    def __init__(self, limit: int = MAX_BYTES) -> None:
        self._limit = limit
        self._frames: OrderedDict[str, str] = OrderedDict()
        self._bytes = 0
        self._serial = 0
        self._filled = asyncio.Event()

    @property
    def waiting_bytes(self) -> int:
        return self._bytes

    def put(self, frame: Frame) -> None:
        """Raises SlowReaderError when the bound is crossed."""
        slot = frame.slot
        if slot is None:
            self._serial += 1
            slot = f"\0{self._serial}"
        self._drop(slot)
        self._frames[slot] = frame.text
        self._bytes += _size(frame.text)
        self._filled.set()
        if self._bytes > self._limit:
            raise SlowReaderError

    def discard(self, channel: str) -> None:
        """Forget the replaceable frames of a channel that the client has left: their slots begin with its name."""
        for slot in [slot for slot in self._frames if slot.split("\0")[0] == channel]:
            self._drop(slot)

    async def take(self) -> str:
        """The oldest frame; waits for one."""
        while not self._frames:
            self._filled.clear()
            await self._filled.wait()
        _, text = self._frames.popitem(last=False)
        self._bytes -= _size(text)
        return text

    def _drop(self, slot: str) -> None:
        replaced = self._frames.pop(slot, None)
        if replaced is not None:
            self._bytes -= _size(replaced)


def _size(text: str) -> int:
    """An upper estimate is enough for a bound: JSON of ours is mostly ASCII."""
    return len(text)

"""What an upload sends: a file or bytes, read piece by piece and told to whoever shows a progress bar."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

PIECE_BYTES = 256 * 1024

Progress = Callable[[int], None]
"""Called with the number of bytes sent so far of this file. A repeated attempt begins again at zero."""


@dataclass(frozen=True)
class Upload:
    """A document to upload. `open_body` gives a new stream at each attempt; `media_type` None lets the server sniff."""

    name: str
    size: int
    open_body: Callable[[], AsyncIterator[bytes]]
    media_type: str | None = None
    tags: tuple[str, ...] = ()


def upload_file(
    path: Path,
    *,
    name: str | None = None,
    media_type: str | None = None,
    tags: tuple[str, ...] = (),
    progress: Progress | None = None,
) -> Upload:
    """A file on disk; never whole in memory. Raises OSError when it cannot be read."""

    async def pieces() -> AsyncIterator[bytes]:
        with await asyncio.to_thread(path.open, "rb") as file:
            while piece := await asyncio.to_thread(file.read, PIECE_BYTES):
                yield piece

    size = path.stat().st_size
    return Upload(name or path.name, size, _counted(pieces, progress), media_type, tags)


def upload_bytes(name: str, content: bytes, *, media_type: str | None = None, tags: tuple[str, ...] = ()) -> Upload:
    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(content), PIECE_BYTES):
            yield content[start : start + PIECE_BYTES]

    return Upload(name, len(content), pieces, media_type, tags)


def _counted(
    pieces: Callable[[], AsyncIterator[bytes]], progress: Progress | None
) -> Callable[[], AsyncIterator[bytes]]:
    if progress is None:
        return pieces

    async def counted() -> AsyncIterator[bytes]:
        sent = 0
        progress(sent)
        async for piece in pieces():
            yield piece
            sent += len(piece)
            progress(sent)

    return counted

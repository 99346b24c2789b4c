"""Messages on a pipe: eight bytes of length, then that many bytes. Lines would have to be scanned and escaped."""

import asyncio
from typing import BinaryIO

Frame = bytes
_HEADER = 8


def read_frame(stream: BinaryIO) -> Frame | None:
    """The next message, or None when the other side has closed."""
    header = stream.read(_HEADER)
    if len(header) < _HEADER:
        return None
    return stream.read(int.from_bytes(header, "big"))


def write_frame(stream: BinaryIO, frame: Frame) -> None:
    stream.write(len(frame).to_bytes(_HEADER, "big"))
    stream.write(frame)
    stream.flush()


async def receive_frame(reader: asyncio.StreamReader, limit: int) -> Frame:
    """Raises IncompleteReadError when the other side ends, ValueError when it announces more than `limit` bytes."""
    size = int.from_bytes(await reader.readexactly(_HEADER), "big")
    if size > limit:
        raise ValueError(f"a message of {size} bytes is above the limit of {limit}")
    return await reader.readexactly(size)


async def send_frame(writer: asyncio.StreamWriter, frame: Frame) -> None:
    writer.write(len(frame).to_bytes(_HEADER, "big") + frame)
    await writer.drain()

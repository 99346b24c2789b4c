"""The one way to clamd over the network: streams of bytes to scan, and a ping.

clamd itself asks nobody who he is, and takes `SHUTDOWN`, `RELOAD` and names of files to scan from whoever reaches its
port. All tenants' workers reach it; one that was taken over must not be able to stop the others' documents.
"""

import asyncio
import contextlib
from pathlib import Path

SOCKET = Path("/run/clamav/clamd.sock")
PORT = 3310
_PING = b"zPING\0"
COMMANDS = frozenset({_PING, b"zINSTREAM\0"})
_READ_SECONDS = 60
"""For the client's next bytes: a silent one must not keep one of clamd's threads."""
_PART_SECONDS = 5
_PIECE = 2**18


async def run() -> None:
    """Serve on all addresses until the process ends."""
    async with await open_gate(SOCKET, None, PORT) as server:
        await server.serve_forever()


async def open_gate(socket: Path, host: str | None, port: int) -> asyncio.Server:
    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                await _meet(socket, reader, writer)
            with contextlib.suppress(OSError):
                await _part(reader, writer)
        finally:
            writer.close()

    return await asyncio.start_server(meet, host, port)


async def _meet(socket: Path, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One client, one command. A TimeoutError is an OSError: the client is let go."""
    async with asyncio.timeout(_READ_SECONDS):
        command = await reader.readuntil(b"\0")
    if command not in COMMANDS:
        writer.write(b"UNKNOWN COMMAND\0")
        await writer.drain()
        return
    answers, clamd = await asyncio.open_unix_connection(str(socket))
    try:
        clamd.write(command)
        if command == _PING:
            await _copy(answers, writer)
        else:
            await _relay((reader, writer), (answers, clamd))
    finally:
        clamd.close()


async def _part(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Let the client hear the answer: hanging up on what it still sends would take that back."""
    writer.write_eof()
    async with asyncio.timeout(_PART_SECONDS):
        while await reader.read(_PIECE):
            pass


async def _relay(
    client: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    clamd: tuple[asyncio.StreamReader, asyncio.StreamWriter],
) -> None:
    """Until clamd has answered, or the client has stopped in the middle."""
    answering = asyncio.ensure_future(_copy(clamd[0], client[1]))
    sending = asyncio.ensure_future(_forward(client[0], clamd[1]))
    try:
        await asyncio.wait({answering, sending}, return_when=asyncio.FIRST_COMPLETED)
        if sending.done() and sending.exception() is None:
            await answering
    finally:
        for task in (answering, sending):
            task.cancel()
        await asyncio.gather(answering, sending, return_exceptions=True)


async def _forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The pieces of a stream, and nothing behind the empty one that ends it."""
    while True:
        async with asyncio.timeout(_READ_SECONDS):
            header = await reader.readexactly(4)
        writer.write(header)
        left = int.from_bytes(header, "big")
        if left == 0:
            await writer.drain()
            return
        while left:
            async with asyncio.timeout(_READ_SECONDS):
                piece = await reader.read(min(left, _PIECE))
            if not piece:
                raise asyncio.IncompleteReadError(b"", left)
            left -= len(piece)
            writer.write(piece)
            await writer.drain()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(_PIECE):
        writer.write(piece)
        await writer.drain()


if __name__ == "__main__":
    asyncio.run(run())

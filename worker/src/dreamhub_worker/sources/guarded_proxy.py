"""A proxy inside the worker, for a client that makes its own connections: each of them passes the guard.

Such a client resolves names and follows redirects by itself, and cannot be told which addresses it may take. So it is
told to ask here for every connection, by `CONNECT` for https and by absolute addresses for http, and gets one where
the guard gives one. TLS is between the client and the server behind.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from dreamhub_worker.fetch_guard import FetchGuard

_MAX_HEAD = 2**16
_HEAD_SECONDS = 30.0
_CONNECT_SECONDS = 10.0
_PIECE = 2**16
_END = b"\r\n\r\n"
_OF_THE_WAY = frozenset({b"connection", b"proxy-connection", b"proxy-authorization"})
_BROKEN = (OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the client asks for."""

    host: str
    port: int
    head: bytes = b""
    """Of a request to hand on; empty where only the connection is wanted."""


@dataclass
class GuardedProxy:
    guard: FetchGuard
    url: str = ""
    failure: OSError | None = None
    """Why the latest connection was not made. The client is told no more than that it is forbidden."""
    _open: set[asyncio.Task[None]] = field(default_factory=set)

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def close(self) -> None:
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_HEAD_SECONDS):
                wanted = read_head(await reader.readuntil(_END))
            await self._join(wanted, reader, writer)
        except _BROKEN:
            with suppress(OSError):
                writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                await writer.drain()
        finally:
            writer.close()

    async def _join(self, wanted: Wanted, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            sock = await asyncio.to_thread(self.guard.connect, wanted.host, wanted.port, _CONNECT_SECONDS)
        except OSError as error:
            self.failure = error
            raise
        self.failure = None
        sock.setblocking(False)
        above, below = await asyncio.open_connection(sock=sock)
        try:
            if wanted.head:
                below.write(wanted.head)
            else:
                writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            await _until_one_ends(_copy(reader, below), _copy(above, writer))
        finally:
            below.close()


@asynccontextmanager
async def open_proxy(guard: FetchGuard) -> AsyncIterator[GuardedProxy]:
    """For this process alone: it listens on the loopback address, which no other pod reaches."""
    proxy = GuardedProxy(guard)
    server = await asyncio.start_server(proxy.accept, "127.0.0.1", 0, limit=_MAX_HEAD)
    proxy.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        server.close()
        await proxy.close()


def read_head(head: bytes) -> Wanted:
    """Raises ValueError for what no client of ours sends."""
    line, _, fields = head.partition(b"\r\n")
    method, target, version = line.decode("ascii").split(" ")
    if method == "CONNECT":
        parts = urlsplit(f"//{target}")
        if not parts.hostname or not parts.port:
            raise ValueError("CONNECT needs a host and a port")
        return Wanted(parts.hostname, parts.port)
    parts = urlsplit(target)
    if parts.scheme != "http" or not parts.hostname:
        raise ValueError("only http is handed on")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Wanted(parts.hostname, parts.port or 80, _once(f"{method} {path} {version}".encode(), fields))


def _once(line: bytes, fields: bytes) -> bytes:
    """The connection ends with its answer: the next request may be for somebody else."""
    kept = [each for each in fields.split(b"\r\n") if each and each.partition(b":")[0].lower() not in _OF_THE_WAY]
    return b"\r\n".join([line, *kept, b"Connection: close"]) + _END


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(_PIECE):
        writer.write(piece)
        await writer.drain()


async def _until_one_ends(*ways: Coroutine[Any, Any, None]) -> None:
    tasks = [asyncio.ensure_future(way) for way in ways]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

"""ClamAV, asked through its daemon, before a document is read: `INSTREAM` over TCP.

Whatever is not a plain "OK" keeps the document out. A scanner that is away, slow or out of order is a reason to try
again later, never one to go on without it. What it finds, or cannot look at as a whole, settles
the document. Messages name signatures, never files: a file's name belongs to its tenant.
"""

import asyncio
import contextlib
import os
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from dreamhub.errors import DreamHubError, InvalidInputError, TooLargeError, UnavailableError

DEFAULT_LIMIT = 100 * 2**20
"""What the embedded scanner accepts (StreamMaxLength); clamd's own default is 100 MB, too."""

_COMMAND = b"zINSTREAM\0"
_PIECE = 2**18
_REPLY_BYTES = 4_096
_CONNECT_SECONDS, _PING_SECONDS = 5, 5
_VERDICT = re.compile(r"stream: (?P<signature>\S.*) FOUND")
_UNSCANNED = "Heuristics.Limits.Exceeded"
"""How clamd begins the name of what it did not look at (with AlertExceedsMax, which the embedded one has on)."""


@dataclass(frozen=True, slots=True)
class Scanner:
    """A clamd. Holds no connection: a document is one."""

    host: str
    port: int
    limit: int = DEFAULT_LIMIT
    """The scanner's StreamMaxLength. What is longer is refused here: clamd would cut the connection in the middle."""
    seconds: float = 180
    """For one document: clamd itself gives up after 120 (MaxScanTime) and says so."""

    async def scan(self, path: Path) -> None:
        """Return when the file is clean.

        Raises InvalidInputError `MalwareFound` or `ScanIncomplete`, TooLargeError `TooLargeToScan`, UnavailableError
        `ScannerUnavailable` when nothing can be scanned, or `ScanFailed` when it broke off over this document, which
        may be the cause.
        """
        with await asyncio.to_thread(path.open, "rb") as file:
            if os.fstat(file.fileno()).st_size > self.limit:
                raise _too_large(self.limit)
            error = judge(await self._ask(file), self.limit)
            if error is not None:
                raise error

    async def _ask(self, file: BinaryIO) -> str:
        """What clamd says about the file. Raises UnavailableError."""
        async with self._connected() as (reader, writer):
            try:
                async with asyncio.timeout(self.seconds):
                    return await _exchange(reader, writer, file)
            except TimeoutError as error:
                await self._ping()
                raise _failed(f"did not answer within {self.seconds:g} s") from error
            except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
                raise _failed(f"broke off ({type(error).__name__})") from error

    async def _ping(self) -> None:
        """Raises UnavailableError `ScannerUnavailable` when the scanner answers nobody."""
        async with self._connected() as (reader, writer):
            try:
                async with asyncio.timeout(_PING_SECONDS):
                    writer.write(b"zPING\0")
                    await reader.readuntil(b"\0")
            except (OSError, asyncio.IncompleteReadError) as error:  # a TimeoutError is an OSError
                raise _unavailable("does not answer") from error

    @contextlib.asynccontextmanager
    async def _connected(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """Raises UnavailableError `ScannerUnavailable`."""
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                reader, writer = await asyncio.open_connection(self.host, self.port, limit=_REPLY_BYTES)
        except OSError as error:
            raise _unavailable(f"cannot be reached ({type(error).__name__})") from error
        try:
            yield reader, writer
        finally:
            writer.transport.abort()


async def _exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, file: BinaryIO) -> str:
    """Send while listening: clamd may answer, and hang up, before it has everything."""
    answering = asyncio.ensure_future(reader.readuntil(b"\0"))
    sending = asyncio.ensure_future(_send(writer, file))
    try:
        await asyncio.wait({answering, sending}, return_when=asyncio.FIRST_COMPLETED)
        return (await answering).rstrip(b"\0").decode("ascii", "replace").strip()
    finally:
        for task in (answering, sending):
            task.cancel()
        await asyncio.gather(answering, sending, return_exceptions=True)


async def _send(writer: asyncio.StreamWriter, file: BinaryIO) -> None:
    """Pieces with their lengths, then one of length nothing."""
    writer.write(_COMMAND)
    while piece := await asyncio.to_thread(file.read, _PIECE):
        writer.write(len(piece).to_bytes(4, "big") + piece)
        await writer.drain()
    writer.write(bytes(4))
    await writer.drain()


def judge(reply: str, limit: int) -> DreamHubError | None:
    """What clamd's answer means; None for a clean document. Pure."""
    if reply == "stream: OK":
        return None
    found = _VERDICT.fullmatch(reply)
    if found is None:
        is_too_large = reply.startswith("INSTREAM size limit exceeded")
        return _too_large(limit) if is_too_large else _failed("is out of order")
    signature = found["signature"]
    if signature.startswith(_UNSCANNED):
        return InvalidInputError(
            f"the malware scanner could not look at the whole document ({signature}); split or simplify it",
            code="ScanIncomplete",
        )
    return InvalidInputError(
        f"the malware scanner found {signature} in the document; it was not read: remove it, and look after the "
        "machine it came from",
        code="MalwareFound",
    )


def parse_scanner(address: str, limit: int = DEFAULT_LIMIT) -> Scanner:
    """From `host:port`; IPv6 addresses stand in brackets. Raises InvalidInputError."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65_536:
        raise InvalidInputError(f"the address of the malware scanner is {address!r}; it must be host:port")
    return Scanner(host.removeprefix("[").removesuffix("]"), int(port), limit)


def _too_large(limit: int) -> TooLargeError:
    return TooLargeError(
        f"the document is above the {limit} bytes that the malware scanner looks at; split it", code="TooLargeToScan"
    )


def _unavailable(how: str) -> UnavailableError:
    return UnavailableError(
        f"the malware scanner {how}; no document is read without it, the next try may succeed",
        code="ScannerUnavailable",
    )


def _failed(how: str) -> UnavailableError:
    return UnavailableError(
        f"the malware scanner {how} over the document, which is not read without it; the next try may succeed",
        code="ScanFailed",
    )

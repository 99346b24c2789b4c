"""The gate in front of the embedded clamd, with its own configuration: documents pass, orders do not."""

import asyncio
import zipfile
from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path

import pytest
import pytest_asyncio

from dreamhub.errors import DreamHubError
from dreamhub_worker.scan import Scanner
from hack.images.embedded import clamav
from hack.images.embedded.clamav_gate import open_gate
from tests.integration.clamav import LIMIT, MARK, run_embedded_clamav
from tests.integration.servers import temporary_folder


@pytest_asyncio.fixture(scope="module")
async def port() -> AsyncIterator[int]:
    with temporary_folder() as folder, run_embedded_clamav(folder, clamav.build_configuration(LIMIT)) as socket:
        async with await open_gate(socket, "127.0.0.1", 0) as gate:
            yield gate.sockets[0].getsockname()[1]


async def ask(port: int, said: bytes, *, close: bool = False) -> bytes:
    """Everything that comes back until the gate hangs up."""
    async with asyncio.timeout(120):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(said)
        if close:
            writer.write_eof()
        answer = await reader.read()
        writer.close()
        return answer


def stream(*pieces: bytes) -> bytes:
    return b"zINSTREAM\0" + b"".join(len(piece).to_bytes(4, "big") + piece for piece in pieces)


async def test_a_ping_is_answered(port: int) -> None:
    assert await ask(port, b"zPING\0") == b"PONG\0"


@pytest.mark.parametrize(
    "order",
    [b"zSHUTDOWN\0", b"zRELOAD\0", b"zSCAN /etc/passwd\0", b"zIDSESSION\0", b"nSHUTDOWN\n\0", b"SHUTDOWN\0", b"\0"],
)
async def test_no_order_reaches_the_daemon(port: int, order: bytes) -> None:
    assert await ask(port, order) == b"UNKNOWN COMMAND\0"
    assert await ask(port, b"zPING\0") == b"PONG\0"


async def test_an_order_behind_a_document_is_dropped(port: int) -> None:
    assert await ask(port, stream(b"words", b"") + b"zSHUTDOWN\0") == b"stream: OK\0"
    assert await ask(port, b"zPING\0" + b"zSHUTDOWN\0") == b"PONG\0"
    assert await ask(port, b"zPING\0") == b"PONG\0"


@pytest.mark.parametrize("said", [b"", b"zINST", stream(b"words"), stream(b"words") + b"\0\0\1\0half"])
async def test_a_client_that_leaves_in_the_middle_gets_no_verdict(port: int, said: bytes) -> None:
    assert b"OK" not in await ask(port, said, close=True)
    assert await ask(port, b"zPING\0") == b"PONG\0"


async def test_a_command_without_an_end_is_not_collected(port: int) -> None:
    assert await ask(port, b"z" * 2**20) == b""


async def test_documents_are_scanned_through_it(port: int, tmp_path: Path) -> None:
    scanner = Scanner("127.0.0.1", port, limit=4 * LIMIT)
    original = tmp_path / "original"
    for data, code in (
        (b"words" * 500_000, None),
        (b"words" * 500_000 + MARK, "MalwareFound"),
        (b"x" * 2 * LIMIT, "TooLargeToScan"),
        (packed(b"x" * 200 * 2**20 + MARK), "MalwareFound"),
    ):
        await asyncio.to_thread(original.write_bytes, data)
        assert await verdict(scanner, original) == code


async def verdict(scanner: Scanner, path: Path) -> str | None:
    try:
        await scanner.scan(path)
    except DreamHubError as error:
        return error.code
    return None


def packed(data: bytes) -> bytes:
    """As large as a part may be that a parser would unpack."""
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", data)
    return buffer.getvalue()

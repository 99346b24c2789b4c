"""The malware scanner is Debian's clamd with signatures of our own: all that is not its "OK" keeps a document out."""

import asyncio
import io
import secrets
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from dreamhub.errors import DreamHubError, UnavailableError
from dreamhub.sql.runs import fetch_run
from dreamhub_worker.scan import Scanner
from tests.integration.clamav import HASHED, LIMIT, MARK, PART_LIMIT, ClamavServer, run_clamav
from tests.integration.servers import pick_port, temporary_folder
from tests.integration.worker.support import Mount, Rig, eventually

MEGABYTE = 2**20


@pytest.fixture(scope="module")
def server() -> Iterator[ClamavServer]:
    with temporary_folder() as folder, run_clamav(folder) as running:
        yield running


@pytest.fixture
def mortal() -> Iterator[ClamavServer]:
    """One for a test that kills it."""
    with temporary_folder() as folder, run_clamav(folder) as running:
        yield running


@pytest.fixture
def scanner(server: ClamavServer) -> Scanner:
    return Scanner("127.0.0.1", server.port, limit=LIMIT, seconds=60)


@pytest.fixture
def original(tmp_path: Path) -> Path:
    return tmp_path / "quarterly-figures"


def filled(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


async def refusal(scanner: Scanner, path: Path, data: bytes) -> DreamHubError:
    with pytest.raises(DreamHubError) as caught:
        await scanner.scan(filled(path, data))
    assert path.name not in caught.value.message
    return caught.value


def zipped(data: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", data)
    return buffer.getvalue()


def mount_address(server: ClamavServer) -> str:
    return f"127.0.0.1:{server.port}"


@pytest.mark.parametrize("data", [b"", b"some words", b"x" * PART_LIMIT], ids=["empty", "words", "as large as may be"])
async def test_a_clean_document_passes(scanner: Scanner, original: Path, data: bytes) -> None:
    await scanner.scan(filled(original, data))


@pytest.mark.parametrize(
    ("data", "signature"),
    [
        (b"before " + MARK + b" after", "DreamHub.Test.Mark"),
        (b"x" * 3 * MEGABYTE + MARK, "DreamHub.Test.Mark"),
        (zipped(b"<p>" + MARK + b"</p>"), "DreamHub.Test.Mark"),
        (HASHED, "DreamHub.Test.Hashed"),
    ],
    ids=["inside", "behind megabytes", "in a part of a document", "known as a whole"],
)
async def test_malware_is_refused_by_its_signature(
    scanner: Scanner, original: Path, data: bytes, signature: str
) -> None:
    error = await refusal(scanner, original, data)
    assert error.code == "MalwareFound"
    assert signature in error.message


async def test_a_document_above_the_limit_is_refused_without_asking(original: Path) -> None:
    nobody = Scanner("127.0.0.1", pick_port(), limit=1_000)
    assert (await refusal(nobody, original, b"x" * 1_001)).code == "TooLargeToScan"


@pytest.mark.parametrize("size", [LIMIT + 1, 6 * LIMIT])
async def test_a_limit_that_is_set_too_high_still_refuses(server: ClamavServer, original: Path, size: int) -> None:
    """The server cuts the connection while we send: its answer must not be lost."""
    wrong = Scanner("127.0.0.1", server.port, limit=100 * LIMIT)
    assert (await refusal(wrong, original, b"x" * size)).code == "TooLargeToScan"


@pytest.mark.parametrize(
    "data", [b"x" * (PART_LIMIT + 1), zipped(secrets.token_bytes(PART_LIMIT + 1))], ids=["whole", "part"]
)
async def test_what_the_server_did_not_look_at_is_refused(scanner: Scanner, original: Path, data: bytes) -> None:
    error = await refusal(scanner, original, data)
    assert error.code == "ScanIncomplete"
    assert "MaxFileSize" in error.message


async def test_a_scanner_that_is_away_lets_nothing_through(original: Path) -> None:
    error = await refusal(Scanner("127.0.0.1", pick_port()), original, b"words")
    assert isinstance(error, UnavailableError)
    assert error.code == "ScannerUnavailable"


async def test_a_scanner_that_answers_nobody_lets_nothing_through(server: ClamavServer, original: Path) -> None:
    slow = Scanner("127.0.0.1", server.port, seconds=0.2)
    server.freeze()
    try:
        assert (await refusal(slow, original, b"words")).code == "ScannerUnavailable"
    finally:
        server.thaw()


async def test_a_document_that_takes_too_long_is_not_let_through(server: ClamavServer, original: Path) -> None:
    """The scanner answers others: it is this document's fault."""
    impatient = Scanner("127.0.0.1", server.port, seconds=0)
    assert (await refusal(impatient, original, b"words")).code == "ScanFailed"


async def test_a_scanner_that_is_slow_for_a_while_is_waited_for(
    server: ClamavServer, scanner: Scanner, original: Path
) -> None:
    server.freeze()
    try:
        scanning = asyncio.create_task(scanner.scan(filled(original, MARK)))
        await asyncio.wait({scanning}, timeout=0.5)
        assert not scanning.done()
    finally:
        server.thaw()
    with pytest.raises(DreamHubError, match=r"DreamHub\.Test\.Mark"):
        await scanning


async def test_a_scanner_that_dies_in_the_middle_lets_nothing_through(mortal: ClamavServer, original: Path) -> None:
    """Frozen, so that the document is certainly on its way, and more of it than buffers hold."""
    mortal.freeze()
    scanner = Scanner("127.0.0.1", mortal.port)
    scanning = asyncio.create_task(refusal(scanner, original, b"x" * 60 * MEGABYTE))
    await eventually(lambda: _is_receiving(mortal.port), "the worker sends")
    mortal.kill()
    assert (await scanning).code == "ScanFailed"


async def test_a_scanner_that_hangs_up_lets_nothing_through(original: Path) -> None:
    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1") as server:
        port = server.sockets[0].getsockname()[1]
        assert (await refusal(Scanner("127.0.0.1", port), original, b"words")).code == "ScanFailed"


async def _is_receiving(port: int) -> bool:
    return port in receiving_ports()


def receiving_ports() -> set[int]:
    """Local ports where bytes wait for their reader, from the kernel's table of connections."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    waiting = [row for row in rows if row[3] == "01" and int(row[4].partition(":")[2], 16) > 0]
    return {int(row[1].partition(":")[2], 16) for row in waiting}


async def test_the_worker_reads_nothing_that_is_found(rig: Rig, server: ClamavServer) -> None:
    good = await rig.upload("good.txt", b"harmless words")
    bad = await rig.upload("quarterly-figures.txt", b"words " + MARK)
    mount = rig.mount(good, bad)

    assert await rig.run(mount, DREAMHUB_SCANNER_ADDRESS=mount_address(server)) == 0

    progress = await rig.progress(mount)
    assert (progress.documents.done, progress.documents.failed) == (1, 1)
    [error] = progress.errors
    assert (error.document, error.error_class, error.reason) == (bad.document_id, "Permanent", "MalwareFound")
    assert "quarterly" not in error.message
    assert await rig.count("SELECT count(DISTINCT document_id) FROM chunks") == 1


async def test_the_worker_reads_nothing_while_the_scanner_is_away(rig: Rig) -> None:
    mount = rig.mount(await rig.upload("good.txt", b"harmless words"))

    assert await rig.run(mount, DREAMHUB_SCANNER_ADDRESS=f"127.0.0.1:{pick_port()}") == 75

    [error] = (await rig.progress(mount)).errors
    assert (error.error_class, error.reason) == ("Transient", "ScannerUnavailable")
    assert await rig.count("SELECT count(*) FROM chunks") == 0


async def test_the_worker_waits_for_a_scanner_that_comes_back(rig: Rig) -> None:
    port = pick_port()
    good, bad = await rig.upload("good.txt", b"harmless words"), await rig.upload("bad.txt", MARK)
    mount = rig.mount(good, bad)
    working = asyncio.create_task(
        rig.run(mount, DREAMHUB_SCANNER_ADDRESS=f"127.0.0.1:{port}", DREAMHUB_PATIENCE_SECONDS="60")
    )
    await eventually(lambda: _is_scanning(rig, mount), "the worker asks")
    assert not working.done()

    with temporary_folder() as folder, run_clamav(folder, port):
        assert await working == 0

    progress = await rig.progress(mount)
    assert (progress.documents.done, progress.documents.failed) == (1, 1)
    assert [error.reason for error in progress.errors if error.error_class == "Permanent"] == ["MalwareFound"]


async def _is_scanning(rig: Rig, mount: Mount) -> bool:
    async with rig.pool.acquire() as conn:
        run = await fetch_run(conn, mount.job.uid)
    return run is not None and run.progress.stage == "Scanning"


async def test_the_worker_refuses_what_the_scanner_would_not_look_at(rig: Rig, server: ClamavServer) -> None:
    mount = rig.mount(await rig.upload("large.txt", b"x" * 3_000))
    limits = {"DREAMHUB_SCANNER_ADDRESS": mount_address(server), "DREAMHUB_SCANNER_LIMIT_BYTES": "2000"}

    assert await rig.run(mount, **limits) == 0

    assert [error.reason for error in (await rig.progress(mount)).errors] == ["TooLargeToScan"]
    assert await rig.count("SELECT count(*) FROM chunks") == 0

"""What a parser that a document has taken over can still do: nothing outside of its folder."""

import asyncio
import json
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from dreamhub.errors import InvalidInputError
from dreamhub_worker import extractor as module
from dreamhub_worker.confine import ALL, build_ruleset, landlock_abi
from dreamhub_worker.extractor import Extractor

needs_landlock = pytest.mark.skipif(landlock_abi() < 4, reason="this kernel has no Landlock with rules for TCP")

PROLOGUE = """
import json, os, socket, sys
from pathlib import Path
from dreamhub_worker.confine import confine
held = confine([Path(sys.argv[1])])
def attempt(what):
    try:
        what()
    except OSError as error:
        return error.errno
    return 0
"""


def confined(folder: Path, code: str, *arguments: str) -> dict[str, object]:
    """What a process that has shut itself in answers."""
    return run_confined(PROLOGUE, folder, code, *arguments)


def run_confined(prologue: str, folder: Path, code: str, *arguments: str) -> dict[str, object]:
    script = prologue + textwrap.dedent(code)
    command = [sys.executable, "-c", script, str(folder), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "originals"
    folder.mkdir()
    (folder / "original").write_text("words")
    (tmp_path / "database-url").write_text("postgresql://t_acme:secret@db/dreamhub")
    return folder


@needs_landlock
def test_files_outside_of_the_folder_cannot_be_opened(folder: Path) -> None:
    answer = confined(
        folder,
        """
        folder = Path(sys.argv[1])
        print(json.dumps({
            "held": sorted(held),
            "own": attempt((folder / "original").read_text),
            "credentials": attempt((folder.parent / "database-url").read_text),
            "by link": attempt((folder / "link").read_text),
            "listing": attempt(lambda: os.listdir(folder.parent)),
            "parent's environment": attempt(Path(f"/proc/{os.getppid()}/environ").read_bytes),
            "new": attempt((folder / "new").touch),
            "change": attempt(lambda: (folder / "original").open("a")),
            "removal": attempt((folder / "original").unlink),
        }))
        """,
    )
    assert answer.pop("held") == sorted(ALL)
    assert answer.pop("own") == 0
    assert answer.pop("by link") == 2
    assert set(answer.values()) == {13}, answer


@needs_landlock
def test_a_link_in_the_folder_leads_nowhere(folder: Path) -> None:
    (folder / "link").symlink_to(folder.parent / "database-url")
    answer = confined(folder, "print(json.dumps({'link': attempt((Path(sys.argv[1]) / 'link').read_text)}))")
    assert answer == {"link": 13}


def test_nobody_can_be_reached(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        answer = confined(
            folder,
            """
            kinds = {"tcp": (socket.AF_INET, socket.SOCK_STREAM), "udp": (socket.AF_INET, socket.SOCK_DGRAM),
                     "tcp6": (socket.AF_INET6, socket.SOCK_STREAM), "unix": (socket.AF_UNIX, socket.SOCK_STREAM),
                     "netlink": (socket.AF_NETLINK, socket.SOCK_RAW)}
            found = {name: attempt(lambda: socket.socket(*kind)) for name, kind in kinds.items()}
            found["pair"] = attempt(socket.socketpair)
            found["connect"] = attempt(lambda: socket.create_connection(("127.0.0.1", int(sys.argv[2]))))
            found["program"] = attempt(lambda: os.execv("/bin/true", ["true"]))
            print(json.dumps(found))
            """,
            str(server.getsockname()[1]),
        )
    assert set(answer.values()) == {13}, answer


@needs_landlock
def test_without_the_filter_landlock_alone_refuses_tcp(folder: Path) -> None:
    prologue = PROLOGUE.replace("held =", "import dreamhub_worker.confine as m; m._ARCHITECTURES = {}\nheld =")
    code = """
    address = ("127.0.0.1", int(sys.argv[2]))
    print(json.dumps({"held": sorted(held), "connect": attempt(lambda: socket.create_connection(address))}))
    """
    with socket.create_server(("127.0.0.1", 0)) as server:
        answer = run_confined(prologue, folder, code, str(server.getsockname()[1]))
    assert answer == {"held": ["files"], "connect": 13}


@pytest.mark.parametrize(("abi", "size"), [(1, 8), (3, 8), (4, 16), (5, 16), (6, 24), (9, 24)])
def test_older_kernels_get_what_they_know(abi: int, size: int) -> None:
    assert len(build_ruleset(abi)) == size


@needs_landlock
async def test_the_extraction_process_cannot_open_the_credentials(folder: Path) -> None:
    async with Extractor(folder=folder) as extractor:
        with capture_logs() as logs:
            assert (await extractor.extract(folder / "original", "text/plain")).text == "words"
            with pytest.raises(InvalidInputError) as refused:
                await extractor.extract(folder.parent / "database-url", "text/plain")
            assert refused.value.code == "ParserFailed"
            assert "PermissionError" in refused.value.message
            assert (await extractor.extract(folder / "original", "text/plain")).text == "words"
    assert logs == []


async def test_what_is_missing_is_said_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a kernel without it: the documents are read all the same."""
    monkeypatch.setattr(module, "ALL", ALL | {"something new"})
    async with Extractor(folder=folder) as extractor:
        with capture_logs() as logs:
            await extractor.extract(folder / "original", "text/plain")
            assert extractor._child is not None
            extractor._child.kill()
            await asyncio.wait_for(extractor._child.wait(), 60)
            await extractor.extract(folder / "original", "text/plain")
    told = [(line["event"], "something new" in line["missing"]) for line in logs]
    assert told == [("extraction_not_confined", True)]

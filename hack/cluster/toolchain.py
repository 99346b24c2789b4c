"""Finds a Go that can build the modules, or fetches one: a toolchain is a Go module like any other."""

import hashlib
import platform
import re
import shutil
import urllib.request
import zipfile
from collections.abc import Callable
from pathlib import Path

from hack.cluster.command import find_program, run
from hack.cluster.errors import ClusterError
from hack.cluster.settings import Settings

# From Go 1.21 on, `go` itself fetches the toolchain that a go.mod asks for.
_OLDEST_USABLE = (1, 21)
_RELEASE = "1.26.8"
_PROXY = "https://proxy.golang.org/golang.org/toolchain/@v"
_CHECKSUMS = {
    "amd64": "30c2b1bf7dcc88d3eb0a1364e47ddd9128edb3110a30e8a0ef61cd5856b31de7",
    "arm64": "02b36b6787b3ac767668f630e2998df45a3b1f9ffee08d1bf3ef6487cd658d99",
}
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}


def find_go(settings: Settings, note: Callable[[str], None]) -> str:
    """Path of a `go` that is new enough: the machine's own, or one unpacked into the cache."""
    own = find_program("go")
    if own and parse_version(run([own, "version"], environment={"GOTOOLCHAIN": "local"})) >= _OLDEST_USABLE:
        return own
    fetched = settings.cache / f"go-{_RELEASE}"
    if not (fetched / "bin/go").is_file():
        _fetch(fetched, note)
    return str(fetched / "bin/go")


def parse_version(text: str) -> tuple[int, int]:
    """(major, minor) out of `go version go1.26.8 linux/amd64`; (0, 0) when it is something else."""
    found = re.search(r"\bgo(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _fetch(target: Path, note: Callable[[str], None]) -> None:
    machine = _MACHINES.get(platform.machine())
    if machine is None:
        raise ClusterError(f"Go is missing and no build for {platform.machine()} is known: install Go from go.dev/dl.")
    name = f"v0.0.1-go{_RELEASE}.linux-{machine}"
    archive = target.with_suffix(".zip")
    archive.parent.mkdir(parents=True, exist_ok=True)
    note(f"fetching Go {_RELEASE}")
    try:
        urllib.request.urlretrieve(f"{_PROXY}/{name}.zip", archive)  # noqa: S310 - a fixed https address
    except OSError as error:
        raise ClusterError(f"Go is missing and {_PROXY} is not reached ({error}): install Go 1.21 or newer.") from error
    if hashlib.sha256(archive.read_bytes()).hexdigest() != _CHECKSUMS[machine]:
        archive.unlink()
        raise ClusterError(f"The fetched Go {_RELEASE} is not the pinned one: a proxy altered it. Install Go by hand.")
    unpacked = target.with_suffix(".new")
    shutil.rmtree(unpacked, ignore_errors=True)
    with zipfile.ZipFile(archive) as files:
        files.extractall(unpacked)
    for program in [*(unpacked / f"golang.org/toolchain@{name}").glob("bin/*"), *unpacked.rglob("pkg/tool/*/*")]:
        program.chmod(0o755)
    (unpacked / f"golang.org/toolchain@{name}").rename(target)
    shutil.rmtree(unpacked)
    archive.unlink()

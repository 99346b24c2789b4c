"""`make walls`: takes down each wall of the table in turn and shows which test notices.

Ends with 1 when a removal goes unnoticed, when a test fails with all walls up, when a removal no longer fits the
product, or when walls of the cluster were not tried although nobody asked for that.
"""

import argparse
import importlib
import json
import os
import secrets
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NoReturn

import pytest
from rich.console import Console
from rich.table import Table

from hack.cluster.settings import read_settings
from hack.steps import format_seconds
from tests.walls.lent import LENT, REPORT, WALL, run_lent
from tests.walls.removals import Wall
from tests.walls.table import WALLS

_LIBRARIES = (
    *("aiohttp.web", "asyncpg", "numpy", "pydantic", "pydantic_settings", "redis.asyncio", "obstore", "structlog"),
    *("joserfc.jwt", "cryptography.hazmat.primitives.ciphers.aead", "wordllama", "yaml"),
    *("prometheus_client", "openai"),
)
"""Imported once: test processes are forks of this one. None of them is what a removal edits."""

MUTANT_SECONDS = 300
_CRASHES = ("NameError", "AttributeError", "ImportError", "SyntaxError", "TypeError", "StaleRemovalError")
"""A test that ends so has not noticed a missing wall: the removal has broken the program."""


_OPTIONS = (
    "-q",
    "-p",
    "tests.walls.plugin",
    "-p",
    "no:cacheprovider",
    "-W",
    "ignore::pytest.PytestAssertRewriteWarning",
)


@dataclass(frozen=True, slots=True)
class Report:
    """What one test process says."""

    passed: Sequence[tuple[str, str]]
    failed: Sequence[tuple[str, str]]
    broken: Sequence[tuple[str, str]]
    output: str

    @property
    def is_green(self) -> bool:
        return bool(self.passed) and not self.failed and not self.broken


@dataclass(frozen=True, slots=True)
class Verdict:
    wall: Wall
    noticed: str
    """The test, or nothing."""
    words: str


def run_tests(tests: Iterable[str], environment: dict[str, str], folder: Path) -> Report:
    """In a process of its own, which imports the product afresh."""
    report, log = folder / f"{secrets.token_hex(4)}.json", folder / f"{secrets.token_hex(4)}.log"
    child = os.fork()
    if child == 0:
        os.environ.update({**environment, REPORT: str(report)})
        _become_pytest([*tests], log)
    _wait(child)
    found = json.loads(report.read_text()) if report.exists() else {"passed": [], "failed": [], "broken": [["", ""]]}
    lists = {name: [(item[0], item[1]) for item in items] for name, items in found.items()}
    return Report(**lists, output=log.read_text(errors="replace"))


def _become_pytest(tests: list[str], log: Path) -> NoReturn:
    """Never returns: what this process has open is its parent's to close."""
    code = 3
    try:
        with log.open("wb") as output:
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
            code = pytest.main([*_OPTIONS, *tests])
    except BaseException:  # noqa: BLE001 - nothing may return into the runner's code
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _wait(child: int) -> None:
    deadline = time.monotonic() + MUTANT_SECONDS
    while os.waitpid(child, os.WNOHANG)[0] == 0:
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return
        time.sleep(0.02)


def judge(wall: Wall, report: Report) -> Verdict:
    honest = [(test, words) for test, words in report.failed if not words.startswith(_CRASHES)]
    if honest:
        test, words = honest[0]
        return Verdict(wall, test.rpartition("/")[2], words)
    if report.failed or report.broken:
        words = (*report.failed, *report.broken)[0][1]
        return Verdict(wall, "", f"the removal broke the test instead: {words}\n{report.output[-3000:]}")
    return Verdict(wall, "", "UNNOTICED: every test passes without it")


def try_walls(walls: Sequence[Wall], environment: dict[str, str], folder: Path) -> list[Verdict]:
    """All walls up first: a test that fails then proves nothing. Then without one wall after another."""
    if not walls:
        return []
    named = list(dict.fromkeys(test for wall in walls for test in wall.tests))
    standing = run_tests(named, environment, folder)
    if not standing.is_green:
        print(standing.output[-6000:])
        raise SystemExit("these tests fail with every wall up, so they prove nothing: mend them first")
    print(f"{len(standing.passed)} tests pass with every wall up", flush=True)
    verdicts = []
    for wall in walls:
        started = time.monotonic()
        verdicts.append(judge(wall, run_tests(wall.tests, {**environment, WALL: wall.name}, folder)))
        outcome = "noticed" if verdicts[-1].noticed else "NOT NOTICED"
        print(f"  {wall.name}: {outcome} ({format_seconds(time.monotonic() - started)})", flush=True)
    return verdicts


def cluster_is_up() -> bool:
    kubeconfig = read_settings().kubeconfig
    command = ["kubectl", "--kubeconfig", str(kubeconfig), "--request-timeout=5s", "get", "--raw", "/readyz"]
    try:
        return kubeconfig.exists() and subprocess.run(command, check=False, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


def print_verdicts(verdicts: Sequence[Verdict], untried: Sequence[Wall]) -> None:
    table = Table(title="Walls", show_lines=True)
    for column in ("wall", "how it was removed", "test that noticed", "in its words"):
        table.add_column(column, overflow="fold")
    for verdict in verdicts:
        removed = "\n".join(map(str, verdict.wall.removals))
        table.add_row(verdict.wall.name, removed, verdict.noticed or "NONE", verdict.words[:200])
    for wall in untried:
        table.add_row(wall.name, "\n".join(map(str, wall.removals)), "not run", "needs the local cluster: make install")
    Console(width=200, markup=False).print(table)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.walls", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="PART", help="only walls whose name holds this")
    parser.add_argument("--without-cluster", action="store_true", help="leave out walls of the local cluster")
    arguments = parser.parse_args()
    wanted = [wall for wall in WALLS if not arguments.names or any(part in wall.name for part in arguments.names)]
    here = [wall for wall in wanted if not wall.on_cluster]
    there = [wall for wall in wanted if wall.on_cluster]
    started = time.monotonic()
    for library in _LIBRARIES:
        importlib.import_module(library)
    with TemporaryDirectory() as name:
        folder = Path(name)
        verdicts = []
        if here:
            with run_lent() as lent:
                verdicts += try_walls(here, {LENT: lent.dump()}, folder)
        tried = bool(there) and not arguments.without_cluster and cluster_is_up()
        verdicts += try_walls(there, {}, folder) if tried else []
    untried = [] if tried else there
    print_verdicts(verdicts, untried)
    unnoticed = [verdict.wall.name for verdict in verdicts if not verdict.noticed]
    for verdict in verdicts:
        if not verdict.noticed:
            print(f"\n{verdict.wall.name}: {verdict.words}")
    print(
        f"{len(verdicts)} walls removed, {len(verdicts) - len(unnoticed)} noticed, {len(unnoticed)} unnoticed, "
        f"{len(untried)} not run; {format_seconds(time.monotonic() - started)}"
    )
    return int(bool(unnoticed) or (bool(untried) and not arguments.without_cluster))


if __name__ == "__main__":
    sys.exit(main())

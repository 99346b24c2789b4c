"""The pinned programs that checks run, built from their Go modules when they are not in the cache yet."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from hack.cluster.binaries import HELM, LINT, build
from hack.cluster.progress import Progress
from hack.cluster.settings import read_settings

ROOT = Path(__file__).resolve().parents[2]


def prepare_tools() -> Path:
    """The folder that holds helm, helm-docs, actionlint and kubeconform."""
    settings = read_settings()
    build(settings, (HELM, LINT), Progress())
    return settings.binaries


def run_tool(command: Sequence[str | Path], *, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run a program in the repository's root; its complaints go to stdout, whatever stream it chose."""
    return subprocess.run(
        command, cwd=ROOT, check=False, text=True, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )

"""Peers that benchmarks run beside us: each in an environment of its own under build/, never in ours.

`<name>.txt` lists what is installed, pinned; `<name>.py` is run there, so it may import nothing of this project.
"""

import hashlib
import subprocess
from pathlib import Path

from tests.bench.process import BenchmarkError

HERE = Path(__file__).parent
ROOT = HERE.parents[2]


def open_peer(name: str) -> list[str]:
    """The command that runs `<name>.py` in its environment, which is made first where it is missing or outdated.

    Raises BenchmarkError when it cannot be made.
    """
    requirements = HERE / f"{name}.txt"
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()[:12]
    folder = ROOT / "build" / "peers" / f"{name}-{digest}"
    ready, python = folder / "ready", folder / "bin" / "python"
    if not ready.exists():
        _run("venv", "--quiet", "--clear", "--python", "3.11", str(folder))
        _run(
            "pip",
            "install",
            "--quiet",
            "--link-mode",
            "copy",
            "--python",
            str(python),
            "--requirement",
            str(requirements),
        )
        ready.touch()
    return [str(python), str(HERE / f"{name}.py")]


def _run(*arguments: str) -> None:
    done = subprocess.run([str(ROOT / "hack" / "uv"), *arguments], check=False, capture_output=True, text=True)
    if done.returncode:
        raise BenchmarkError(f"uv {arguments[0]} for a peer: {done.stderr[-2_000:]}")

"""Run a process, on one core where that is what is measured, and say what it took."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


class BenchmarkError(RuntimeError):
    """A benchmark could not be measured; never reported as a figure."""


@dataclass(frozen=True, slots=True)
class Finished:
    seconds: float
    """Wall time from start to end."""
    cpu_seconds: float
    """User and system time of the process and the children it has waited for."""
    peak_rss_bytes: int
    output: str


def run_measured(command: Sequence[str], environment: Mapping[str, str], *, core: int | None = 0) -> Finished:
    """Run to the end, confined to one core unless that is None.

    Raises BenchmarkError with the end of its output when it fails.
    """
    pinned = [] if core is None else ["taskset", "-c", str(core)]
    started = time.monotonic()
    process = subprocess.Popen(
        [*pinned, *command],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    output = process.stdout.read() if process.stdout else ""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise BenchmarkError(f"{command!r} ended with {process.returncode}:\n{output[-2_000:]}")
    seconds = time.monotonic() - started
    return Finished(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024, output)


def python(module: str) -> list[str]:
    return [sys.executable, "-m", module]

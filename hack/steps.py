"""Runs make targets one after another, shows how long each took, and ends with one table.

`make demo`, `make test` and `make check` are nothing but lists of targets, so whatever they do can also be done step by
step by hand, and a workflow that runs one step runs the same command.
"""

import argparse
import os
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum


class Output(Enum):
    """What a step's own output does."""

    LIVE = "live"
    """Goes straight to the terminal: progress bars stay alive."""
    CLOSING = "closing"
    """Passes through; the last line is repeated in the table (pytest's count of tests)."""
    FAILURES = "failures"
    """Is held back and printed only when the step fails."""


@dataclass(frozen=True)
class Outcome:
    exit_code: int
    closing_line: str = ""


@dataclass(frozen=True)
class Result:
    target: str
    outcome: Outcome | None
    """None when the step was not reached."""
    seconds: float

    @property
    def failed(self) -> bool:
        return self.outcome is not None and self.outcome.exit_code != 0


def run_steps(
    targets: Sequence[str],
    run: Callable[[str], Outcome],
    *,
    keep_going: bool,
    clock: Callable[[], float] = time.monotonic,
) -> list[Result]:
    """Run each target; after a failure run the others too (`keep_going`) or report them as not reached."""
    results: list[Result] = []
    for target in targets:
        if not keep_going and any(result.failed for result in results):
            results.append(Result(target, None, 0))
            continue
        started = clock()
        outcome = run(target)
        results.append(Result(target, outcome, clock() - started))
    return results


def format_seconds(seconds: float) -> str:
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s"


def format_summary(results: Sequence[Result]) -> str:
    """A plain table that reads the same in a terminal, a log file and a workflow."""
    width = max(len(result.target) for result in results)
    lines = []
    for result in results:
        state = "not reached" if result.outcome is None else "FAILED" if result.failed else "ok"
        took = "" if result.outcome is None else format_seconds(result.seconds)
        closing = result.outcome.closing_line if result.outcome else ""
        lines.append(f"  {result.target:<{width}}  {state:<11}  {took:>12}  {closing}".rstrip())
    total = format_seconds(sum(result.seconds for result in results))
    verdict = "FAILED" if any(result.failed for result in results) else "ok"
    return "\n".join([*lines, f"  {'total':<{width}}  {verdict:<11}  {total:>12}"])


def last_words(lines: Sequence[str]) -> str:
    """The last line that says something, without pytest's frame of equals signs."""
    spoken = (line.strip().strip("=").strip() for line in reversed(lines))
    return next((line for line in spoken if line), "")


def _run_make(target: str, output: Output) -> Outcome:
    command = [os.environ.get("MAKE", "make"), "--no-print-directory", target]
    if output is Output.LIVE:
        print(f"\n--- {target}", flush=True)
        return Outcome(subprocess.run(command, check=False).returncode)
    if output is Output.FAILURES:
        held = subprocess.run(command, check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        print(f"  {target:<18} {'ok' if held.returncode == 0 else 'FAILED'}", flush=True)
        if held.returncode:
            print(held.stdout, flush=True)
        return Outcome(held.returncode)
    print(f"\n--- {target}", flush=True)
    return _run_tee(command)


def _run_tee(command: Sequence[str]) -> Outcome:
    tail: deque[str] = deque(maxlen=20)
    with subprocess.Popen(
        command, text=True, errors="replace", stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        for line in process.stdout or ():
            print(line, end="", flush=True)
            tail.append(line)
    return Outcome(process.returncode, last_words([line for line in tail if not line.startswith("make")]))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m hack.steps", description=__doc__)
    parser.add_argument("targets", nargs="+", metavar="TARGET", help="a target of the Makefile")
    parser.add_argument("--keep-going", action="store_true", help="run the other steps after one failed")
    parser.add_argument("--output", type=Output, choices=list(Output), default=Output.LIVE)
    arguments = parser.parse_args()
    output: Output = arguments.output
    try:
        results = run_steps(
            arguments.targets, lambda target: _run_make(target, output), keep_going=arguments.keep_going
        )
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return 130
    print(f"\n{format_summary(results)}", flush=True)
    return 1 if any(result.failed for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())

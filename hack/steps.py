"""Runs make targets one after another, shows how long each took, and ends with one table.

`make demo`, `make test` and `make check` are nothing but lists of targets, so whatever they do can also be done step by
step by hand, and a workflow that runs one step runs the same command. Targets joined by a plus run side by side, each
line behind its target's name.
"""

import argparse
import os
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
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
    steps: Sequence[Sequence[str]],
    run: Callable[[str], Outcome],
    *,
    keep_going: bool,
    clock: Callable[[], float] = time.monotonic,
) -> list[Result]:
    """Run each step, the targets of one step side by side.

    After a failure run the others too (`keep_going`) or report them as not reached.
    """

    def run_target(target: str) -> Result:
        started = clock()
        outcome = run(target)
        return Result(target, outcome, clock() - started)

    results: list[Result] = []
    for targets in steps:
        if not keep_going and any(result.failed for result in results):
            results += [Result(target, None, 0) for target in targets]
            continue
        with ThreadPoolExecutor(len(targets)) as threads:
            results += threads.map(run_target, targets)
    return results


def format_seconds(seconds: float) -> str:
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s"


def format_summary(results: Sequence[Result], seconds: float) -> str:
    """A plain table that reads the same in a terminal, a log file and a workflow. `seconds`: of all together."""
    width = max(len(result.target) for result in results)
    lines = []
    for result in results:
        state = "not reached" if result.outcome is None else "FAILED" if result.failed else "ok"
        took = "" if result.outcome is None else format_seconds(result.seconds)
        closing = result.outcome.closing_line if result.outcome else ""
        lines.append(f"  {result.target:<{width}}  {state:<11}  {took:>12}  {closing}".rstrip())
    total = format_seconds(seconds)
    verdict = "FAILED" if any(result.failed for result in results) else "ok"
    return "\n".join([*lines, f"  {'total':<{width}}  {verdict:<11}  {total:>12}"])


def last_words(lines: Sequence[str]) -> str:
    """The last line that says something, without pytest's frame of equals signs."""
    spoken = (line.strip().strip("=").strip() for line in reversed(lines))
    return next((line for line in spoken if line), "")


def _run_make(target: str, output: Output, *, alone: bool) -> Outcome:
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
    return _run_tee(command, "" if alone else f"{target} | ")


def _run_tee(command: Sequence[str], mark: str) -> Outcome:
    tail: deque[str] = deque(maxlen=20)
    with subprocess.Popen(
        command, text=True, errors="replace", stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        for line in process.stdout or ():
            sys.stdout.write(mark + line)
            sys.stdout.flush()
            tail.append(line)
    return Outcome(process.returncode, last_words([line for line in tail if not line.startswith("make")]))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m hack.steps", description=__doc__)
    parser.add_argument(
        "steps",
        nargs="+",
        metavar="TARGET[+TARGET]",
        type=lambda word: tuple(word.split("+")),
        help="targets of the Makefile; those joined by a plus run side by side",
    )
    parser.add_argument("--keep-going", action="store_true", help="run the other steps after one failed")
    parser.add_argument("--output", type=Output, choices=list(Output), default=Output.LIVE)
    arguments = parser.parse_args()
    output: Output = arguments.output
    alone = {targets[0] for targets in arguments.steps if len(targets) == 1}
    started = time.monotonic()
    try:
        results = run_steps(
            arguments.steps,
            lambda target: _run_make(target, output, alone=target in alone),
            keep_going=arguments.keep_going,
        )
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return 130
    print(f"\n{format_summary(results, time.monotonic() - started)}", flush=True)
    return 1 if any(result.failed for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())

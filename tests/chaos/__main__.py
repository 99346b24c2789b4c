"""`make chaos`: a large run while workers, operator, Redis and PostgreSQL are killed, one a second.

The run in the storm stands between two without faults, on the same servers, after a small one that warms them up: so
the ratio is not of a cold start. Then the workers lack one of their walls at a time (`--mutant`): the checker must find
something each time, or it proves nothing.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import fmean

from tests.chaos.corpus import CHUNKS_A_DOCUMENT, Corpus
from tests.chaos.mutants import MUTANTS
from tests.chaos.stage import Stage, open_stage
from tests.chaos.trial import Plan, Result, run_trial
from tests.integration.servers import temporary_folder

OUTPUT = Path("build/chaos.json")
WARM_CHUNKS = 3_000
CHUNKS = (50_000, 150_000)
"""Of the runs that are made unless others are asked for. In the smaller one, what it loses at its beginning and its end
weighs most; in the larger one twice as many kills fall into the work."""

_COLUMNS = "{:18} {:>7} {:>8} {:>6} {:>9} {:>6} {:>6} {:>6}  {}"


@dataclass
class Comparison:
    """Runs of one size."""

    calm: list[Result] = field(default_factory=list)
    stormy: list[Result] = field(default_factory=list)
    throughput_ratio: float | None = None
    """In the storm against without."""

    def named(self) -> Iterator[tuple[str, Result]]:
        yield from (("calm", result) for result in self.calm)
        yield from (("stormy", result) for result in self.stormy)

    def compare(self) -> None:
        self.throughput_ratio = fmean(r.seconds for r in self.calm) / fmean(r.seconds for r in self.stormy)


@dataclass
class Report:
    sizes: dict[int, Comparison] = field(default_factory=dict)
    """By their chunks."""
    mutants: dict[str, list[Result]] = field(default_factory=dict)

    @property
    def good(self) -> bool:
        """Nothing lost or done twice, and every mutant caught in every run."""
        sound = all(result.verdict.good for size in self.sizes.values() for _, result in size.named())
        return sound and not any(result.verdict.good for results in self.mutants.values() for result in results)

    def lines(self) -> Iterator[str]:
        yield _COLUMNS.format("run", "chunks", "seconds", "told", "chunks/s", "kills", "lost", "twice", "faults")
        for size in self.sizes.values():
            yield from (_describe(name, result) for name, result in size.named())
        for name, results in self.mutants.items():
            yield from (_describe(name, result) for result in results)
        for chunks, size in self.sizes.items():
            yield from _tell(chunks, size)
        for name, results in self.mutants.items():
            yield f"{name}: caught {sum(not result.verdict.good for result in results)} of {len(results)}"

    def dump(self) -> str:
        return json.dumps({**asdict(self), "good": self.good}, indent=2)


def _describe(name: str, result: Result) -> str:
    kills, verdict = sum(result.kills.values()) + result.frozen, result.verdict
    times = (result.seconds, result.told_seconds, round(result.chunks / result.seconds))
    faults = "; ".join(verdict.faults) or "none"
    return _COLUMNS.format(name, result.chunks, *times, kills, verdict.lost, verdict.duplicated, faults)


def _tell(chunks: int, size: Comparison) -> Iterator[str]:
    for name, result in size.named():
        yield f"{chunks} chunks, {name}: at least {result.cpu_seconds} s of CPU"
        if result.kills:
            yield f"{chunks} chunks, killed: {result.kills}, cut off and come back: {result.frozen}"
    if size.throughput_ratio is not None:
        yield f"{chunks} chunks, throughput in the storm: {size.throughput_ratio:.2f} of the calm runs' mean"


async def measure(options: argparse.Namespace, report: Report) -> None:
    """Into the report, run by run."""
    with temporary_folder() if options.keep is None else _kept_folder(options.keep) as folder:
        async with open_stage(folder) as stage:
            await _run(stage, Plan(_corpus(WARM_CHUNKS), options.workers))
            for chunks in () if options.mutant else options.chunks or CHUNKS:
                size = report.sizes[chunks] = Comparison()
                await _measure_storm(stage, options, chunks, size)
            for name in () if options.storm_only else options.mutant or MUTANTS:
                plan = Plan(_corpus(options.mutant_chunks), options.workers, options.mutant_faults, name, 180.0)
                report.mutants[name] = [await _run(stage, plan) for _ in range(options.rounds)]


@contextmanager
def _kept_folder(folder: Path) -> Iterator[Path]:
    """Servers that are not root look into it."""
    folder.mkdir(mode=0o755, parents=True)
    yield folder


async def _measure_storm(stage: Stage, options: argparse.Namespace, chunks: int, size: Comparison) -> None:
    plan = Plan(_corpus(chunks), options.workers)
    for _ in range(options.rounds):
        size.calm.append(await _run(stage, plan))
        size.stormy.append(await _run(stage, Plan(plan.corpus, plan.workers, options.faults)))
    size.calm.append(await _run(stage, plan))
    size.compare()


async def _run(stage: Stage, plan: Plan) -> Result:
    result = await run_trial(stage, plan)
    print(json.dumps({"mutant": plan.mutant, "faults": plan.faults, **asdict(result)}), flush=True)
    return result


def _corpus(chunks: int) -> Corpus:
    return Corpus(-(-chunks // CHUNKS_A_DOCUMENT))


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.chaos")
    parser.add_argument(
        "--chunks",
        type=int,
        action="append",
        help="of one run, at most 150,000: an order names 500 documents; can be repeated",
    )
    parser.add_argument("--faults", type=int, default=60, help="kills, one a second")
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--mutant", choices=MUTANTS, action="append", help="only runs of this one; can be repeated")
    parser.add_argument("--storm-only", action="store_true", help="no mutants")
    parser.add_argument("--mutant-chunks", type=int, default=9_000)
    parser.add_argument("--mutant-faults", type=int, default=30)
    parser.add_argument("--keep", type=Path, help="a new folder for everybody's logs and data, which stays")
    parser.add_argument("--rounds", type=int, default=1, help="how often each run is made")
    report = Report()
    asyncio.run(measure(parser.parse_args(), report))
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    OUTPUT.write_text(report.dump() + "\n")
    print("\n".join(report.lines()))
    return int(not report.good)


if __name__ == "__main__":
    sys.exit(main())

"""`make bench`: measures side by side with a reference, prints one table, writes build/bench.json.

`python -m tests.bench storing ingestion` measures these alone, and writes no file.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.bench.admission import measure_admission
from tests.bench.cluster import measure_cluster
from tests.bench.control import measure_control
from tests.bench.environment import open_environment
from tests.bench.honesty import measure_honesty
from tests.bench.ingestion import measure_ingestion
from tests.bench.isolation import measure_isolation
from tests.bench.models import measure_models
from tests.bench.process import BenchmarkError
from tests.bench.quality import measure_quality
from tests.bench.queue import measure_queue
from tests.bench.storing import measure_storing
from tests.bench.table import Row, print_table, write_json
from tests.bench.timing import measure_timing

OUTPUT = Path("build/bench.json")
MEASUREMENTS = {
    "quality": measure_quality,
    "ingestion": measure_ingestion,
    "honesty": measure_honesty,
    "storing": measure_storing,
    "queue": measure_queue,
    "control": measure_control,
    "admission": measure_admission,
    "isolation": measure_isolation,
    "timing": measure_timing,
    "models": measure_models,
}


async def _measure(chosen: Sequence[str]) -> list[Row]:
    """The cluster first, unless parts are chosen: without one, that is said before minutes are spent."""
    rows = [] if chosen else await measure_cluster()
    for name in chosen or MEASUREMENTS:
        async with open_environment() as environment:
            rows += await MEASUREMENTS[name](environment)
        if not chosen:
            write_json(rows, OUTPUT)  # what there is outlives a part that fails
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("part", nargs="*", help=f"{', '.join(MEASUREMENTS)}; all and the cluster unless named")
    chosen = parser.parse_args().part
    if unknown := set(chosen) - set(MEASUREMENTS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(MEASUREMENTS)}")
    try:
        rows = asyncio.run(_measure(chosen))
    except BenchmarkError as error:
        print(f"no figures: {error}", file=sys.stderr)
        return 2
    print_table(rows)
    return int(any(row.holds is False for row in rows))


if __name__ == "__main__":
    sys.exit(main())

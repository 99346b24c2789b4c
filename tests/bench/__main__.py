"""`make bench`: measures side by side with a reference, prints one table, writes build/bench.json."""

import asyncio
import sys
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
from tests.bench.storing import measure_storing
from tests.bench.table import Row, print_table, write_json
from tests.bench.timing import measure_timing

OUTPUT = Path("build/bench.json")
MEASUREMENTS = (
    measure_quality,
    measure_ingestion,
    measure_honesty,
    measure_storing,
    measure_control,
    measure_admission,
    measure_isolation,
    measure_timing,
    measure_models,
)


async def _measure() -> list[Row]:
    """The cluster first: without one, that is said before minutes are spent."""
    rows = await measure_cluster()
    for measure in MEASUREMENTS:
        async with open_environment() as environment:
            rows += await measure(environment)
    return rows


def main() -> int:
    try:
        rows = asyncio.run(_measure())
    except BenchmarkError as error:
        print(f"no figures: {error}", file=sys.stderr)
        return 2
    print_table(rows)
    write_json(rows, OUTPUT)
    return int(any(row.holds is False for row in rows))


if __name__ == "__main__":
    sys.exit(main())

"""Whether what a job says of itself is true: the time left at 25, 50 and 75 %, and the tokens before it begins."""

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Event

import asyncpg

from dreamhub.domain.cost import TYPICAL_RATIOS, File, Ratios, estimate
from dreamhub.domain.media_types import claimed_type
from dreamhub.domain.progress import Progress
from dreamhub.sql.reservations import fetch_ratios
from tests.bench.corpus import read_samples, write_document, write_pdf
from tests.bench.environment import Environment
from tests.bench.process import BenchmarkError
from tests.bench.table import Row

SECTIONS = (30, 1200, 60, 200, 2400, 20, 800, 100, 3200, 400, 40, 1600)
"""Of the documents of a job: a hundredfold between the small and the large ones, in no order."""
PAGES = (40, 400, 120)
ALIKE = 40
"""Documents of a job that differ in nothing but their words."""
LOOK_SECONDS = 0.1
MARKS = (25, 50, 75)


@dataclass(frozen=True, slots=True)
class Look:
    """What the job said at a moment."""

    at: float
    percent: int
    eta: int | None


async def measure_honesty(environment: Environment) -> list[Row]:
    """The estimates first: they go by documents that nobody has ingested yet."""
    samples = read_samples()
    before = await _estimate_error(environment, samples, TYPICAL_RATIOS)
    files = {f"report-{at}.md": write_document(at, sections) for at, sections in enumerate(SECTIONS)}
    files |= {f"report-{at}.pdf": write_pdf(at, pages) for at, pages in enumerate(PAGES)}
    rows = await _measure_eta(environment, files, "documents of all sizes")
    alike = {f"alike-{at}.md": write_document(200 + at, 400) for at in range(ALIKE)}
    rows += await _measure_eta(environment, alike, "documents alike")
    admin = await asyncpg.connect(environment.superuser_url)
    ratios = await fetch_ratios(admin, environment.tenant.name)
    await admin.close()
    more = {f"more-{at}.md": write_document(100 + at, 200) for at in range(4)} | {"more.pdf": write_pdf(9, 60)}
    learned = await _estimate_error(environment, more, ratios)
    return [
        *rows,
        Row("estimate: tokens off, typical ratios", "%", before, note=f"the {len(samples)} samples, by type and size"),
        Row(
            "estimate: tokens off, ratios of the tenant's own documents", "%", learned, note="further ones of its kind"
        ),
    ]


async def _estimate_error(environment: Environment, files: dict[str, bytes], ratios: Ratios) -> float:
    """By how many percent the tokens of all together were estimated too high (or, below 0, too low)."""
    guess = estimate((File(len(data), claimed_type(name, "") or "text/plain") for name, data in files.items()), ratios)
    run = await environment.run_worker([await environment.upload(name, data) for name, data in files.items()])
    return 100 * (guess.tokens - run.progress.tokens) / run.progress.tokens


async def _measure_eta(environment: Environment, files: dict[str, bytes], kind: str) -> list[Row]:
    documents = [await environment.upload(name, data) for name, data in files.items()]
    over = Event()
    with ThreadPoolExecutor(1) as executor:
        watching = executor.submit(asyncio.run, _watch(environment.tenant.url, over))
        try:
            await environment.run_worker(documents)
        finally:
            ended = time.monotonic()
            over.set()
        looks = watching.result()
    return [_judge(looks, mark, ended, kind) for mark in MARKS]


async def _watch(url: str, over: Event) -> list[Look]:
    """What the latest run says, from a thread of its own: the one that measures waits for its process."""
    looks: list[Look] = []
    conn = await asyncpg.connect(url)
    latest = "SELECT progress FROM ingest_runs ORDER BY started_at DESC LIMIT 1"
    known = await conn.fetchval(latest)
    while not over.is_set():
        found = await conn.fetchval(latest)
        if found is not None and found != known:
            known, progress = found, Progress.model_validate_json(found)
            looks.append(Look(time.monotonic(), progress.percent, progress.eta_seconds))
        await asyncio.sleep(LOOK_SECONDS)
    await conn.close()
    return looks


def _judge(looks: Sequence[Look], mark: int, ended: float, kind: str) -> Row:
    look = next((look for look in looks if mark <= look.percent < 100 and look.eta is not None), None)
    if look is None or look.eta is None:
        raise BenchmarkError(f"the job never said how long it takes at {mark} %: it was too short")
    left = ended - look.at
    note = f"at {look.percent} % it said {look.eta} s, and it took {left:.1f} s of {ended - looks[0].at:.0f} s"
    return Row(f"ETA, {kind}: off at {mark} %, of the time left", "%", 100 * abs(look.eta - left) / left, note=note)

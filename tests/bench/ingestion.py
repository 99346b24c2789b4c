"""Worker throughput: the whole pipeline as one process on one core."""

from tests.bench.corpus import write_document, write_pdf
from tests.bench.environment import Environment
from tests.bench.table import Aim, Row

DOCUMENTS = 8
SECTIONS = 400
PDFS = 4
PAGES = 240


async def measure_ingestion(environment: Environment) -> list[Row]:
    documents = [
        await environment.upload(f"report-{seed}.md", write_document(seed, SECTIONS)) for seed in range(DOCUMENTS)
    ]
    run = await environment.run_worker(documents)
    progress, process = run.progress, run.process
    timing = progress.timing
    stages = (
        f"parse {timing.parse_seconds:.1f} s, embed {timing.embed_seconds:.1f} s, store {timing.store_seconds:.1f} s"
    )
    return [
        Row(
            "worker: documents to searchable chunks, whole process",
            "chunks/s",
            progress.chunks / process.seconds,
            aim=Aim("ours", ">=", 1000),
            note=f"{progress.chunks} chunks of {DOCUMENTS} documents on one core; {stages}",
        ),
        Row("worker: peak memory, its largest process", "MB", process.peak_rss_bytes / 1e6),
        *await _measure_pdfs(environment),
    ]


async def _measure_pdfs(environment: Environment) -> list[Row]:
    """Full pages of text. Reading alone is what the extraction process takes, transfer and chunking with it."""
    documents = [await environment.upload(f"report-{seed}.pdf", write_pdf(seed, PAGES)) for seed in range(PDFS)]
    run = await environment.run_worker(documents)
    progress = run.progress
    note = f"{progress.pages} pages, {progress.chunks} chunks, {PDFS} documents on one core"
    return [
        Row(
            "worker: PDF pages to searchable chunks, whole process",
            "pages/s",
            progress.pages / run.process.seconds,
            aim=Aim("ours", ">=", 100),
            note=note,
        ),
        Row("worker: PDF pages read and chunked", "pages/s", progress.pages / progress.timing.parse_seconds, note=note),
    ]

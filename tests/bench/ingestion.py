"""Worker throughput: the whole pipeline as one process on one core."""

from tests.bench.corpus import write_document
from tests.bench.environment import Environment
from tests.bench.table import Aim, Row

DOCUMENTS = 8
SECTIONS = 400


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
    ]

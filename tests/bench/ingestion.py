"""Worker throughput: the whole pipeline as one process on one core, and as a job on all of them beside LlamaIndex's."""

import json
import os
from collections.abc import Mapping

import asyncpg

from tests.bench.corpus import write_document, write_pdf
from tests.bench.environment import Environment, WorkerRun
from tests.bench.peers import open_peer
from tests.bench.process import run_measured
from tests.bench.table import Aim, Row

DOCUMENTS = 8
SECTIONS = 400
PDFS = 4
PAGES = 240
SHARED = range(DOCUMENTS, 7 * DOCUMENTS)
"""Seeds of the documents that the peer gets too: so many that the start of either side hardly counts."""


async def measure_ingestion(environment: Environment) -> list[Row]:
    documents = [
        await environment.upload(f"report-{seed}.md", write_document(seed, SECTIONS)) for seed in range(DOCUMENTS)
    ]
    run = await environment.run_worker(documents)
    return [
        *_rows_of(run),
        *await _against_peer(environment),
        *await _measure_pdfs(environment),
    ]


def _rows_of(run: WorkerRun) -> list[Row]:
    timing = run.progress.timing
    stages = (
        f"parse {timing.parse_seconds:.1f} s, embed {timing.embed_seconds:.1f} s, store {timing.store_seconds:.1f} s"
    )
    return [
        Row(
            "worker: documents to searchable chunks, whole process",
            "chunks/s",
            run.progress.chunks / run.process.seconds,
            aim=Aim("ours", ">=", 1000),
            note=f"{run.progress.chunks} chunks of {DOCUMENTS} documents on one core; {stages}",
        ),
        Row("worker: peak memory, its largest process", "MB", run.process.peak_rss_bytes / 1e6),
    ]


async def _against_peer(environment: Environment) -> list[Row]:
    """Both with the whole machine, from the first process's start to the last one's end."""
    files = {f"report-{seed}.md": write_document(seed, SECTIONS) for seed in SHARED}
    documents = [await environment.upload(*file) for file in files.items()]
    workers = os.cpu_count() or 1
    seconds, progress = await environment.run_workers(documents, workers)
    peer_seconds, peer_chunks = await _measure_peer(environment, files)
    note = (
        f"{len(SHARED)} documents, {workers} workers of one job, {progress.chunks:,} chunks; reference: a script with "
        f"LlamaIndex's IngestionPipeline into pgvector, vectors and words (hybrid_search), same files, same model, "
        f"{peer_chunks:,} chunks"
    )
    return [
        Row(
            f"ingest: {unit} of one job, on all cores",
            f"{unit}/s",
            count / seconds,
            reference / peer_seconds,
            Aim("ratio", ">=", 10),
            note,
        )
        for unit, count, reference in (
            ("documents", len(SHARED), len(SHARED)),
            ("chunks", progress.chunks, peer_chunks),
        )
    ]


async def _measure_peer(environment: Environment, files: Mapping[str, bytes]) -> tuple[float, int]:
    """Seconds and chunks, in a database of its own on the same server."""
    admin = await asyncpg.connect(environment.superuser_url)
    await admin.execute("CREATE DATABASE peer")
    await admin.close()
    url = f"{environment.superuser_url.rpartition('/')[0]}/peer"
    admin = await asyncpg.connect(url)
    await admin.execute("CREATE EXTENSION vector")
    await admin.close()
    folder = environment.folder / "peer"
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    finished = run_measured([*open_peer("llamaindex"), str(folder), url], {}, core=None)
    return finished.seconds, json.loads(finished.output.splitlines()[-1])["chunks"]


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

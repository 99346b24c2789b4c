"""The process around a run: open what it needs side by side, run it, report it, end with the right exit code."""

import asyncio
import contextlib
import gc
import os
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from concurrent.futures import Future
from pathlib import Path

import structlog

from dreamhub.domain.progress import Progress
from dreamhub.domain.terms import TermIndex
from dreamhub.errors import DreamHubError
from dreamhub.llm.embedding import Embedder
from dreamhub.sql.ingest import NewRun, fetch_finished_documents, start_run
from dreamhub.sql.pool import PoolOptions, open_pool
from dreamhub.sql.runs import fetch_run
from dreamhub.telemetry.logs import configure_logging
from dreamhub_worker.context import Stop, Toolbox
from dreamhub_worker.extractor import Extractor
from dreamhub_worker.failures import EXIT_DONE, EXIT_PERMANENT, EXIT_TRANSIENT, HOPELESS, as_ours, exit_code
from dreamhub_worker.job import Run
from dreamhub_worker.meter import Meter
from dreamhub_worker.preparation import Preparation
from dreamhub_worker.reporter import Reporter
from dreamhub_worker.settings import WorkerSettings

log = structlog.get_logger()


def main(preparation: Preparation, started: float) -> None:
    """`started`: the monotonic time before the first import, so that the log tells when the worker was ready."""
    configure_logging("worker", os.environ.get("DREAMHUB_LOG_LEVEL", "INFO"))
    sys.exit(asyncio.run(work(preparation, started)))


async def work(preparation: Preparation, started: float) -> int:
    """Run the mounted job to an exit code: the edge where every error becomes one."""
    [outcome] = await asyncio.gather(_work(preparation, started), return_exceptions=True)
    if isinstance(outcome, int):
        return outcome
    error = as_ours(outcome)
    log.error("run_ended", code=error.code, message=error.message)
    return exit_code(error)


async def _work(preparation: Preparation, started: float) -> int:
    settings = await asyncio.wrap_future(preparation.settings)
    stop = Stop()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.event.set)
    async with open_toolbox(settings, preparation.embedder, stop) as tools:
        gc.freeze()
        gc.enable()
        log.info("ready", job=settings.job.job, uid=settings.job.uid, seconds=round(time.monotonic() - started, 3))
        return await _run(settings, tools)


@contextlib.asynccontextmanager
async def open_toolbox(settings: WorkerSettings, opening: Future[Embedder], stop: Stop) -> AsyncIterator[Toolbox]:
    """Database, model and extraction process, opened side by side: each waits for something else."""
    async with contextlib.AsyncExitStack() as stack:
        options = PoolOptions(maximum=3, application="dreamhub-worker")
        pool = await open_pool(settings.database_url, options)
        stack.push_async_callback(pool.close)
        originals = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=settings.work_dir)))
        extractor = await stack.enter_async_context(Extractor(folder=originals))
        embedder = await asyncio.wrap_future(opening)
        stack.push_async_callback(embedder.close)
        yield Toolbox(
            pool=pool,
            key_file=settings.keys,
            index=TermIndex(settings.keys.read()),
            embedder=embedder,
            extractor=extractor,
            stop=stop,
            work_dir=originals,
            size_limit=settings.size_limit,
            scanner=settings.scanner,
        )


async def _run(settings: WorkerSettings, tools: Toolbox) -> int:
    run = await _begin(settings, tools)
    job = settings.job
    reporter = Reporter(tools.pool, settings.redis_url, job.tenant, job.uid, run.attempt, run.meter)
    try:
        return await _finish(run, reporter)
    finally:
        await reporter.close()


async def _begin(settings: WorkerSettings, tools: Toolbox) -> Run:
    job = settings.job
    total = len(job.documents) + len(job.texts)
    async with tools.connection() as conn:
        before = await fetch_run(conn, job.uid)
        attempt = await start_run(conn, NewRun(job.uid, job.job, job.build.name, settings.holder, total))
        finished = await fetch_finished_documents(conn, job.uid)
    earlier = before.progress if before is not None else Progress()
    meter = Meter(total=total, clock=time.monotonic, earlier=earlier)
    return Run(job, settings.holder, attempt, tools, meter, finished)


async def _finish(run: Run, reporter: Reporter) -> int:
    """Execute while reporting, then write the last word, unless the run goes on in another attempt."""
    code = EXIT_DONE
    try:
        await _while_reporting(run, reporter)
    except DreamHubError as error:
        if error.code not in HOPELESS:
            with contextlib.suppress(DreamHubError):  # the error that ended the run matters more
                await reporter.report()
            raise
        code = EXIT_PERMANENT
    if run.postponed:
        await reporter.report()
        return EXIT_TRANSIENT
    progress = run.meter.snapshot("Failed" if run.meter.failed else "Succeeded")
    await reporter.finish(progress)
    log.info("run_finished", state=progress.state, chunks=progress.chunks, rate=progress.chunks_per_second)
    return code


async def _while_reporting(run: Run, reporter: Reporter) -> None:
    """Raises the run's error, or the reporter's, which ends the run: unfenced or unseen work is worth nothing."""
    executing, reporting = asyncio.ensure_future(run.execute()), asyncio.ensure_future(reporter.run())
    try:
        await asyncio.wait({executing, reporting}, return_when=asyncio.FIRST_COMPLETED)
        if reporting.done():
            reporting.result()
        await executing
    finally:
        for task in (executing, reporting):
            task.cancel()
        await asyncio.gather(executing, reporting, return_exceptions=True)

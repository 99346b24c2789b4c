"""The process around a run: open what it needs side by side, run it, report it, end with the right exit code."""

import asyncio
import contextlib
import gc
import os
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING

import structlog

from dreamhub.domain.job_input import JobInput
from dreamhub.domain.progress import Progress
from dreamhub.domain.terms import TermIndex
from dreamhub.errors import DreamHubError, NotFoundError, UnavailableError
from dreamhub.llm.embedding import Embedder
from dreamhub.sql.connections import Pool
from dreamhub.sql.ingest import NewRun, RunAttempt, RunStart, mark_collected, start_run
from dreamhub.sql.pool import PoolOptions, open_pool
from dreamhub.sql.work_items import NewItem, enqueue
from dreamhub.telemetry.logs import configure_logging
from dreamhub_worker.context import Stop, Toolbox
from dreamhub_worker.extractor import Extractor
from dreamhub_worker.failures import EXIT_DONE, EXIT_PERMANENT, HOPELESS, as_ours
from dreamhub_worker.gate import Gate
from dreamhub_worker.intake import RunIntake
from dreamhub_worker.job import Ingestion, Sign
from dreamhub_worker.last_words import VARIABLE, tell_end
from dreamhub_worker.meter import Meter
from dreamhub_worker.patience import Patience
from dreamhub_worker.preparation import Preparation
from dreamhub_worker.reporter import Reporter
from dreamhub_worker.run import Run, alongside
from dreamhub_worker.settings import WorkerSettings
from dreamhub_worker.work_queue import Ledger, SharedQueue, WorkQueue

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from dreamhub.secret_files import SecretSource
    from dreamhub.storage.work_stream import WorkStream
    from dreamhub_worker.links import Links

POOL_SIZE = 3
"""Connections: for the documents, for the source, for the reports."""

STALL_SECONDS = 10.0
"""A worker that stalls in the midst of a transaction keeps its locks no longer: all other workers of the run wait for
them, whatever is held by a claim only has been taken over by then."""

log = structlog.get_logger()


def main(preparation: Preparation, started: float) -> None:
    """`started`: the monotonic time before the first import, so that the log tells when the worker was ready."""
    configure_logging("worker", os.environ.get("DREAMHUB_LOG_LEVEL", "INFO"))
    place = os.environ.get(VARIABLE)
    sys.exit(asyncio.run(work(preparation, started, Path(place) if place else None)))


async def work(preparation: Preparation, started: float, last_words: Path | None = None) -> int:
    """Run the mounted job to an exit code: the edge where every error becomes one, and is told."""
    [outcome] = await asyncio.gather(_work(preparation, started), return_exceptions=True)
    return outcome if isinstance(outcome, int) else tell_end(as_ours(outcome), last_words)


async def _work(preparation: Preparation, started: float) -> int:
    settings = await asyncio.wrap_future(preparation.settings)
    stop = Stop()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.event.set)
    loop.add_signal_handler(signal.SIGHUP, log.info, "secrets_are_read_at_each_use")
    async with open_toolbox(settings, preparation.embedder, stop) as tools:
        gc.freeze()
        gc.enable()
        log.info(
            "ready",
            job=settings.job.job,
            uid=settings.job.uid,
            worker=settings.worker,
            seconds=round(time.monotonic() - started, 3),
        )
        return await _run(settings, tools)


@contextlib.asynccontextmanager
async def open_toolbox(settings: WorkerSettings, opening: Future[Embedder], stop: Stop) -> AsyncIterator[Toolbox]:
    """Database, model and extraction process, opened side by side: each waits for something else."""
    async with contextlib.AsyncExitStack() as stack:
        pool = await _open_pool(settings, stop)
        stack.push_async_callback(_close, pool.close)
        originals = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=settings.work_dir)))
        extractor = await stack.enter_async_context(Extractor(folder=originals))
        embedder = await asyncio.wrap_future(opening)
        stack.push_async_callback(_close, embedder.close)
        stack.callback(asyncio.ensure_future(_hurry(embedder, stop)).cancel)
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


async def _close(close: Callable[[], Awaitable[object]]) -> None:
    """What a server that is away does not let be closed ends with the process: it makes no failure of a run."""
    try:
        await close()
    except Exception as error:  # noqa: BLE001 - whatever a client library raises as it takes leave
        log.warning("not_closed", kind=type(error).__name__)


async def _open_pool(settings: WorkerSettings, stop: Stop) -> Pool:
    """Waits for a database that is away."""
    patience = Patience(stop, settings.patience_seconds)
    options = PoolOptions(maximum=POOL_SIZE, application="dreamhub-worker", idle_in_transaction=STALL_SECONDS)
    while True:
        try:
            return await open_pool(settings.database_url, options)
        except UnavailableError as error:
            await patience.wait(error)


async def _hurry(embedder: Embedder, stop: Stop) -> None:
    """A provider may be waited for much longer than a pod has to end."""
    await stop.event.wait()
    embedder.hurry()


async def _run(settings: WorkerSettings, tools: Toolbox) -> int:
    job = settings.job
    start = await _begin(settings, tools)
    if start.finished:
        log.info("run_was_finished")
        return EXIT_DONE
    meter = Meter(clock=time.monotonic, earlier=start.report)
    async with contextlib.AsyncExitStack() as stack:
        reporter = Reporter(tools.pool, settings.redis_url, job.tenant, start.run, meter)
        stack.push_async_callback(_close, reporter.close)
        queue = _open_queue(settings, tools, start.run, stack)
        run = Run(
            ingestion=Ingestion(job, settings.holder, start.run, tools, meter, _open_links(job)),
            queue=queue,
            tools=tools,
            patience=Patience(tools.stop, settings.patience_seconds, meter.wait_for),
        )
        if job.source is not None:
            run.gate = Gate(job.uid, tools, meter, settings.read_hold)
        if job.source is not None and not start.collected:
            run.collector = partial(_collect, tools, job, run.intake)
        return await _execute(run, reporter)


async def _collect(tools: Toolbox, job: JobInput, intake: RunIntake) -> None:
    """Loaded when it is this worker's turn."""
    collect: Callable[[Toolbox, JobInput, RunIntake], Awaitable[object]]
    collect = resolve_name("dreamhub_worker.collect:collect")
    await collect(tools, job, intake)


def _open_queue(
    settings: WorkerSettings, tools: Toolbox, run: RunAttempt, stack: contextlib.AsyncExitStack
) -> WorkQueue:
    """A single worker needs no stream, and so no Redis client, which takes a third of a second to import."""
    job = settings.job
    known = len(job.documents) + len(job.texts)
    ledger = Ledger(tools.connection, run, after=known * settings.worker // job.parallelism)
    if job.parallelism == 1:
        return ledger
    connect: Callable[[SecretSource], Redis] = resolve_name("dreamhub.storage.redis_login:open_redis")
    redis = connect(settings.redis_url)
    stack.push_async_callback(_close, redis.aclose)
    stream: type[WorkStream] = resolve_name("dreamhub.storage.work_stream:WorkStream")
    return SharedQueue(stream(redis, job.tenant, job.uid), ledger, run, job.parallelism)


def _open_links(job: JobInput) -> Sign | None:
    """How to get at documents whose URL the job does not hold."""
    if job.links is None:
        return None
    links: Links = resolve_name("dreamhub_worker.links:Links")(job.links)

    async def sign(version: str) -> str:
        url = (await links.sign_get([version])).get(version)
        if url is None:
            raise NotFoundError("the document's original is gone: it was deleted", code="DocumentDeleted")
        return url

    return sign


async def _begin(settings: WorkerSettings, tools: Toolbox) -> RunStart:
    """Join the run. What is known of its documents from the start is enqueued together with it."""
    job = settings.job
    items = [NewItem(item.version_id, item.document_id, tokens=item.tokens) for item in job.documents]
    items += [NewItem(item.version_id, item.version_id, len(item.text.encode())) for item in job.texts]
    new = NewRun(job.uid, job.job, job.build.name, settings.holder, len(items), settings.worker)
    patience = Patience(tools.stop, settings.patience_seconds)
    while True:
        try:
            async with tools.connection() as conn, conn.transaction():
                start = await start_run(conn, new)
                if not start.finished:
                    await enqueue(conn, start.run, items)
                    if job.source is None:
                        await mark_collected(conn, start.run)
                return start
        except UnavailableError as error:
            await patience.wait(error)


async def _execute(run: Run, reporter: Reporter) -> int:
    """Work while reporting, then tell the last word."""
    code = EXIT_DONE
    [outcome] = await asyncio.gather(alongside(run.execute(), reporter.keep_reporting()), return_exceptions=True)
    if isinstance(outcome, Progress):
        progress = outcome
    else:
        error = as_ours(outcome)
        if error.code not in HOPELESS or run.ended is None:
            with contextlib.suppress(DreamHubError):  # the error that ended this worker matters more
                await reporter.save_last()
            raise error
        code, progress = EXIT_PERMANENT, run.ended
    await reporter.announce(progress)
    log.info("run_finished", state=progress.state, chunks=progress.chunks, rate=progress.chunks_per_second)
    return code

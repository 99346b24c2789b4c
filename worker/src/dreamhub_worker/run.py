"""One worker's part of a run: it takes documents until the run is over, whoever else takes them."""

import asyncio
import heapq
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

import structlog

from dreamhub.cancelling import cancel_all
from dreamhub.domain.deliveries import Delivery
from dreamhub.domain.progress import Progress
from dreamhub.errors import BugError, DreamHubError, FencedError, TransientError
from dreamhub.sql.ingest import count_open, finish_run, mark_collected
from dreamhub.sql.landing import HEARTBEAT_SECONDS
from dreamhub.sql.work_items import give_up_items
from dreamhub_worker.context import StoppingError, Toolbox
from dreamhub_worker.failures import Verdict, as_ours, document_error, find_lacking, judge
from dreamhub_worker.gate import Gate
from dreamhub_worker.intake import RunIntake
from dreamhub_worker.job import Current, Ingestion
from dreamhub_worker.patience import Patience
from dreamhub_worker.reading_turn import await_turn
from dreamhub_worker.token_pause import TokenPause
from dreamhub_worker.work_queue import TAKEN_AT_ONCE, UNCHANGED_AT_ONCE, WorkQueue

T = TypeVar("T")

HELD_SECONDS = 1.0
"""Between looks at a document that somebody else works on."""

BACKOFF_SECONDS = 2.0
"""Before a document is tried again; doubled with each passing error."""

MAX_FRUITLESS = 3
"""So many attempts may wait for a source as long as they have patience, and get nothing from it."""

_IDLE_SECONDS = (0.05, 1.0)
"""Between looks for work, at first and at most."""

Collect = Callable[[], Awaitable[object]]
"""Reads the run's source to its end, from where it was left."""

log = structlog.get_logger()


async def alongside(main: Coroutine[Any, Any, T], *others: Coroutine[Any, Any, None]) -> T:
    """Await `main` while the others run. The first failure of any ends all; the end of another ends nothing."""
    first = asyncio.ensure_future(main)
    tasks = {first, *map(asyncio.ensure_future, others)}
    try:
        pending = set(tasks)
        while not first.done():
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        return first.result()
    finally:
        await cancel_all(tasks)


@dataclass
class Run:
    ingestion: Ingestion
    queue: WorkQueue
    tools: Toolbox
    patience: Patience
    collector: Collect | None = None
    gate: Gate | None = None
    """Of a run whose documents are not known before they are collected."""
    woken: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when there may be more to do than a moment ago."""
    ended: Progress | None = None
    """Set when an error has ended the run."""
    _lacking: int = 0
    """Tokens that the tenant has not: nothing is taken before it has."""
    _buffer: deque[Delivery] = field(default_factory=deque)
    _later: list[tuple[float, Delivery]] = field(default_factory=list)
    _settled: list[Delivery] = field(default_factory=list)
    _waited_for: set[str] = field(default_factory=set)
    _stride: int = TAKEN_AT_ONCE
    """How many are taken at once next."""
    _idle: float = _IDLE_SECONDS[0]

    @property
    def uid(self) -> str:
        return self.ingestion.run.uid

    def __post_init__(self) -> None:
        self.token_pause = TokenPause(self.tools, self.ingestion.meter)
        self.intake = RunIntake(self.ingestion.run, self.queue, self.woken)

    async def execute(self) -> Progress:
        """Returns the run's last snapshot.

        Raises what ends this worker: StoppingError, FencedError `Overtaken`, what was away for too long, or an error
        that would meet every document of the run, after they were all failed with it.
        """
        return await alongside(self._consume(), self._keep_beating(), self._collect())

    async def _consume(self) -> Progress:
        await self._pass_gate()
        while True:
            self.tools.stop.check()
            try:
                found = await self._next()
                if isinstance(found, Progress):
                    return found
                await self._do(found)
                self.patience.reset()
            except TransientError as error:
                if judge(error) is not Verdict.WAIT:
                    raise
                await self._wait(error)

    async def _pass_gate(self) -> None:
        closed = self.gate is not None
        while closed and self.gate is not None:
            try:
                await self.gate.wait()
                closed = False
            except TransientError as error:
                if judge(error) is not Verdict.WAIT:
                    raise
                await self.patience.wait(error)

    async def _next(self) -> Delivery | Progress:
        """The next document, or the last snapshot of a run that is over."""
        if self._lacking:
            await self.token_pause.wait(self._lacking)
            self._lacking = 0
        while True:
            if self._later and self._later[0][0] <= time.monotonic():
                return heapq.heappop(self._later)[1]
            if len(self._settled) >= TAKEN_AT_ONCE or not self._buffer:
                settled, self._settled = self._settled, []
                await self.queue.settle(settled)
            if not self._buffer:
                await self._take()
            if self._buffer:
                self._idle = _IDLE_SECONDS[0]
                return self._buffer.popleft()
            if self._settled:
                continue
            if progress := await self._find_end():
                return progress
            await self._pause()

    async def _take(self) -> None:
        """What there is to do, without that which turns out to be done."""
        self.tools.stop.check()
        self._buffer.extend(await self.queue.take({delivery.item for _, delivery in self._later}, self._stride))
        skipped = await self.ingestion.skip_unchanged([delivery.item for delivery in self._buffer])
        self._settled += [delivery for delivery in self._buffer if delivery.item in skipped]
        self._buffer = deque(delivery for delivery in self._buffer if delivery.item not in skipped)
        all_known = bool(skipped) and not self._buffer
        self._stride = min(2 * self._stride, UNCHANGED_AT_ONCE) if all_known else TAKEN_AT_ONCE

    async def _find_end(self) -> Progress | None:
        async with self.tools.connection() as conn:
            left = await count_open(conn, self.uid)
            if left.finished or (left.collected and left.items <= 0):
                return await finish_run(conn, self.uid)
        await self.queue.fill(lacking=left.items)
        return None

    async def _pause(self) -> None:
        due = self._later[0][0] - time.monotonic() if self._later else self._idle
        self.woken.clear()
        waking = asyncio.wait_for(self.woken.wait(), max(0.0, min(due, self._idle)))
        try:
            await self.tools.stop.guard(waking)
        except TimeoutError:
            self._idle = min(2 * self._idle, _IDLE_SECONDS[1])

    async def _do(self, delivery: Delivery) -> None:
        """One document to its outcome, or put aside. Raises what ends the worker, and what has to be waited for."""
        current = self.ingestion.describe(delivery.item)
        [raised] = await asyncio.gather(self.ingestion.ingest(current), return_exceptions=True)
        if raised is None:
            self._settled.append(delivery)
            return
        try:
            await self._react(delivery, current, as_ours(raised))
        except FencedError as error:  # met while reacting: somebody else was quicker
            self._put_aside(delivery, error)
        except TransientError:
            self._buffer.appendleft(delivery)
            raise

    async def _react(self, delivery: Delivery, current: Current, error: DreamHubError) -> None:
        verdict = judge(error)
        if verdict is not Verdict.SETTLED:
            log.warning("document_not_ingested", version=current.version_id, code=error.code, kind=type(error).__name__)
        match verdict:
            case Verdict.SETTLED | Verdict.LATER:
                if isinstance(error, FencedError):  # whoever took the document took this worker for lost, and it lives
                    await self.ingestion.leave(current)
                else:
                    await self.ingestion.release(current)
                self._put_aside(delivery, error)
            case Verdict.FAIL:
                await self.ingestion.fail(current, error)
                self._settled.append(delivery)
            case Verdict.PAUSE:
                await self.ingestion.leave(current)
                self._buffer.appendleft(delivery)
                self._lacking = find_lacking(error)
            case Verdict.AGAIN:
                attempts = await self.ingestion.postpone(current, error)
                self._settle_or_retry(delivery, attempts)
            case Verdict.HOPELESS:
                await self.ingestion.fail(current, error)
                await self._give_up(error)
                raise error
            case Verdict.WAIT | Verdict.END:
                if isinstance(error, StoppingError):
                    await self.ingestion.leave(current)
                raise error

    def _put_aside(self, delivery: Delivery, error: FencedError | DreamHubError) -> None:
        verdict = judge(error)
        if verdict is Verdict.END:
            raise error
        if verdict is Verdict.SETTLED:
            self._settled.append(delivery)
            return
        if delivery.item not in self._waited_for:
            self._waited_for.add(delivery.item)
            log.info("document_waited_for", version=delivery.item)
        heapq.heappush(self._later, (time.monotonic() + HELD_SECONDS, delivery))

    def _settle_or_retry(self, delivery: Delivery, attempts: int | None) -> None:
        if attempts is None:
            self._settled.append(delivery)
        else:
            due = time.monotonic() + BACKOFF_SECONDS * 2 ** (attempts - 1)
            heapq.heappush(self._later, (due, delivery))

    async def _wait(self, error: TransientError) -> None:
        """For what is away. When that lasts too long over one document, it may be the document's fault."""
        try:
            await self.patience.wait(error)
        except StoppingError:
            raise
        except TransientError:
            if not self._buffer or error.code == "DatabaseUnavailable":
                raise
            delivery = self._buffer.popleft()
            attempts = await self.ingestion.postpone(self.ingestion.describe(delivery.item), error)
            self._settle_or_retry(delivery, attempts)
            if attempts is not None:
                raise
            self.patience.reset()

    async def _give_up(self, error: DreamHubError) -> None:
        """Whatever is left would end the same way. Somebody else may have ended the run for it already."""
        run = self.ingestion.run
        async with self.tools.connection() as conn:
            self.ended = await finish_run(conn, run.uid)
            if self.ended is not None:
                return
            async with conn.transaction():
                await mark_collected(conn, run)
                await give_up_items(conn, run, document_error("", error))
            self.ended = await finish_run(conn, run.uid)

    async def _keep_beating(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            await self.queue.beat([*self._buffer, *(delivery for _, delivery in self._later)])

    async def _collect(self) -> None:
        """Read the source while documents are done. An error of its own is told beside those of documents."""
        if self.collector is None or not await await_turn(self.tools, self.ingestion.run):
            return
        self.ingestion.meter.reading = True
        patience = Patience(self.tools.stop, self.patience.seconds, self.patience.tell)
        failure: DreamHubError | None = None
        while failure is None:
            [outcome] = await asyncio.gather(self.collector(), return_exceptions=True)
            if not isinstance(outcome, BaseException):
                break
            error = as_ours(outcome)
            if judge(error) is Verdict.END:
                raise error
            failure = await self._await_source(patience, error) if isinstance(error, TransientError) else error
        patience.reset()
        await self._end_collection(failure)
        self.ingestion.meter.reading = False

    async def _await_source(self, patience: Patience, error: TransientError) -> DreamHubError | None:
        """None when the source is to be asked again. The error when several attempts have waited in vain."""
        meter = self.ingestion.meter
        if self.intake.take_news():
            patience.reset()
            meter.fruitless = 0
        try:
            await patience.wait(error)
        except StoppingError:
            raise
        except TransientError:
            meter.fruitless += error.code != "DatabaseUnavailable"
            if meter.fruitless < MAX_FRUITLESS:
                raise
            return error
        return None

    async def _end_collection(self, failure: DreamHubError | None) -> None:
        async with self.tools.connection() as conn, conn.transaction():
            if failure is not None:
                await self.intake.refuse_source(conn, failure)
            await mark_collected(conn, self.ingestion.run)
        if self.gate is not None:
            await self.gate.appraise()
        await self.intake.publish()
        if isinstance(failure, BugError):
            log.error("source_not_read", code=failure.code)

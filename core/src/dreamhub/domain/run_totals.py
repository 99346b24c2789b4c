"""A run's progress as the sum of its workers': what each has settled, and what each is at. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from dreamhub.domain.pace import Pace, Rest, foretell, mean_pace
from dreamhub.domain.progress import (
    Amount,
    Count,
    DocumentCounts,
    DocumentError,
    Progress,
    RunState,
    Sentence,
    Stage,
    Timing,
)

ITEM_WEIGHT = 1_000
"""What a document weighs beside its tokens: to fetch, claim and show it takes about as long as to embed so many."""

MAX_ERRORS = 10
_ETA_FROM = 0.01
"""Share of the work after which a rate says something."""


class WorkerReport(BaseModel):
    """What one worker is at. Times and tokens are those of all its attempts, rates those of late."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)

    stage: Stage | None = None
    """None while it has nothing in hand."""
    current_weight: Amount = 0
    """How much of the document in hand is done, in its weight."""
    current_chunks: Count = 0
    """Stored of the document in hand."""
    tokens: Count = 0
    waiting: Sentence = ""
    """What it waits for, in a sentence."""
    reading: bool = False
    """It reads the run's source beside its documents."""
    awaiting_approval: bool = False
    """It idles until a person approves what was collected."""
    short_of_tokens: Count = 0
    """It idles until a limit of the tenant has room for so many; 0 while it does not."""
    estimated: tuple[Count, Count] | None = None
    """Tokens and bytes of what was collected."""
    fruitless: Count = 0
    """Attempts in a row that waited for the source in vain."""
    chunks_per_second: Amount = 0
    in_hand: Count = 0
    """Weight of the document in hand; 0 for none."""
    seconds_in_hand: Amount = 0
    """That it still takes."""
    pace: Pace | None = None
    """What documents have taken of late; None while that is not known."""
    timing: Timing = Timing()


@dataclass(frozen=True, slots=True)
class WorkerShare:
    """One worker of a run: its counters, exact, and its last report."""

    done: int = 0
    skipped: int = 0
    failed: int = 0
    unread: int = 0
    deleted: int = 0
    chunks: int = 0
    pages: int = 0
    weight: int = 0
    report: WorkerReport = field(default_factory=WorkerReport)
    alive: bool = True
    """Whether it was heard of lately. What a dead one had in hand another will count."""


@dataclass(frozen=True, slots=True)
class RunTotals:
    """What a run has to do, as far as that is known."""

    total: int
    weight: int
    collected: bool
    """Whether nothing comes to it any more."""


def sum_up(
    run: RunTotals,
    workers: Sequence[WorkerShare],
    before: Progress,
    errors: Sequence[DocumentError] = (),
    state: RunState = "Running",
) -> Progress:
    """The next snapshot after `before`. Its percent is never below that one's, and 100 only at the end."""
    final = state != "Running"
    alive = [worker.report for worker in workers if worker.alive]
    settled = sum(worker.weight for worker in workers)
    share = _share(run.weight, settled + sum(report.current_weight for report in alive))
    estimated = next((worker.report.estimated for worker in workers if worker.report.estimated is not None), None)
    stages = [report.stage for report in alive if report.stage is not None]
    short = 0 if final or stages else min((r.short_of_tokens for r in alive if r.short_of_tokens), default=0)
    return Progress(
        state=state,
        stage="Finished" if final else (stages[0] if stages else before.stage),
        documents=_count(run, workers),
        waiting="" if final else next((report.waiting for report in alive if report.waiting), ""),
        reading=not final and not run.collected,
        pages=sum(worker.pages for worker in workers),
        chunks=sum(worker.chunks for worker in workers) + sum(report.current_chunks for report in alive),
        tokens=sum(worker.report.tokens for worker in workers),
        awaiting_approval=not final and any(report.awaiting_approval for report in alive),
        short_of_tokens=short,
        estimated_tokens=estimated[0] if estimated else before.estimated_tokens,
        estimated_bytes=estimated[1] if estimated else before.estimated_bytes,
        percent=100 if final else max(before.percent, _percent(run, share)),
        chunks_per_second=round(sum(report.chunks_per_second for report in alive), 1),
        eta_seconds=0 if final else (None if short else _eta(run, share, workers)),
        timing=_add_up(workers),
        errors=tuple(errors[:MAX_ERRORS]),
    )


def _count(run: RunTotals, workers: Sequence[WorkerShare]) -> DocumentCounts:
    return DocumentCounts(
        total=run.total,
        done=sum(worker.done for worker in workers),
        skipped=sum(worker.skipped for worker in workers),
        failed=sum(worker.failed for worker in workers),
        unread=sum(worker.unread for worker in workers),
        deleted=sum(worker.deleted for worker in workers),
    )


def _percent(run: RunTotals, share: float) -> int:
    """None of a source that is being read: a share of what has come so far would be a share of nothing."""
    return min(99, int(share * 100)) if run.collected else 0


def _share(whole: float, part: float) -> float:
    return min(1.0, part / whole) if whole > 0 else 0.0


def _eta(run: RunTotals, share: float, workers: Sequence[WorkerShare]) -> int | None:
    """None while nothing can be said: what is left is unknown, or too little was done to learn from."""
    alive = [worker.report for worker in workers if worker.alive]
    paces = [report.pace for report in alive if report.pace is not None]
    if not run.collected or share < _ETA_FROM or not paces:
        return None
    settled = sum(worker.done + worker.failed for worker in workers)
    held = [report for report in alive if report.in_hand]
    documents = max(0, run.total - settled - len(held))
    weight = run.weight - sum(worker.weight for worker in workers) - sum(report.in_hand for report in held)
    fresh = 1 - sum(worker.skipped for worker in workers) / settled if settled else 1.0
    rest = Rest(
        documents=documents * fresh,
        tokens=max(0, weight - documents * ITEM_WEIGHT) * fresh,
        in_hand=tuple(report.seconds_in_hand for report in held),
        workers=len(alive),
    )
    return foretell(rest, mean_pace(paces))


def _add_up(workers: Sequence[WorkerShare]) -> Timing:
    timings = [worker.report.timing for worker in workers]
    return Timing(
        parse_seconds=round(sum(timing.parse_seconds for timing in timings), 3),
        embed_seconds=round(sum(timing.embed_seconds for timing in timings), 3),
        embed_wait_seconds=round(sum(timing.embed_wait_seconds for timing in timings), 3),
        store_seconds=round(sum(timing.store_seconds for timing in timings), 3),
        embed_p95_seconds=max(
            (worker.report.timing.embed_p95_seconds for worker in workers if worker.alive), default=0
        ),
    )

"""When waiting IngestJobs are likely to begin: what the forecast needs to know, gathered as jobs begin and end.

Lost on restart, by intent: finished IngestJobs that are still there tell how long jobs take.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from dreamhub.crd.ingest_job import IngestJob
from dreamhub.domain.fair_share import FairShare, Order
from dreamhub.domain.queue_forecast import Accuracy, Durations, Rehearsal, Scene, rehearse
from dreamhub.sql.runs import RunStatus

REHEARSE_SECONDS = 5.0
"""A rehearsal is believed for so long."""
REHEARSE_AGAIN_SECONDS = 1.0
"""For so long when it knows nothing of the one who asks."""
STEPS = 20_000
"""Looks at tenants in one rehearsal, which take some 20 ms."""
MOST_STARTS = 500
"""Jobs that come to begin in one; those further back are foretold at the pace of their tenant."""


@dataclass
class Outlook:
    durations: Durations = field(default_factory=Durations)
    accuracy: Accuracy = field(default_factory=Accuracy)
    _began: dict[str, float] = field(default_factory=dict)
    _promises: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Time and seconds of the first forecast of each that waits."""
    _rehearsal: Rehearsal | None = None

    def learn(self, order: Order, job: IngestJob) -> None:
        """From one that has ended before."""
        began, ended = job.status.start_time, job.status.completion_time
        if began is not None and ended is not None and job.status.phase == "Succeeded":
            self.durations.note(order.tenant, order.cost, (ended - began).total_seconds())

    def begin(self, uid: str, now: float) -> None:
        self._began.setdefault(uid, now)
        promise = self._promises.pop(uid, None)
        if promise is not None:
            self.accuracy.note(promise[1], now - promise[0])

    def end(self, order: Order, now: float, *, counts: bool) -> None:
        """`counts`: it has done its work, so that others are likely to take as long."""
        began = self._began.pop(order.uid, None)
        if counts and began is not None:
            self.durations.note(order.tenant, order.cost, now - began)

    def drop(self, uid: str) -> None:
        """It waits no more, and not because it has begun."""
        self._promises.pop(uid, None)

    def foretell(
        self, share: FairShare, uid: str, runs: Mapping[str, RunStatus], now: float, cold_held: frozenset[str]
    ) -> tuple[float, float] | None:
        """Seconds until it begins, and how far off that may be."""
        order = share.find(uid)
        if order is None or not self.durations.are_known:
            return None
        seconds = self._find(share, order, runs, now, cold_held)
        if seconds is None:
            return None
        self._promises.setdefault(uid, (now, seconds))
        return seconds, self.accuracy.error(seconds)

    def _find(
        self, share: FairShare, order: Order, runs: Mapping[str, RunStatus], now: float, cold_held: frozenset[str]
    ) -> float | None:
        place = share.place(order.uid)
        for believed in (REHEARSE_SECONDS, REHEARSE_AGAIN_SECONDS):
            if self._rehearsal is None or now - self._rehearsal.at >= believed:
                scene = Scene(now, self._rests(share, runs, now), self.durations.expect, cold_held)
                most = min(MOST_STARTS, STEPS // max(1, share.count_tenants()))
                self._rehearsal = rehearse(share, scene, max(32, most))
            seconds = self._rehearsal.find(order.uid, order.tenant, place, now)
            if seconds is not None:
                return seconds
        return None

    def _rests(self, share: FairShare, runs: Mapping[str, RunStatus], now: float) -> dict[str, float]:
        return {order.uid: self._rest(order, runs.get(order.uid), now) for order in share.running()}

    def _rest(self, order: Order, run: RunStatus | None, now: float) -> float:
        if run is not None and run.progress.eta_seconds is not None:
            return float(run.progress.eta_seconds)
        return self.durations.expect_rest(order, now - self._began.get(order.uid, now))

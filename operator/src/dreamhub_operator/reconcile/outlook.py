"""When waiting IngestJobs are likely to begin: what the forecast needs to know, gathered as jobs begin and end.

Lost on restart, by intent: finished IngestJobs that are still there tell how long jobs take.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from dreamhub.crd.ingest_job import IngestJob
from dreamhub.domain.fair_share import FairShare, Order
from dreamhub.domain.queue_forecast import Durations, Forecast, Rehearsal, Scene, TrackRecord, rehearse
from dreamhub.sql.runs import RunStatus

REHEARSE_SECONDS = 5.0
"""A rehearsal is believed for so long."""
REHEARSE_AGAIN_SECONDS = 1.0
"""For so long when it knows nothing of the one who asks."""
SETTLED_SECONDS = 2.0
"""Those of one second go by their UID. So long after it, by their own times or by the clock, no more of them come."""
LAG_SECONDS = 30.0
"""A watch is not further behind."""
STEPS = 20_000
"""Looks at tenants in one rehearsal, which take some 20 ms."""
MOST_STARTS = 500
"""Jobs that come to begin in one; those further back are foretold at the pace of their tenant."""


@dataclass
class Outlook:
    durations: Durations = field(default_factory=Durations)
    record: TrackRecord = field(default_factory=TrackRecord)
    _began: dict[str, float] = field(default_factory=dict)
    _promises: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    """Times and seconds of those forecasts of each that waits which are held against what happens."""
    _rehearsal: Rehearsal | None = None
    _arriving: dict[str, Order] = field(default_factory=dict)
    """By UID, jobs that nobody has looked at yet: in a rush hundreds, and they go by their age as all others."""
    _newest: float = 0.0
    """When the youngest that has come was created."""
    _arrived_at: float = 0.0

    def learn(self, order: Order, job: IngestJob) -> None:
        """From one that has ended before."""
        began, ended = job.status.start_time, job.status.completion_time
        if began is not None and ended is not None and job.status.phase == "Succeeded":
            self.durations.note(order.tenant, order.cost, (ended - began).total_seconds())

    def begin(self, uid: str, now: float) -> None:
        self._began.setdefault(uid, now)
        for at, seconds in self._promises.pop(uid, ()):
            self.record.note(seconds, now - at)

    def end(self, order: Order, now: float, *, counts: bool) -> None:
        """`counts`: it has done its work, so that others are likely to take as long."""
        began = self._began.pop(order.uid, None)
        if counts and began is not None:
            self.durations.note(order.tenant, order.cost, now - began)

    def drop(self, uid: str) -> None:
        """It waits no more, and not because it has begun."""
        self._promises.pop(uid, None)

    def expect(self, order: Order, now: float) -> None:
        """It has been created, and nobody has looked at it yet."""
        self._arriving[order.uid] = order
        self._newest, self._arrived_at = max(self._newest, order.created_at), now

    def expect_no_more(self, uid: str) -> None:
        """It is in line, or will not be."""
        self._arriving.pop(uid, None)

    def find_place(self, share: FairShare, order: Order) -> int:
        """As `FairShare.place`, those in mind that are not in line yet."""
        arriving = (o for o in self._arriving.values() if o.tenant == order.tenant and share.find(o.uid) is None)
        return share.place(order.uid) + sum(o.goes_before(order) for o in arriving)

    def find_settling(self, order: Order, now: float) -> float | None:
        """Seconds until its place may stand, for one that has just been created. In a rush the watch lags behind."""
        settled_at = order.created_at + SETTLED_SECONDS
        if self._newest < settled_at:
            settled_at = min(max(settled_at, self._arrived_at + SETTLED_SECONDS), order.created_at + LAG_SECONDS)
        return settled_at - now if settled_at > now else None

    def foretell(
        self, share: FairShare, uid: str, runs: Mapping[str, RunStatus], now: float, cold_held: frozenset[str]
    ) -> Forecast | None:
        """Of when it begins; None while that is unknown."""
        order = share.find(uid)
        if order is None or not self.durations.are_known or self.find_settling(order, now) is not None:
            return None
        seconds = self._find(share, order, runs, now, cold_held)
        if seconds is None:
            return None
        if self.record.take(seconds, now):
            self._promises.setdefault(uid, []).append((now, seconds))
        return self.record.judge(seconds)

    def _find(
        self, share: FairShare, order: Order, runs: Mapping[str, RunStatus], now: float, cold_held: frozenset[str]
    ) -> float | None:
        place = self.find_place(share, order)
        for believed in (REHEARSE_SECONDS, REHEARSE_AGAIN_SECONDS):
            if self._rehearsal is None or now - self._rehearsal.at >= believed:
                durations = self.durations.heed((o, self._elapsed(o, now)) for o in share.running())
                rests = {o.uid: self._rest(o, durations, runs.get(o.uid), now) for o in share.running()}
                scene = Scene(now, rests, durations.expect, cold_held, self._arriving.values())
                most = min(MOST_STARTS, STEPS // max(1, share.count_tenants()))
                self._rehearsal = rehearse(share, scene, max(32, most))
            seconds = self._rehearsal.find(order.uid, order.tenant, place, now)
            if seconds is not None:
                return seconds
        return None

    def _rest(self, order: Order, durations: Durations, run: RunStatus | None, now: float) -> float:
        if run is not None and run.progress.eta_seconds is not None:
            return float(run.progress.eta_seconds)
        return durations.expect_rest(order, self._elapsed(order, now))

    def _elapsed(self, order: Order, now: float) -> float:
        return now - self._began.get(order.uid, now)

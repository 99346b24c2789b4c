"""Who of all tenants' IngestJobs may run: fair share, kept in step with what the watches show.

Between a decision and the Job that follows from it lies a wait for the API server. So a decision reserves the slot in
the same step, and the reservation stands until the Job is seen or known not to come. A slot that is free is given to
whoever is best placed, not to who asks: the one that got it is woken. After a restart there are no reservations, and
none are needed: all Jobs are listed before the first decision.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from dreamhub.crd.ingest_job import IngestEstimate, IngestJob, IngestReason
from dreamhub.domain.fair_books import Books, Entry
from dreamhub.domain.fair_share import FairShare, Order
from dreamhub_operator.admission_settings import Admission
from dreamhub_operator.reconcile.admission import GRANTED, Standing, build_order, build_terms, find_used
from dreamhub_operator.reconcile.embedding_pace import EmbeddingPace
from dreamhub_operator.reconcile.ingest_plan import is_final
from dreamhub_operator.reconcile.job_state import JobState
from dreamhub_operator.reconcile.outlook import Outlook
from dreamhub_operator.watched import Watched

_IN_LINE = frozenset({IngestReason.TENANT_LIMIT, IngestReason.GLOBAL_LIMIT, IngestReason.COLD_HELD_BACK})
"""What the status of one says that wanted a slot, so that after a restart it need not ask again to be remembered."""


@dataclass
class Slots:
    watched: Watched
    settings: Admission = field(default_factory=Admission)
    now: Callable[[], float] = time.time
    outlook: Outlook = field(default_factory=Outlook)
    share: FairShare = field(init=False)
    pace: EmbeddingPace = field(init=False)
    cold_held: frozenset[str] = frozenset()
    """Tenants whose cold jobs wait for their embedding model."""
    is_open: bool = False
    _reserved: dict[str, bool] = field(default_factory=dict)
    """UIDs of IngestJobs whose Job is to be created or resumed; True once their own reconcile has learnt of it."""
    _granted: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.share = FairShare(self.settings.policy, Books(self.settings.half_life.total_seconds()))
        self.pace = EmbeddingPace(self.watched, self.settings.embedding_p95_seconds)
        self.watched.listen(self._see)

    def _see(self, uid: str) -> None:
        """An IngestJob has come, changed or gone."""
        job = self.watched.ingest_jobs.get(uid)
        if job is None or job.metadata.deletion_timestamp is not None or job.status.observed_generation:
            self.outlook.expect_no_more(uid)
        elif self.share.find(uid) is None and not is_final(job.status):
            self.outlook.expect(build_order(job), self.now())

    def open(self, books: Books) -> None:
        """Begin with these books and what the watches have shown."""
        self.share.books = books
        for tenant in self.watched.tenants.values():
            self.share.set_terms(tenant.metadata.name, build_terms(tenant))
        for uid, job in self.watched.ingest_jobs.items():
            order, state = build_order(job), self.watched.jobs.get(uid)
            if state is not None and _runs(state):
                self.share.hold(order)
                self.outlook.begin(uid, _created_at(state, self.now()))
            elif is_final(job.status):
                self.outlook.learn(order, job)
            elif job.status.reason in _IN_LINE and job.metadata.deletion_timestamp is None:
                self.share.wait(order)
        self.is_open = True

    def claim(self, job: IngestJob, estimate: IngestEstimate | None = None) -> Standing:
        """Where it stands; a slot that it was given is its own from now on, until `settle`."""
        uid, order = job.metadata.uid, build_order(job, estimate)
        self.outlook.expect_no_more(uid)
        self.set_terms(order.tenant)
        if not self.share.runs(uid):
            self.share.wait(order)
            self.grant()
        if not self.share.runs(uid):
            return self._stand(uid, order)
        self._reserved[uid] = True
        return GRANTED

    def _stand(self, uid: str, order: Order) -> Standing:
        told = self.outlook.foretell(self.share, uid, self.watched.runs, self.now(), self.cold_held)
        return Standing(
            place=self.outlook.find_place(self.share, order),
            hold=self.share.explain(uid, self.cold_held),
            share=self.share.share(order.tenant),
            eta_seconds=told.seconds if told is not None else None,
            error_seconds=told.error if told is not None else None,
            look_seconds=self.outlook.find_settling(order, self.now()),
        )

    def settle(self, uid: str) -> None:
        """What it had claimed is a Job that has been seen, or it will not be one."""
        if self._reserved.get(uid):
            del self._reserved[uid]

    def set_aside(self, job: IngestJob) -> None:
        """It does not want a slot: let others go first."""
        uid = job.metadata.uid
        self._reserved.pop(uid, None)
        self.share.withdraw(uid)
        self.outlook.drop(uid)
        self.outlook.expect_no_more(uid)

    def note(self, uid: str) -> Entry | None:
        """Look at it again; what has to be entered into the books."""
        job = self.watched.ingest_jobs.get(uid)
        over = job is None or is_final(job.status) or job.metadata.deletion_timestamp is not None
        began = uid not in self._reserved
        if over:
            self._reserved.pop(uid, None)
            self.share.withdraw(uid)
            self.outlook.drop(uid)
        if self._holds(uid):
            if job is not None and not self.share.runs(uid):
                self.share.hold(build_order(job))
                self.outlook.begin(uid, self.now())
            return None
        order = self.share.release(uid)
        if order is not None:
            self.outlook.end(order, self.now(), counts=job is not None and job.status.phase == "Succeeded")
        began = (began and order is not None) or (job is not None and job.status.job_name is not None)
        return self._close(uid, job, began=began) if over else self._pause(uid, job)

    def _close(self, uid: str, job: IngestJob | None, *, began: bool) -> Entry | None:
        known = self.share.books.charges.get(uid)
        if known is None:
            return None
        used = find_used(job, self.watched.runs.get(uid), known)
        if used is None and not began:
            used = 0
        self.share.books.settle(uid, used, self.now())
        return Entry("Settle", uid, known.tenant, used)

    def _pause(self, uid: str, job: IngestJob | None) -> Entry | None:
        known = self.share.books.charges.get(uid)
        if known is None or not known.cost:
            return None
        used = find_used(job, self.watched.runs.get(uid)) or 0
        self.share.books.pause(uid, used, self.now())
        return Entry("Pause", uid, known.tenant, used)

    def grant(self) -> None:
        """Give free slots away; `take_granted` says to whom."""
        for order in self.share.grant(self.now(), self.cold_held):
            self._reserved[order.uid] = False
            self.outlook.begin(order.uid, self.now())
            self._granted.append(order.uid)

    def take_granted(self) -> list[str]:
        """UIDs of those that got a slot since the last call and have not learnt of it."""
        granted, self._granted = self._granted, []
        return [uid for uid in granted if self._reserved.get(uid) is False]

    def set_terms(self, tenant: str) -> None:
        """As the Tenant says now."""
        known = self.watched.tenants.get(self.watched.tenant_uids.get(tenant, ""))
        if known is not None:
            self.share.set_terms(tenant, build_terms(known))

    def look_at_models(self) -> None:
        """Whose cold jobs wait from now on."""
        self.cold_held = self.pace.find_slow(self.now())

    def find_charge(self, uid: str) -> Entry | None:
        """What the books are to hold before its worker may begin."""
        order = self.share.find(uid)
        return Entry("Charge", uid, order.tenant, order.charge) if order is not None else None

    def has_slot(self, uid: str) -> bool:
        """Whether it runs, was given a slot, or has ended and keeps it still."""
        return self.share.runs(uid) or uid in self.watched.jobs

    def count(self, namespace: str) -> tuple[int, int]:
        """IngestJobs that run, and those that wait for whatever reason."""
        known = [self.watched.ingest_jobs[uid] for uid in self.watched.ingest_jobs_in(namespace)]
        unfinished = [j for j in known if not is_final(j.status) and j.metadata.deletion_timestamp is None]
        running = sum(self._holds(job.metadata.uid) for job in unfinished)
        return running, len(unfinished) - running

    def _holds(self, uid: str) -> bool:
        state = self.watched.jobs.get(uid)
        return uid in self._reserved or (state is not None and _runs(state))


def _runs(state: JobState) -> bool:
    """A Job whose worker has reported its end runs until the Job says so, too: its pod is still there.

    One that Kueue keeps suspended has its slot: Kueue starts it whenever it likes.
    """
    waits = state.suspended and not state.kueue_queue
    return not (waits or state.complete or state.failure is not None)


def _created_at(state: JobState, now: float) -> float:
    return datetime.fromisoformat(state.created_at).timestamp() if state.created_at else now

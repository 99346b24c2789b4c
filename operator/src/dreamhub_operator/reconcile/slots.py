"""Who of a tenant's IngestJobs may run: the state behind `admission.rank`, kept so that two decisions never collide.

Between a decision and the Job that follows from it lies a wait for the API server. So a decision reserves the slot in
the same step, without a wait in between, and the reservation stands until the Job is seen or known not to come. After a
restart there are no reservations, and none are needed: the Jobs are listed before the first decision.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from dreamhub.crd.ingest_job import IngestJob
from dreamhub_operator.reconcile.admission import Candidate, rank
from dreamhub_operator.reconcile.ingest_plan import is_final
from dreamhub_operator.reconcile.job_state import JobState
from dreamhub_operator.watched import Watched


@dataclass
class Slots:
    watched: Watched
    _reserved: set[str] = field(default_factory=set)
    """UIDs of IngestJobs whose Job is being created or resumed."""
    _held: dict[str, str] = field(default_factory=dict)
    """Namespaces by the UIDs of IngestJobs that were seen to hold a slot, or to be in others' way."""
    _aside: set[str] = field(default_factory=set)
    """UIDs of IngestJobs that something else than the limit keeps waiting: they are nobody's rivals."""

    def find_place(self, job: IngestJob, limit: int | None) -> int:
        """0 when it may run now, else its place in the queue."""
        self._aside.discard(job.metadata.uid)
        return self._rank(job.metadata.namespace or "", limit).get(job.metadata.uid, 0)

    def claim(self, job: IngestJob, limit: int | None) -> int:
        """As `find_place`; when it may run, a slot is its own from now on, until `settle`."""
        place = self.find_place(job, limit)
        if place == 0:
            self._reserved.add(job.metadata.uid)
            self._held[job.metadata.uid] = job.metadata.namespace or ""
        return place

    def settle(self, uid: str) -> None:
        """What was reserved is a Job that has been seen, or it will not be one."""
        self._reserved.discard(uid)

    def set_aside(self, job: IngestJob) -> None:
        """It does not wait for a slot: let others go first."""
        if job.metadata.uid not in self._aside:
            self._aside.add(job.metadata.uid)
            self._held[job.metadata.uid] = job.metadata.namespace or ""

    def note(self, uid: str) -> str | None:
        """Look at it again; the namespace in which a slot has become free by it, or None."""
        job = self.watched.ingest_jobs.get(uid)
        if job is None:
            self._reserved.discard(uid)
            self._aside.discard(uid)
        if self._holds(uid):
            if job is not None:
                self._held[uid] = job.metadata.namespace or ""
            return None
        return self._held.pop(uid, None)

    def find_next(self, namespace: str, limit: int | None) -> list[str]:
        """UIDs of those that may start now."""
        return [uid for uid, place in self._rank(namespace, limit).items() if place == 0]

    def count(self, namespace: str) -> tuple[int, int]:
        """IngestJobs that run, and those that wait for whatever reason."""
        open_jobs = [uid for uid in self.watched.ingest_jobs_in(namespace) if not self._is_over(uid)]
        running = sum(self._holds(uid) for uid in open_jobs)
        return running, len(open_jobs) - running

    def _rank(self, namespace: str, limit: int | None) -> dict[str, int]:
        return dict(rank(self._candidates(namespace), limit))

    def _candidates(self, namespace: str) -> Iterator[Candidate]:
        """With those whose IngestJob was deleted while their Job still runs."""
        known = self.watched.ingest_jobs_in(namespace)
        for uid in known:
            holds = self._holds(uid)
            if holds or not (self._is_over(uid) or uid in self._aside):
                yield Candidate(uid, self.watched.ingest_jobs[uid].metadata.creation_timestamp or "", holds)
        for uid, space in self._held.items():
            if space == namespace and uid not in self.watched.ingest_jobs and self._holds(uid):
                yield Candidate(uid, "", holds=True)

    def _is_over(self, uid: str) -> bool:
        job = self.watched.ingest_jobs[uid]
        return is_final(job.status) or job.metadata.deletion_timestamp is not None

    def _holds(self, uid: str) -> bool:
        state = self.watched.jobs.get(uid)
        return uid in self._reserved or (state is not None and _runs(state))


def _runs(state: JobState) -> bool:
    """A Job whose worker has reported its end runs until the Job says so, too: its pod is still there."""
    return not (state.suspended or state.complete or state.failure is not None)

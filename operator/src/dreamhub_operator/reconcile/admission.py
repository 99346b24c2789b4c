"""Which of a tenant's IngestJobs may have a worker: those that have one, then the oldest. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Candidate:
    """An IngestJob that has a worker, or is in need of one."""

    uid: str
    created_at: str
    """Its creationTimestamp; texts of this form sort as their times do."""
    holds: bool
    """Whether a slot is its own already: its Job runs, or is being created."""


def rank(candidates: Iterable[Candidate], limit: int | None) -> Mapping[str, int]:
    """The place in the queue of each that has no slot yet, by UID: 0 for those that may start now, then 1, 2, 3, ...

    Those that hold a slot keep it, even when the limit was lowered below their number. Ties of age are broken by UID,
    so that everybody who asks gets the same answer.
    """
    known = list(candidates)
    waiting = sorted((c for c in known if not c.holds), key=lambda c: (c.created_at, c.uid))
    free = len(waiting) if limit is None else max(0, limit - (len(known) - len(waiting)))
    return {candidate.uid: max(0, index + 1 - free) for index, candidate in enumerate(waiting)}

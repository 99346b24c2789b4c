"""How soon a Tenant is looked at again: at once while it is being made, ever later while something does not answer."""

from dataclasses import dataclass, field

from dreamhub_operator.queue import backoff
from dreamhub_operator.reconcile.tenant_status import Report, is_ready


@dataclass
class Pace:
    """Counts looks in a row that found a Tenant unready, by its UID. Lost on restart, by intent."""

    _tries: dict[str, int] = field(default_factory=dict)

    def next_look(self, uid: str, report: Report, *, changed: bool, jitter: float) -> float | None:
        """Seconds, or None when the look for drift is soon enough: it is ready, or stuck until a person helps.

        `changed`: the spec is a new one, of which earlier failures tell nothing.
        """
        stuck = report.obstacle is not None and not report.obstacle.passes and not report.failures
        if stuck or is_ready(report):
            self._tries.pop(uid, None)
            return None
        tries = 1 if changed else self._tries.get(uid, 0) + 1
        self._tries[uid] = tries
        return backoff(tries, jitter)

    def forget(self, uid: str) -> None:
        self._tries.pop(uid, None)

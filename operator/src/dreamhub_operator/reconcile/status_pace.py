"""How often the status of an IngestJob is written: a change of phase at once, anything else at most once a second."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

STATUS_SECONDS = 1.0
MOST = 10_000
"""Entries after which old ones are forgotten."""


@dataclass
class StatusPace:
    clock: Callable[[], float] = time.monotonic
    _written: dict[str, float] = field(default_factory=dict)
    """When the status was last written, by UID. Lost on restart, by intent."""

    def delay(self, uid: str) -> float:
        """Seconds until it may be written again; 0 for now."""
        written = self._written.get(uid)
        return 0.0 if written is None else max(0.0, written + STATUS_SECONDS - self.clock())

    def note(self, uid: str, *, last: bool) -> None:
        """It was written; `last`: it will not be again."""
        if last:
            self._written.pop(uid, None)
        else:
            self._written[uid] = self.clock()
        if len(self._written) > MOST:  # those of IngestJobs that were deleted before their end
            self._written = {known: at for known, at in self._written.items() if self.delay(known)}

"""Whether an API key may be used: a breaker for each, with one probe at a time while it is half open. Pure.

A key that the provider refuses, or whose calls fail in a row, opens it. An answer 429 only holds the key back for as
long as the provider asks. An answer that a request itself is at fault for proves that key and provider are well.
"""

from dataclasses import dataclass
from typing import Literal

Cause = Literal["failing", "unauthorized", "quota"]

FAILURES = 5
"""In a row, until it opens. With 5 % errors by chance that happens once in three million calls."""
PROBE_SECONDS = 0.5
"""Until the first probe; twice as long after each that fails."""
MOST_PROBE_SECONDS = {"failing": 4.0, "unauthorized": 15.0, "quota": 60.0}
"""Between probes at most. An outage must be noticed to be over within seconds."""


@dataclass
class Breaker:
    cause: Cause | None = None
    """Why it is open; None while it is closed."""
    opened_at: float = 0.0
    _failures: int = 0
    _trips: int = 0
    _probe_at: float = 0.0
    _probing: bool = False
    _held_until: float = 0.0

    def seconds_until_usable(self, now: float) -> float:
        """0 when the key may be used now."""
        if self.cause is not None and self._probing:
            return PROBE_SECONDS
        return max(0.0, self._held_until - now, self._probe_at - now if self.cause is not None else 0.0)

    def claim(self) -> None:
        """The key is about to be used; while the breaker is open, by nobody else until that has ended."""
        self._probing = self.cause is not None

    def succeed(self) -> None:
        self.cause, self._failures, self._trips, self._probing = None, 0, 0, False

    def fail(self, now: float) -> None:
        """The provider did not answer, or not as it should."""
        self._failures += 1
        if self._probing or self._failures == FAILURES:
            self._open("failing", now)

    def refuse(self, cause: Cause, now: float) -> None:
        """The provider refuses this key."""
        if self.cause != cause or self._probing:
            self._open(cause, now)

    def hold(self, until: float) -> None:
        self._probing = False
        self._held_until = max(self._held_until, until)

    def release(self) -> None:
        """What was claimed was not used, or its end is not known."""
        self._probing = False

    def _open(self, cause: Cause, now: float) -> None:
        if self.cause != cause:
            self._trips, self.opened_at = 0, now
        self.cause, self._probing = cause, False
        self._probe_at = now + min(PROBE_SECONDS * 2**self._trips, MOST_PROBE_SECONDS[cause])
        self._trips += 1

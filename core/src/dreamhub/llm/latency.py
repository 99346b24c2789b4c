"""How long an attempt may take before another one is cheaper: learned from those that succeeded. Pure.

A provider that hangs once in a hundred calls must not cost half a minute each time. What takes several times as long as
nearly all others is given up and asked again; a provider that has become slower teaches longer times.
"""

from collections import deque
from dataclasses import dataclass, field

KEPT = 64
ENOUGH = 8
"""Answers that are waited for patiently before anything is concluded."""
SLACK = 4.0
"""Times what 95 of 100 answers take."""


@dataclass
class AttemptTime:
    ceiling: float
    """The model's `timeoutSeconds`."""
    least: float = 1.0
    _answers: deque[tuple[int, float]] = field(default_factory=lambda: deque(maxlen=KEPT))

    def learn(self, size: int, seconds: float) -> None:
        self._answers.append((max(1, size), seconds))

    def allow(self, size: int, timeouts: int) -> float:
        """For an attempt of this size, whose call has timed out so many times: twice as long each time."""
        patience: float = self._usual(max(1, size)) * 2**timeouts
        return min(self.ceiling, patience)

    def _usual(self, size: int) -> float:
        if len(self._answers) < ENOUGH:
            return self.ceiling / 3
        scaled = sorted(seconds * max(1.0, size / known) for known, seconds in self._answers)
        nearly_all = scaled[int(len(scaled) * 0.95)]
        return max(self.least, SLACK * nearly_all)

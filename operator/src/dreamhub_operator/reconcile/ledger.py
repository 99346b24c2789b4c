"""What this process has done outside of Kubernetes, so that it need not be done again at each look."""

import hashlib
from dataclasses import dataclass, field


def fingerprint(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


@dataclass
class Ledger:
    """Entries by subject, each with the fingerprint of what was set and the time of it. Lost on restart, by intent."""

    seconds: float
    """How long an entry counts."""
    _entries: dict[str, tuple[str, float]] = field(default_factory=dict)

    def is_current(self, subject: str, secret: str, now: float) -> bool:
        known, at = self._entries.get(subject, ("", float("-inf")))
        return known == fingerprint(secret) and now - at < self.seconds

    def find(self, subject: str, secret: str) -> float | None:
        """When this was last set so; None when something else was, or nothing."""
        known, at = self._entries.get(subject, ("", 0.0))
        return at if known == fingerprint(secret) else None

    def knows(self, subject: str) -> bool:
        """Whether anything was set since the process began."""
        return subject in self._entries

    def record(self, subject: str, secret: str, now: float) -> None:
        self._entries[subject] = (fingerprint(secret), now)

    def forget(self, subject: str) -> None:
        self._entries.pop(subject, None)

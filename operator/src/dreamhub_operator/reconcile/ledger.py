"""What this process has lately done outside of Kubernetes, so that it need not be done again at each look."""

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

    def record(self, subject: str, secret: str, now: float) -> None:
        self._entries[subject] = (fingerprint(secret), now)

    def forget(self, subject: str) -> None:
        self._entries.pop(subject, None)

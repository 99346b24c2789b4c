"""The API keys of a model: several files that are read at each use, in turn, each behind a breaker of its own.

A breaker belongs to a key's content. So a key that was replaced starts afresh, calls that are under way end with the
one before, and what the provider says about that one harms nobody.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dreamhub.errors import InvalidInputError, UnavailableError
from dreamhub.llm.breaker import Breaker, Cause
from dreamhub.secret_files import read_secret

NO_KEY = "none"
"""For endpoints that want no key: the protocol has a place for one all the same."""


@dataclass(frozen=True)
class ApiKey:
    secret: str = field(repr=False)
    breaker: Breaker


@dataclass
class KeyRing:
    model: str
    files: Sequence[Path]
    _breakers: dict[str, Breaker] = field(default_factory=dict)
    """By the digest of the key."""
    _next: int = 0

    def read(self) -> list[ApiKey]:
        """As they are now. A file that is gone is left out. Raises UnavailableError when none can be read."""
        secrets: dict[str, str] = {}
        missing: InvalidInputError | None = None
        for file in self.files:
            try:
                secret = read_secret(file)
            except InvalidInputError as error:
                missing = error
            else:
                secrets[hashlib.sha256(secret.encode()).hexdigest()] = secret
        if missing is not None and not secrets:  # the platform's fault and not the caller's
            raise UnavailableError(
                f"model {self.model} cannot be asked: {missing.message}", code=missing.code
            ) from missing
        secrets = secrets or {"": NO_KEY}
        self._breakers = {digest: self._breakers.get(digest) or Breaker() for digest in secrets}
        return [ApiKey(secret, self._breakers[digest]) for digest, secret in secrets.items()]

    def seconds_until_usable(self, now: float) -> float:
        """Of the first that is. Raises as `read`."""
        return min(key.breaker.seconds_until_usable(now) for key in self.read())

    def claim(self, now: float) -> ApiKey | None:
        """One that may be used now, each in its turn. Raises as `read`."""
        keys = self.read()
        self._next += 1
        for offset in range(len(keys)):
            key = keys[(self._next + offset) % len(keys)]
            if key.breaker.seconds_until_usable(now) == 0:
                key.breaker.claim()
                return key
        return None

    def refused(self) -> tuple[Cause, float] | None:
        """Why the provider refuses all of them, and since when; None while there is one that it does not."""
        states = [(key.breaker.cause, key.breaker.opened_at) for key in self.read()]
        causes = {cause for cause, _ in states}
        if not causes <= {"unauthorized", "quota"}:
            return None
        return "quota" if "quota" in causes else "unauthorized", max(since for _, since in states)

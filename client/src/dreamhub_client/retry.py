"""When a request is sent again, and after how long: pure, so that tables test it."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from dreamhub_client.errors import ApiError, ClientError, LimitExceededError, ServerError, UnreachableError


@dataclass(frozen=True)
class RetryPolicy:
    """`attempts` counts the first one. Delays double from `base` to `longest` seconds, half of each at random."""

    attempts: int = 4
    base: float = 0.5
    longest: float = 15.0

    def delay(self, attempt: int, error: ClientError, chance: Callable[[], float] = random.random) -> float | None:
        """Seconds until the next attempt after the failed `attempt` (1, 2, ...); None when there is none.

        What the server names in Retry-After is never undercut; a time beyond the longest delay is left to the caller.
        """
        if attempt >= self.attempts or not is_transient(error):
            return None
        backoff = min(self.longest, self.base * (1 << (attempt - 1)))
        backoff = backoff / 2 + backoff / 2 * chance()
        named = error.retry_after if isinstance(error, ApiError) else None
        if named is None:
            return backoff
        return max(named, backoff) if named <= self.longest else None


def is_transient(error: ClientError) -> bool:
    """Whether the same request may succeed later without a change."""
    if isinstance(error, ServerError):
        return error.status in {502, 503, 504}
    if isinstance(error, LimitExceededError):
        return error.retry_after is not None
    return isinstance(error, UnreachableError)

"""How fast a model's provider may be called: rates, the bucket that keeps to them, and what a call came to. Pure.

A provider counts requests and tokens over any minute. The bucket hands out a little less than the rate and lets a
little gather, so that no minute, wherever it begins, holds more than the limit.
"""

from dataclasses import dataclass, replace
from typing import Literal

Outcome = Literal["ok", "limited", "failed", "timeout", "unreachable", "unauthorized", "quota", "rejected"]
"""What became of a call; `limited` is an answer 429, `rejected` one that another try would not mend."""

MINUTE = 60.0
PACE = 0.97
"""Of a limit, what is handed out steadily."""
BURST = 0.02
"""Of a minute's share, what gathers while nobody calls. With PACE it stays below 1: the rest is for messages that
travel unevenly."""
LEAD_SECONDS = 10.0
"""An urgent call goes before others that have reserved for so long ahead; they make up for it."""
HORIZON_SECONDS = 4.0
"""Nobody reserves further ahead: shares change, and whoever dies has wasted no more than this."""


@dataclass(frozen=True, slots=True)
class Rates:
    """Per minute. None: without a limit."""

    requests: float | None = None
    tokens: float | None = None

    @property
    def unlimited(self) -> bool:
        return self.requests is None and self.tokens is None

    def times(self, share: float) -> "Rates":
        return Rates(*(None if rate is None else rate * share for rate in (self.requests, self.tokens)))


@dataclass(frozen=True, slots=True)
class Turn:
    """The answer to who wants to call."""

    granted: bool
    """True: reserved, call after `seconds`. False: ask again after them."""
    seconds: float


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One request to a provider, as it ended."""

    outcome: Outcome
    seconds: float
    reserved: int
    """Tokens that were taken for it."""
    tokens: int | None = None
    """What the provider counted, 0 for nothing; None when it did not say, so that the reservation stands."""
    hold_seconds: float = 0.0
    """For so long the provider wants nobody to call."""
    embedding: bool = False

    @property
    def surplus(self) -> int:
        """To be given back; negative when more was used than reserved."""
        return 0 if self.tokens is None else self.reserved - self.tokens


@dataclass(frozen=True, slots=True)
class Level:
    """One of a bucket's two contents. Below zero: reserved ahead."""

    rate: float
    """Per minute."""
    value: float

    @property
    def most(self) -> float:
        return max(1.0, self.rate * BURST)

    def after(self, seconds: float) -> "Level":
        return replace(self, value=min(self.most, self.value + self.rate * seconds / MINUTE))

    def delay(self, amount: float) -> float:
        """Until `amount` may go. What is larger than all that gathers goes when the bucket is full."""
        lacking = min(amount, self.most) - self.value
        return lacking * MINUTE / self.rate if lacking > 0 else 0.0


@dataclass
class Bucket:
    """Of one process. `dreamhub.storage.budget_functions` does the same in Redis, for all."""

    rates: Rates
    _requests: float | None = None
    _tokens: float | None = None
    _at: float = 0.0

    def take(self, tokens: int, now: float, *, urgent: bool = False) -> Turn:
        passed, self._at = max(0.0, now - self._at), now
        requests = _fill(self.rates.requests, self._requests, passed)
        contents = _fill(self.rates.tokens, self._tokens, passed)
        delay = max(
            requests.delay(1) if requests is not None else 0.0, contents.delay(tokens) if contents is not None else 0.0
        )
        delay = max(0.0, delay - LEAD_SECONDS) if urgent else delay
        granted = delay <= HORIZON_SECONDS
        self._requests = requests.value - granted if requests is not None else None
        self._tokens = contents.value - tokens * granted if contents is not None else None
        return Turn(granted, delay if granted else min(delay, HORIZON_SECONDS))

    def give_back(self, tokens: int) -> None:
        if self._tokens is not None:
            self._tokens += tokens


def _fill(rate: float | None, value: float | None, passed: float) -> Level | None:
    if rate is None:
        return None
    level = Level(rate, value if value is not None else 0.0)
    return replace(level, value=level.most) if value is None else level.after(passed)

"""How a provider's limits are divided among tenants: by weight, to those who want something, and all of it. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf

from dreamhub.domain.call_budget import PACE, Rates
from dreamhub.storage.model_budget import Calls

QUIET_SECONDS = 15.0
"""Who has not asked for so long has no share: the next call is made by the process's own small one, and asks."""
SHORT_SECONDS = 5.0
"""Who had to wait within so long wants more than it has."""
GROWTH = 1.5
"""Others want so many times what they took of late."""
LEAST = 0.01
"""Of the limit: what everybody who calls at all is thought to want, so that a first larger request finds room."""

WORST = 0.5
"""Of the limits, what is given out at least: the rest may be somebody else's who has the same key."""
TOLERATED = 0.01
"""Of calls answered 429."""


@dataclass(frozen=True, slots=True)
class Claim:
    weight: float
    demand: float
    """Per minute; infinite for whoever has to wait."""


def divide(total: float, claims: Sequence[Claim]) -> list[float]:
    """Weighted max-min: nobody gets more than it wants while another wants more for its weight.

    What is left when all have what they want is given out by weight, too: nobody has to ask again to grow.
    """
    shares = [0.0] * len(claims)
    open_claims = sorted(range(len(claims)), key=lambda index: claims[index].demand / claims[index].weight)
    left, weight = total, sum(claim.weight for claim in claims)
    for index in open_claims:
        claim = claims[index]
        shares[index] = min(claim.demand, left * claim.weight / weight) if weight > 0 else 0.0
        left, weight = left - shares[index], weight - claim.weight
    whole = sum(claim.weight for claim in claims)
    return [share + max(0.0, left) * claim.weight / whole for share, claim in zip(shares, claims, strict=True)]


@dataclass(frozen=True, slots=True)
class Want:
    """What one tenant wants of one model."""

    weight: float
    short: bool
    requests: float
    """Per minute, of late."""
    tokens: float


def read_want(weight: float, before: Calls | None, now: Calls, seconds: float) -> Want | None:
    """From two looks at its counters; None when it wants nothing."""
    if now.asked_ago > QUIET_SECONDS:
        return None
    short = now.short_ago is not None and now.short_ago <= SHORT_SECONDS
    if before is None or seconds <= 0:
        return Want(weight, short or before is None, 0.0, 0.0)
    calls = sum(now.outcomes.values()) - sum(before.outcomes.values())
    per_minute = 60 / seconds
    return Want(weight, short, max(0, calls) * per_minute, max(0, now.tokens - before.tokens) * per_minute)


def divide_rates(limits: Rates, wants: Mapping[str, Want]) -> dict[str, Rates]:
    """By tenant. Together never above PACE of the limits."""
    names = list(wants)
    requests = _divide_one(limits.requests, [(wants[name], wants[name].requests) for name in names])
    tokens = _divide_one(limits.tokens, [(wants[name], wants[name].tokens) for name in names])
    return {name: Rates(*rates) for name, *rates in zip(names, requests, tokens, strict=True)}


def _divide_one(limit: float | None, wants: Sequence[tuple[Want, float]]) -> Sequence[float | None]:
    if limit is None:
        return [None] * len(wants)
    claims = [Claim(want.weight, inf if want.short else max(rate * GROWTH, limit * LEAST)) for want, rate in wants]
    return divide(limit * PACE, claims)


def hear(outcomes: Mapping[str, Mapping[str, int]], given: Mapping[str, Rates]) -> tuple[int, int]:
    """Calls, and those that were refused, by tenants' counters: without those of whoever tells of most refusals.

    Tenants' own logins write the counters, and one alone must not take from all others. Where a provider refuses in
    earnest, others tell so, too. Whoever calls alone, or was given more than half of the limits, is heard.
    """
    calling = {tenant: counts for tenant, counts in outcomes.items() if any(counts.values())}
    loudest = max(calling, key=lambda tenant: calling[tenant].get("limited", 0), default="")
    shares = {tenant: rates.requests or rates.tokens or 0.0 for tenant, rates in given.items()}
    if len(calling) > 1 and 2 * shares.get(loudest, 0.0) <= sum(shares.values()):
        del calling[loudest]
    heard = list(calling.values())
    return sum(sum(counts.values()) for counts in heard), sum(counts.get("limited", 0) for counts in heard)


def adjust(factor: float, calls: int, limited: int) -> float:
    """How much of the limits is given out, after a look at what was answered.

    Less when a provider refuses all the same: others use its key, or the list names too much. It comes back slowly.
    """
    if limited > max(1, TOLERATED * calls):
        return max(WORST, factor * 0.95)
    return min(1.0, factor + 0.005)

"""What tenants have used of the workers, as fair share counts it. Pure: the clock is handed in.

A job is charged what it is likely to cost when it gets its slot (the entry penalty: the next decision already knows of
it), and what it has really cost takes the place of that when it ends. Charges of running jobs stand in full; what is
settled loses half of its weight in each half-life, so that a tenant that was busy is not one for ever.

The books are kept in PostgreSQL (`dreamhub.sql.fair_books`), which goes by the same rules; this is their copy in the
memory of the operator. Each step may come twice, and after a crash `plan_corrections` finds what is missing.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class Charge:
    """Of one job. It is there from the job's first slot to its end."""

    tenant: str
    cost: int
    """Stands for what it will use from here on; 0 while it has no slot."""
    settled: int = 0
    """What was settled already, as it lost its slot before its end."""


@dataclass(frozen=True, slots=True)
class Balance:
    """Settled use of a tenant."""

    consumed: float
    as_of: float
    """Seconds of Unix time for which `consumed` holds."""

    def at(self, now: float, half_life: float) -> float:
        return float(self.consumed * 0.5 ** (max(0.0, now - self.as_of) / half_life))


@dataclass
class Books:
    half_life: float
    charges: dict[str, Charge] = field(default_factory=dict)
    """By the UID of the job."""
    balances: dict[str, Balance] = field(default_factory=dict)
    """By tenant."""
    _charged: dict[str, int] = field(default_factory=dict)
    """Sum of the charges' costs by tenant."""

    def __post_init__(self) -> None:
        for charge in self.charges.values():
            self._charged[charge.tenant] = self._charged.get(charge.tenant, 0) + charge.cost

    def usage(self, tenant: str, now: float) -> float:
        balance = self.balances.get(tenant)
        return self._charged.get(tenant, 0) + (balance.at(now, self.half_life) if balance is not None else 0.0)

    def charge(self, uid: str, tenant: str, cost: int) -> None:
        """It gets a slot, for the first time or again. Nothing when it is charged already."""
        known = self.charges.get(uid, Charge(tenant, 0))
        if known.cost == 0:
            self._put(uid, Charge(tenant, max(1, cost - known.settled), known.settled))

    def pause(self, uid: str, used: int, now: float) -> None:
        """It has lost its slot and may get one again; `used`: by it in all."""
        known = self.charges.get(uid)
        if known is not None and known.cost:
            settled = max(used, known.settled)
            self._consume(known.tenant, settled - known.settled, now)
            self._put(uid, Charge(known.tenant, 0, settled))

    def settle(self, uid: str, used: int | None, now: float) -> None:
        """It is over; `used`: by it in all, None when nobody knows, so that the charge stands."""
        known = self.charges.get(uid)
        if known is not None:
            self._consume(known.tenant, known.cost if used is None else used - known.settled, now)
            self._put(uid, Charge(known.tenant, 0))

    def enter(self, entry: "Entry", now: float) -> None:
        """One of the steps above."""
        match entry.kind:
            case "Charge":
                self.charge(entry.uid, entry.tenant, entry.amount or 0)
            case "Pause":
                self.pause(entry.uid, entry.amount or 0, now)
            case "Settle":
                self.settle(entry.uid, entry.amount, now)

    def forget(self, kept: Collection[str]) -> None:
        """What tenants other than these have used."""
        self.balances = {tenant: balance for tenant, balance in self.balances.items() if tenant in kept}

    def copy(self) -> "Books":
        return Books(self.half_life, dict(self.charges), dict(self.balances))

    def _consume(self, tenant: str, amount: int, now: float) -> None:
        known = self.balances.get(tenant, Balance(0.0, now))
        at = max(now, known.as_of)
        if amount > 0:
            self.balances[tenant] = Balance(known.at(at, self.half_life) + amount, at)

    def _put(self, uid: str, charge: Charge) -> None:
        before = self.charges.get(uid)
        change = charge.cost - (before.cost if before is not None else 0)
        self._charged[charge.tenant] = self._charged.get(charge.tenant, 0) + change
        self.charges[uid] = charge
        if charge == Charge(charge.tenant, 0):
            del self.charges[uid]


@dataclass(frozen=True, slots=True)
class Entry:
    """One step in the books."""

    kind: Literal["Charge", "Pause", "Settle"]
    uid: str
    tenant: str
    amount: int | None
    """The cost of a charge; else what was used in all."""


def plan_corrections(
    charges: Mapping[str, Charge],
    running: Mapping[str, tuple[str, int]],
    unfinished: Collection[str],
    used: Mapping[str, int],
) -> list[Entry]:
    """What the books lack, whatever was interrupted.

    `running`: tenant and cost of the jobs that have a slot; `unfinished`: all that have not ended, with or without one;
    `used`: tokens by job, as far as they are known.
    """
    entries = [
        Entry("Charge", uid, tenant, cost)
        for uid, (tenant, cost) in running.items()
        if uid not in charges or not charges[uid].cost
    ]
    for uid, charge in charges.items():
        if uid not in unfinished:
            entries.append(Entry("Settle", uid, charge.tenant, used.get(uid)))
        elif charge.cost and uid not in running:
            entries.append(Entry("Pause", uid, charge.tenant, used.get(uid, charge.settled)))
    return entries

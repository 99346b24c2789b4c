"""Whose IngestJob may have the next worker. Pure: the clock is handed in, and equal questions get equal answers.

Among tenants that want a slot the next goes to the highest priority, then to the tenant that has used least for its
weight (see `fair_books`). Within a tenant priority counts strictly, then age. A job that has waited long becomes the
equal of higher priorities of other tenants, one step for each such time: so urgent work of some never starves the rest.

A decision looks at each tenant once, never at each job: thousands that are blocked cost as much as one.
"""

from bisect import bisect_left, insort
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import Literal

from dreamhub.domain.fair_books import Books

Priority = Literal["Urgent", "Normal", "Cold"]
Hold = Literal["TenantLimit", "GlobalLimit", "ColdHeldBack"]
"""Why a job that wants a slot has none."""

_RANKS: dict[Priority, int] = {"Urgent": 0, "Normal": 1, "Cold": 2}
URGENT_FACTOR = 2
"""An urgent job is charged twice: whoever calls everything urgent has half as much of it."""


@dataclass(frozen=True, slots=True)
class Policy:
    limit: int | None = None
    """How many jobs of all tenants may run at once; None is any number."""
    ageing_seconds: float = 900.0
    """After so long a waiting job is the equal of the next higher priority of other tenants."""


@dataclass(frozen=True, slots=True)
class Terms:
    """Of a tenant."""

    weight: int = 100
    limit: int | None = None
    """How many of its jobs may run at once."""

    def __post_init__(self) -> None:
        if self.weight < 1 or (self.limit is not None and self.limit < 0):
            raise ValueError(f"no terms of a tenant: weight {self.weight}, limit {self.limit}")


@dataclass(frozen=True, slots=True)
class Order:
    """A job that wants a slot, or has one."""

    uid: str
    tenant: str
    created_at: float
    """Seconds of Unix time."""
    cost: int = 1
    """What it is likely to use, in tokens."""
    priority: Priority = "Normal"
    elsewhere: bool = False
    """Another queueing system gives it its place in the cluster: it counts for its tenant's limit, not for all's."""

    @property
    def charge(self) -> int:
        return max(1, self.cost) * (URGENT_FACTOR if self.priority == "Urgent" else 1)

    @property
    def key(self) -> tuple[float, str]:
        return self.created_at, self.uid

    def goes_before(self, other: "Order") -> bool:
        """Within a tenant."""
        return (_RANKS[self.priority], self.key) < (_RANKS[other.priority], other.key)


Lane = tuple[int, bool]
"""Rank of a priority, and `Order.elsewhere`."""


def _lane(order: Order) -> Lane:
    return _RANKS[order.priority], order.elsewhere


@dataclass(slots=True)
class _Tenant:
    terms: Terms = Terms()
    running: int = 0
    lanes: dict[Lane, list[tuple[float, str]]] = field(default_factory=dict)
    """Keys of the waiting, the oldest first; no list is empty."""

    @property
    def has_room(self) -> bool:
        return self.terms.limit is None or self.running < self.terms.limit

    def enter(self, order: Order) -> None:
        insort(self.lanes.setdefault(_lane(order), []), order.key)

    def leave(self, order: Order) -> None:
        keys = self.lanes[_lane(order)]
        del keys[bisect_left(keys, order.key)]
        if not keys:
            del self.lanes[_lane(order)]

    def copy(self) -> "_Tenant":
        return _Tenant(self.terms, self.running, {lane: list(keys) for lane, keys in self.lanes.items()})


@dataclass
class FairShare:
    """Mutable; every change is one step, so that two decisions never see the same free slot."""

    policy: Policy
    books: Books
    _tenants: dict[str, _Tenant] = field(default_factory=dict)
    _waiting: dict[str, Order] = field(default_factory=dict)
    _running: dict[str, Order] = field(default_factory=dict)
    _counted: int = 0
    """How many of the running count for the limit of all."""
    _waiting_elsewhere: int = 0

    def set_terms(self, tenant: str, terms: Terms) -> None:
        self._of(tenant).terms = terms

    def wait(self, order: Order) -> None:
        """It wants a slot. Again when its priority or cost has changed; nothing when it has one."""
        if order.uid in self._running or self._waiting.get(order.uid) == order:
            return
        self.withdraw(order.uid)
        self._waiting[order.uid] = order
        self._waiting_elsewhere += order.elsewhere
        self._of(order.tenant).enter(order)

    def withdraw(self, uid: str) -> None:
        """It waits no more."""
        order = self._waiting.pop(uid, None)
        if order is not None:
            self._waiting_elsewhere -= order.elsewhere
            self._of(order.tenant).leave(order)

    def hold(self, order: Order) -> None:
        """It has a slot, whatever the limits say: it was seen to run."""
        if order.uid in self._running:
            return
        self.withdraw(order.uid)
        self._running[order.uid] = order
        self._of(order.tenant).running += 1
        self._counted += not order.elsewhere
        self.books.charge(order.uid, order.tenant, order.charge)

    def release(self, uid: str) -> Order | None:
        """It has no slot any more. What it is charged stays in the books until that is settled or paused."""
        order = self._running.pop(uid, None)
        if order is not None:
            self._of(order.tenant).running -= 1
            self._counted -= not order.elsewhere
        return order

    def grant(self, now: float, cold_held: Collection[str] = ()) -> list[Order]:
        """Give the free slots away; those who have one now, in the order of the decisions.

        `cold_held`: tenants whose cold jobs have to wait.
        """
        granted = []
        while (order := self._choose(now, cold_held)) is not None:
            self.hold(order)
            granted.append(order)
        return granted

    def _choose(self, now: float, cold_held: Collection[str]) -> Order | None:
        if not self._waiting or (self._is_full and not self._waiting_elsewhere):
            return None
        heads = [
            head
            for name, tenant in self._tenants.items()
            if tenant.lanes and tenant.has_room and (head := self._head(tenant, held=name in cold_held)) is not None
        ]
        top = min((_RANKS[head.priority] for head in heads), default=0)
        return min(heads, key=lambda head: self._urgency(head, top, now), default=None)

    def _urgency(self, head: Order, top: int, now: float) -> tuple[int, float, float, str]:
        """Age lifts a job to the highest priority at hand, never above its equals."""
        aged = _RANKS[head.priority] - int(max(0.0, now - head.created_at) // self.policy.ageing_seconds)
        share = self.books.usage(head.tenant, now) / self._of(head.tenant).terms.weight
        return max(top, aged), share, head.created_at, head.uid

    def _head(self, tenant: _Tenant, *, held: bool) -> Order | None:
        """Of the tenant's waiting, the one to go next; None when others' limits or the models keep all of them."""
        lanes = [lane for lane in tenant.lanes if (lane[1] or not self._is_full) and not (held and lane[0] == 2)]
        if not lanes:
            return None
        first = min(lanes, key=lambda lane: (lane[0], tenant.lanes[lane][0]))
        return self._waiting[tenant.lanes[first][0][1]]

    @property
    def _is_full(self) -> bool:
        return self.policy.limit is not None and self._counted >= self.policy.limit

    def find(self, uid: str) -> Order | None:
        """Of one that waits or runs."""
        return self._running.get(uid) or self._waiting.get(uid)

    def runs(self, uid: str) -> bool:
        return uid in self._running

    def place(self, uid: str) -> int:
        """Among the waiting of its tenant: 1 goes first. 0 when it does not wait."""
        order = self._waiting.get(uid)
        if order is None:
            return 0
        lanes = self._of(order.tenant).lanes
        rank = _RANKS[order.priority]
        return 1 + sum(
            len(keys) if lane[0] < rank else bisect_left(keys, order.key)
            for lane, keys in lanes.items()
            if lane[0] <= rank
        )

    def explain(self, uid: str, cold_held: Collection[str] = ()) -> Hold:
        """Why a waiting one has no slot."""
        order = self._waiting[uid]
        if order.priority == "Cold" and order.tenant in cold_held:
            return "ColdHeldBack"
        return "GlobalLimit" if self._of(order.tenant).has_room else "TenantLimit"

    def share(self, tenant: str) -> float:
        """Of the workers, by weight, among the tenants that want or have some now. 0 to 1."""
        wanting = {name: t.terms.weight for name, t in self._tenants.items() if t.lanes or t.running or name == tenant}
        return wanting.get(tenant, Terms().weight) / max(1, sum(wanting.values()))

    def running(self) -> Iterator[Order]:
        return iter(self._running.values())

    def waiting(self) -> Iterator[Order]:
        return iter(self._waiting.values())

    def count_tenants(self) -> int:
        """Those that a decision may have to look at."""
        return len(self._tenants)

    def copy(self) -> "FairShare":
        """To try out what would happen."""
        return FairShare(
            self.policy,
            self.books.copy(),
            {name: tenant.copy() for name, tenant in self._tenants.items() if tenant.lanes or tenant.running},
            dict(self._waiting),
            dict(self._running),
            self._counted,
            self._waiting_elsewhere,
        )

    def forget_tenants(self, is_known: Callable[[str], bool]) -> None:
        """Those that are gone, with nothing waiting or running."""
        for name in [n for n, t in self._tenants.items() if not (t.lanes or t.running or is_known(n))]:
            del self._tenants[name]

    def _of(self, tenant: str) -> _Tenant:
        return self._tenants.setdefault(tenant, _Tenant())

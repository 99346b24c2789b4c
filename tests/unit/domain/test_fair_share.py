"""Whose job goes next: the invariants, over any sequence of what can happen, and each rule by an example."""

from dataclasses import replace
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from typing_extensions import override

from dreamhub.domain.fair_books import Books
from dreamhub.domain.fair_share import URGENT_FACTOR, FairShare, Order, Policy, Priority, Terms

HALF_LIFE = 600.0
TENANTS = ("a", "b", "c", "d")
RANKS = {"Urgent": 0, "Normal": 1, "Cold": 2}
LIMITS = st.none() | st.integers(0, 5)


def fair(limit: int | None = None, ageing: float = 900.0, half_life: float = HALF_LIFE) -> FairShare:
    return FairShare(Policy(limit, ageing), Books(half_life))


def order(number: int, tenant: str = "a", priority: Priority = "Normal", cost: int = 10) -> Order:
    return Order(f"{tenant}{number}", tenant, float(number), cost, priority)


def uids(orders: list[Order]) -> list[str]:
    return [order.uid for order in orders]


class Machine(RuleBasedStateMachine):
    """Against the rules said plainly: a look at every job for every decision."""

    @initialize(
        limit=LIMITS,
        terms=st.fixed_dictionaries(dict.fromkeys(TENANTS, st.builds(Terms, st.integers(1, 300), LIMITS))),
    )
    def begin(self, limit: int | None, terms: dict[str, Terms]) -> None:
        self.share, self.terms, self.now, self.number = fair(limit), terms, 0.0, 0
        self.books = Books(HALF_LIFE)
        self.waiting: dict[str, Order] = {}
        self.running: dict[str, Order] = {}
        for tenant, its in terms.items():
            self.share.set_terms(tenant, its)

    @rule(
        tenant=st.sampled_from(TENANTS),
        priority=st.sampled_from(get_args(Priority)),
        cost=st.integers(0, 1000),
        elsewhere=st.booleans(),
    )
    def wait(self, *, tenant: str, priority: Priority, cost: int, elsewhere: bool) -> None:
        self.number += 1
        new = Order(f"j{self.number:04}", tenant, self.now - self.number % 3, cost, priority, elsewhere)
        self.waiting[new.uid] = new
        self.share.wait(new)

    @rule(data=st.data(), priority=st.sampled_from(get_args(Priority)))
    def change_priority(self, data: st.DataObject, priority: Priority) -> None:
        if self.waiting:
            uid = data.draw(st.sampled_from(sorted(self.waiting)))
            self.waiting[uid] = replace(self.waiting[uid], priority=priority)
            self.share.wait(self.waiting[uid])

    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        if self.waiting:
            uid = data.draw(st.sampled_from(sorted(self.waiting)))
            del self.waiting[uid]
            self.share.withdraw(uid)

    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        if self.running:
            uid = data.draw(st.sampled_from(sorted(self.running)))
            ended = self.running.pop(uid)
            self.share.release(uid)
            for books in (self.share.books, self.books):
                books.settle(uid, ended.cost, self.now)

    @rule(tenant=st.sampled_from(TENANTS), limit=LIMITS)
    def change_limit(self, tenant: str, limit: int | None) -> None:
        self.terms[tenant] = replace(self.terms[tenant], limit=limit)
        self.share.set_terms(tenant, self.terms[tenant])

    @rule(seconds=st.integers(1, 2000))
    def pass_time(self, seconds: int) -> None:
        self.now += seconds

    @rule(held=st.sets(st.sampled_from(TENANTS)))
    def grant(self, held: set[str]) -> None:
        expected = []
        while (best := self._find_best(held)) is not None:
            expected.append(best)
            self.running[best.uid] = self.waiting.pop(best.uid)
            self.books.charge(best.uid, best.tenant, best.charge)
            assert self._counts(best.tenant, spare=0)
        assert self.share.grant(self.now, held) == expected

    def _find_best(self, held: set[str]) -> Order | None:
        """The first of each tenant that may go, then the best of these."""
        heads: dict[str, Order] = {}
        for order in sorted(self.waiting.values(), key=lambda o: (RANKS[o.priority], o.created_at, o.uid)):
            if self._has_room(order) and not (order.priority == "Cold" and order.tenant in held):
                heads.setdefault(order.tenant, order)
        top = min((RANKS[order.priority] for order in heads.values()), default=0)
        return min(heads.values(), key=lambda head: self._urgency(head, top), default=None)

    def _urgency(self, order: Order, top: int) -> tuple[float, ...]:
        aged = max(top, RANKS[order.priority] - int(max(0.0, self.now - order.created_at) // 900))
        return aged, self.books.usage(order.tenant, self.now) / self.terms[order.tenant].weight, order.created_at

    def _has_room(self, order: Order) -> bool:
        counted = sum(not running.elsewhere for running in self.running.values())
        most = self.share.policy.limit
        return self._counts(order.tenant, spare=1) and (order.elsewhere or most is None or counted < most)

    def _counts(self, tenant: str, spare: int) -> bool:
        limit = self.terms[tenant].limit
        return limit is None or sum(running.tenant == tenant for running in self.running.values()) + spare <= limit

    @invariant()
    def agrees(self) -> None:
        if not hasattr(self, "share"):
            return
        assert {order.uid for order in self.share.running()} == self.running.keys()
        assert {order.uid for order in self.share.waiting()} == self.waiting.keys()
        for tenant in TENANTS:
            mine = [order for order in self.waiting.values() if order.tenant == tenant]
            mine.sort(key=lambda o: (RANKS[o.priority], o.created_at, o.uid))
            assert [self.share.place(order.uid) for order in mine] == list(range(1, len(mine) + 1))
            in_flight = sum(order.charge for order in self.running.values() if order.tenant == tenant)
            assert sum(c.cost for c in self.share.books.charges.values() if c.tenant == tenant) == in_flight


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@given(
    weights=st.lists(st.integers(1, 500), min_size=2, max_size=5),
    costs=st.lists(st.integers(1, 2000), min_size=40, max_size=40),
    slots=st.integers(1, 6),
)
def test_tenants_that_always_want_more_get_what_their_weights_say(
    weights: list[int], costs: list[int], slots: int
) -> None:
    """Of two of them, neither is ahead of the other by more than one job, in use for its weight."""
    share = fair(slots)
    tenants = {f"t{number}": weight for number, weight in enumerate(weights)}
    for tenant, weight in tenants.items():
        share.set_terms(tenant, Terms(weight))
        for number, cost in enumerate(costs):
            share.wait(order(number, tenant, cost=cost))
    running: list[Order] = []
    while all(any(o.tenant == tenant for o in share.waiting()) for tenant in tenants):
        running += share.grant(0.0)
        shares = {tenant: share.books.usage(tenant, 0.0) / weight for tenant, weight in tenants.items()}
        for one, weight in tenants.items():
            assert all(shares[one] - shares[other] <= max(costs) / weight + 1e-9 for other in tenants)
        ended = running.pop(0)
        share.release(ended.uid)
        share.books.settle(ended.uid, ended.cost, 0.0)


@given(rivals=st.integers(1, 5), cost=st.integers(1, 1000), priority=st.sampled_from(get_args(Priority)))
def test_nobody_starves_beside_endless_urgent_work(rivals: int, cost: int, priority: Priority) -> None:
    """One slot, a job a minute. Once it has aged, it waits at most until each rival had one job."""
    share = fair(1, ageing=600.0)
    victim = Order("victim", "small", 0.0, cost, priority)
    share.wait(victim)
    began = None
    for minute in range(200):
        now = minute * 60.0
        for rival in range(rivals):
            share.wait(Order(f"r{rival}-{minute}", f"rival{rival}", now, 100, "Urgent"))
        (granted,) = share.grant(now)
        if granted is victim:
            began = minute
            break
        share.release(granted.uid)
        share.books.settle(granted.uid, granted.charge, now)
    assert began is not None
    assert began <= 10 * RANKS[priority] + rivals


def test_an_admission_counts_at_once_and_not_only_when_it_has_been_used() -> None:
    share = fair(2)
    for tenant in ("a", "b"):
        for number in (1, 2):
            share.wait(order(number, tenant, cost=1000))
    assert uids(share.grant(10.0)) == ["a1", "b1"]


def test_what_was_used_fades_by_half_in_each_half_life() -> None:
    books = Books(HALF_LIFE)
    books.charge("j", "a", 800)
    assert books.usage("a", 10 * HALF_LIFE) == 800
    books.settle("j", 800, 0.0)
    assert books.usage("a", HALF_LIFE) == pytest.approx(400)
    assert books.usage("a", 3 * HALF_LIFE) == pytest.approx(100)


def test_priorities_within_a_tenant_and_between_tenants() -> None:
    share = fair(0)
    priorities: tuple[Priority, ...] = ("Cold", "Normal", "Urgent", "Urgent")
    for number, priority in enumerate(priorities, 1):
        share.wait(order(number, "a", priority))
    share.wait(order(5, "b", "Urgent"))
    share.wait(order(6, "b", "Normal"))
    assert [share.place(f"a{number}") for number in (1, 2, 3, 4)] == [4, 3, 1, 2]
    share.policy = Policy(None)
    assert uids(share.grant(10.0)) == ["a3", "b5", "a4", "b6", "a2", "a1"]


def test_age_makes_equal_to_urgent_work_and_never_goes_before_a_newcomer_of_the_same_priority() -> None:
    share = fair(1, ageing=600.0)
    share.books.charge("before", "busy", 100)
    share.wait(order(1, "busy"))
    share.wait(order(1000, "new"))
    assert uids(share.grant(1000.0)) == ["new1000"]
    share.release("new1000")
    share.books.charge("more", "urgent", 200)
    share.wait(order(1001, "urgent", "Urgent"))
    share.wait(order(1002, "new"))
    assert uids(share.grant(1002.0)) == ["busy1"]


def test_urgent_work_is_charged_more() -> None:
    assert order(1, priority="Urgent", cost=10).charge == 10 * URGENT_FACTOR
    assert order(1, priority="Cold", cost=0).charge == 1


def test_a_priority_can_be_changed_while_it_waits() -> None:
    share = fair(0)
    share.wait(order(1))
    share.wait(order(2))
    share.wait(order(2, priority="Urgent"))
    assert (share.place("a2"), share.place("a1")) == (1, 2)


def test_cold_work_of_some_tenants_is_held_back_and_their_other_work_is_not() -> None:
    share = fair()
    share.wait(order(1, "a", "Cold"))
    share.wait(order(2, "a"))
    share.wait(order(3, "b", "Cold"))
    assert uids(share.grant(10.0, {"a"})) == ["a2", "b3"]
    assert share.explain("a1", {"a"}) == "ColdHeldBack"
    assert uids(share.grant(10.0)) == ["a1"]


def test_the_reason_is_the_tenants_own_limit_or_that_of_all() -> None:
    share = fair(1)
    share.set_terms("a", Terms(limit=1))
    for number, tenant in ((1, "a"), (2, "a"), (3, "b")):
        share.wait(order(number, tenant))
    share.grant(10.0)
    assert (share.explain("a2"), share.explain("b3")) == ("TenantLimit", "GlobalLimit")


def test_a_lowered_limit_takes_nothing_away_and_gives_nothing() -> None:
    share = fair()
    for number in (1, 2, 3):
        share.wait(order(number))
    assert len(share.grant(10.0)) == 3
    share.set_terms("a", Terms(limit=2))
    share.wait(order(4))
    assert share.grant(10.0) == []
    share.release("a1")
    assert share.grant(10.0) == []
    share.release("a2")
    assert uids(share.grant(10.0)) == ["a4"]


def test_shares_are_of_those_who_want_something() -> None:
    share = fair(1)
    share.set_terms("a", Terms(100))
    share.set_terms("b", Terms(300))
    share.set_terms("idle", Terms(1000))
    share.wait(order(1, "a"))
    assert share.share("a") == 1
    share.wait(order(2, "b"))
    assert share.share("a") == pytest.approx(0.25)


def test_a_copy_changes_nothing() -> None:
    share = fair(1)
    share.wait(order(1))
    trial = share.copy()
    trial.grant(10.0)
    assert (share.runs("a1"), share.place("a1"), share.books.usage("a", 0.0)) == (False, 1, 0)


def test_terms_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="weight 0"):
        Terms(0)


class CountingBooks(Books):
    looks: int = 0

    @override
    def usage(self, tenant: str, now: float) -> float:
        self.looks += 1
        return super().usage(tenant, now)


class CountingTime(float):
    compared: int = 0

    @override
    def __lt__(self, other: float) -> bool:
        CountingTime.compared += 1
        return super().__lt__(other)

    @override
    def __eq__(self, other: object) -> bool:
        CountingTime.compared += 1
        return super().__eq__(other)

    __hash__ = float.__hash__


@pytest.mark.parametrize("capped", [True, False])
def test_five_thousand_blocked_jobs_make_no_work_for_another_tenants_first(*, capped: bool) -> None:
    """Counted, not timed: looks at tenants, and comparisons of jobs."""
    books = CountingBooks(HALF_LIFE)
    share = FairShare(Policy(2), books)
    share.set_terms("heavy", Terms(limit=1 if capped else None))
    CountingTime.compared = 0
    for number in range(5_000):
        share.wait(Order(f"h{number}", "heavy", CountingTime(number), 1000))
    assert CountingTime.compared <= 5_000 * 2 * 13
    share.grant(6000.0)
    books.looks = CountingTime.compared = 0
    if not capped:
        share.release("h0")
    share.wait(Order("first", "other", CountingTime(6000.0), 10))
    assert uids(share.grant(6000.0)) == ["first"]
    assert share.place("h4999") == (4_999 if capped else 4_998)
    assert books.looks <= 2 * len(("heavy", "other"))
    assert CountingTime.compared <= 5 * 13

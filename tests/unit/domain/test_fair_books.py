"""The books under death: whatever is interrupted, what is looked through afterwards ends in the same books."""

from collections import Counter
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from dreamhub.domain.fair_books import Balance, Books, Charge, Entry, plan_corrections

NOW = 1000.0
COSTS = {"a1": 700, "a2": 30, "b1": 1}
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["move", "move", "end", "look"]),
        st.sampled_from(sorted(COSTS)),
        st.integers(0, 400),
        st.booleans(),
    ),
    max_size=40,
)
Step = tuple[str, str, int, bool]


@dataclass
class World:
    """Jobs and what they have used, and an operator that dies between any two of its writes."""

    books: Books = field(default_factory=lambda: Books(600.0))
    state: dict[str, str] = field(default_factory=lambda: dict.fromkeys(COSTS, "waits"))
    used: Counter[str] = field(default_factory=Counter)

    def play(self, step: Step, *, may_die: bool) -> None:
        kind, uid, amount, dies = step
        dies = dies and may_die
        match kind, self.state[uid]:
            case "move", "waits":
                self.books.charge(uid, uid[0], COSTS[uid])
                if not dies:
                    self.state[uid] = "runs"
            case "move", "runs":
                self._end(uid, "waits", amount)
                if not dies:
                    self.books.pause(uid, self.used[uid], NOW)
            case "end", "runs":
                self._end(uid, "over", amount)
                if not dies:
                    self.books.settle(uid, self.used[uid], NOW)
            case "look", _:
                self.look(dies_after=amount if dies else None)
            case _:
                pass

    def look(self, dies_after: int | None = None) -> None:
        for number, entry in enumerate(self.plan()):
            if number == dies_after:
                return
            enter(self.books, entry)

    def plan(self) -> list[Entry]:
        running = {uid: (uid[0], COSTS[uid]) for uid, state in self.state.items() if state == "runs"}
        unfinished = {uid for uid, state in self.state.items() if state != "over"}
        return plan_corrections(self.books.charges, running, unfinished, self.used)

    def _end(self, uid: str, state: str, amount: int) -> None:
        self.state[uid], self.used[uid] = state, self.used[uid] + amount


def enter(books: Books, entry: Entry) -> None:
    match entry.kind:
        case "Charge":
            books.charge(entry.uid, entry.tenant, entry.amount or 0)
        case "Pause":
            books.pause(entry.uid, entry.amount or 0, NOW)
        case "Settle":
            books.settle(entry.uid, entry.amount, NOW)


@given(steps=STEPS)
def test_deaths_between_any_two_writes_leave_the_same_books(steps: list[Step]) -> None:
    mortal, immortal = World(), World()
    for step in steps:
        mortal.play(step, may_die=True)
        immortal.state, immortal.used = dict(mortal.state), mortal.used.copy()
        immortal.look()
    mortal.look()
    assert mortal.plan() == []
    for world in (mortal, immortal):
        assert_exact(world)
        for uid in COSTS:
            world.play(("end", uid, 0, False), may_die=False)
        assert_exact(world)
    assert mortal.books.charges == immortal.books.charges


def assert_exact(world: World) -> None:
    """What is charged is in flight, and what was settled was used: no more, no less."""
    charges = world.books.charges
    for uid, state in world.state.items():
        settled = charges[uid].settled if uid in charges else 0
        if state == "runs":
            assert charges[uid].cost == max(1, COSTS[uid] - settled)
        else:
            assert uid not in charges or charges[uid].cost == 0
    in_hand = {uid: charges[uid].settled for uid, state in world.state.items() if state == "runs"}
    for tenant in "ab":
        known = sum(in_hand.get(uid, used) for uid, used in world.used.items() if uid[0] == tenant)
        balance = world.books.balances.get(tenant, Balance(0.0, NOW))
        assert round(balance.consumed) == known


@given(steps=STEPS)
def test_every_step_may_come_twice(steps: list[Step]) -> None:
    once, twice = World(), World()
    for step in steps:
        once.play(step, may_die=False)
        before = twice.books.copy(), dict(twice.state), twice.used.copy()
        twice.play(step, may_die=False)
        repeated = World(twice.books, before[1], before[2])
        repeated.play(step, may_die=False)
    assert once.books == twice.books


def test_a_job_of_which_nothing_is_known_costs_its_charge() -> None:
    books = Books(600.0)
    books.charge("a1", "a", 70)
    for entry in plan_corrections(books.charges, {}, set(), {}):
        enter(books, entry)
    assert (books.usage("a", NOW), books.charges) == (70, {})


def test_books_go_on_from_what_was_stored() -> None:
    books = Books(600.0, {"a1": Charge("a", 70)}, {"a": Balance(100.0, NOW)})
    assert books.usage("a", NOW + 600) == 120


def test_a_clock_that_goes_back_does_no_harm() -> None:
    books = Books(600.0, {"a1": Charge("a", 70)}, {"a": Balance(100.0, NOW)})
    books.settle("a1", 50, NOW - 600)
    assert books.balances == {"a": Balance(150.0, NOW)}

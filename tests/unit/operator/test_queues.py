"""Places, slots and books together: what is given back, who is woken, and what is left right after any death."""

from collections.abc import Awaitable
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typing_extensions import override

from dreamhub.domain.fair_books import Balance, Charge, Entry
from dreamhub.errors import UnavailableError
from dreamhub.sql.fair_books import Moment
from dreamhub_operator.admission_settings import Admission
from dreamhub_operator.reconcile.admission import BASE_TOKENS
from dreamhub_operator.reconcile.queues import Queues
from dreamhub_operator.watched import Watched
from tests.unit.operator.builders import job_state, run_status
from tests.unit.operator.ledgers import MemoryLedger
from tests.unit.operator.queued import end, job, watch
from tests.unit.operator.quotas import MemoryQuotas

NOW = 1_800_000_000.0


def queues_of(watched: Watched, ledger: MemoryLedger, quotas: MemoryQuotas | None = None) -> Queues:
    return Queues(watched, quotas or MemoryQuotas(), ledger, Admission(concurrent_jobs=2), lambda: NOW)


async def begin(queues: Queues, number: int) -> int:
    """What a reconcile does up to the creation of the Job; the place."""
    await queues.open()
    uid = f"j{number}"
    place = queues.slots.claim(job(queues.watched, number)).place
    if place == 0:
        await queues.charge(uid)
        queues.watched.jobs[uid] = job_state()
    queues.slots.settle(uid)
    return place


async def test_an_end_wakes_the_next_and_gives_back_the_place() -> None:
    watched, quotas, ledger = watch(1, 2, 3, limit=1), MemoryQuotas(), MemoryLedger()
    queues = queues_of(watched, ledger, quotas)
    assert await queues.places.has_place("acme", "j1")
    assert [await begin(queues, number) for number in (1, 2, 3)] == [0, 1, 2]
    queues.places.take_entered()
    assert await queues.give_back("j1") == []
    end(watched, 1)
    assert await queues.give_back("j1") == ["j2"]
    assert set(quotas.rows) == {"n2", "n3"}
    assert [entry.kind for entry in ledger.entered] == ["Charge", "Settle"]


async def test_nothing_begins_before_the_books_are_read() -> None:
    ledger = MemoryLedger()
    ledger.down = True
    queues = queues_of(watch(1), ledger)
    with pytest.raises(UnavailableError):
        await begin(queues, 1)
    assert queues.grant() == []
    ledger.down = False
    assert await begin(queues, 1) == 0


async def test_what_could_not_be_written_is_written_by_the_sweep() -> None:
    watched, ledger = watch(1), MemoryLedger()
    queues = queues_of(watched, ledger)
    await begin(queues, 1)
    watched.runs["j1"] = run_status(tokens=500)
    end(watched, 1)
    ledger.down = True
    with pytest.raises(UnavailableError):
        await queues.give_back("j1")
    ledger.down = False
    await queues.sweep()
    assert ledger.books.charges == {}
    assert ledger.books.usage("acme", NOW) == BASE_TOKENS + 500


async def test_a_new_limit_wakes_those_that_may_go_now_and_one_outside() -> None:
    watched, quotas, ledger = watch(1, 2, 3, limit=1), MemoryQuotas(), MemoryLedger()
    quotas.room = 2
    queues = queues_of(watched, ledger, quotas)
    await queues.places.has_place("acme", "j1")
    queues.places.take_entered()
    assert [await begin(queues, number) for number in (1, 2)] == [0, 1]
    watched.put_tenant({"metadata": {"name": "acme", "uid": "t1", "resourceVersion": "9"}, "spec": {}})
    assert queues.reconsider("acme") == ["j2", "j3"]


async def test_books_of_tenants_that_are_gone_are_closed() -> None:
    ledger = MemoryLedger()
    ledger.books.balances["gone"] = Balance(5.0, NOW)
    ledger.books.charge("lost", "acme", 70)
    queues = queues_of(watch(), ledger)
    await queues.sweep()
    assert ledger.books.balances == {"acme": Balance(70.0, NOW)}
    assert ledger.books.charges == queues.slots.share.books.charges == {}


@dataclass
class PickyLedger(MemoryLedger):
    """Cannot write what one job has used."""

    def __post_init__(self) -> None:
        MemoryLedger.__init__(self)

    @override
    async def enter(self, entry: Entry, moment: Moment) -> None:
        if entry.uid == "odd":
            raise OverflowError("value out of int64 range")
        await super().enter(entry, moment)


async def test_an_entry_that_cannot_be_written_keeps_no_other_from_its_turn() -> None:
    ledger = PickyLedger()
    for uid in ("odd", "lost"):
        ledger.books.charge(uid, "acme", 70)
    queues = queues_of(watch(), ledger)
    await queues.sweep()
    assert set(ledger.books.charges) == {"odd"}
    assert ledger.books.balances == {"acme": Balance(70.0, NOW)}


class DiedError(BaseException):
    """The operator is no more."""


@dataclass
class MortalLedger(MemoryLedger):
    """Dies before or after one of its writes."""

    lives: int = 1_000
    before: bool = True

    def __post_init__(self) -> None:
        MemoryLedger.__init__(self)

    @override
    async def enter(self, entry: Entry, moment: Moment) -> None:
        self.lives -= 1
        if self.lives == 0 and self.before:
            raise DiedError
        await super().enter(entry, moment)
        if self.lives == 0:
            raise DiedError


@dataclass
class Story:
    """Three jobs of one tenant in two slots, by operators that die; Kubernetes and the database live on."""

    ledger: MortalLedger
    watched: Watched = field(default_factory=lambda: watch(1, 2, 3))
    queues: Queues = field(init=False)

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        self.queues = queues_of(self.watched, self.ledger)

    async def play(self, steps: list[tuple[str, int]]) -> None:
        for step, number in steps:
            await self._survive(self._step(step, number))
        for number in (1, 2, 3):
            end(self.watched, number)
            await self._survive(self.queues.give_back(f"j{number}"))
        await self._survive(self.queues.sweep())
        await self.queues.sweep()

    async def _survive(self, work: Awaitable[object]) -> None:
        try:
            await work
        except DiedError:
            self.ledger.lives = 1_000
            self.start()

    async def _step(self, step: str, number: int) -> None:
        uid = f"j{number}"
        state = self.watched.jobs.get(uid)
        match step:
            case "begin" if state is None or state.suspended:
                await begin(self.queues, number)
            case "suspend" if state is not None and not state.complete:
                self.watched.jobs[uid] = job_state(suspended=True)
            case "work" if state is not None and not (state.suspended or state.complete):
                tokens = self.watched.runs[uid].progress.tokens if uid in self.watched.runs else 0
                self.watched.runs[uid] = run_status(tokens=tokens + 100 * number)
            case "end" if state is not None:
                end(self.watched, number)
            case _:
                await self.queues.sweep()
        await self.queues.give_back(uid)


STEPS = st.lists(
    st.tuples(st.sampled_from(["begin", "begin", "work", "suspend", "end", "sweep"]), st.integers(1, 3)), max_size=25
)


@settings(max_examples=150, deadline=None)
@given(steps=STEPS, lives=st.integers(1, 12), before=st.booleans())
async def test_a_death_at_any_write_ends_in_the_books_of_a_life_without_one(
    steps: list[tuple[str, int]], lives: int, *, before: bool
) -> None:
    """What each job has used is in them once: not what was foreseen, not twice, not less."""
    story = Story(MortalLedger(lives, before))
    await story.play(steps)
    assert story.ledger.books.charges == {}
    begun = {uid for uid in ("j1", "j2", "j3") if uid in story.watched.jobs}
    used = {uid: story.watched.runs[uid].progress.tokens for uid in begun if uid in story.watched.runs}
    known = sum(BASE_TOKENS + tokens for tokens in used.values())
    guessed = [entry for entry in story.ledger.entered if entry.kind == "Settle" and entry.amount is None]
    charges = {entry.uid: entry.amount or 0 for entry in story.ledger.entered if entry.kind == "Charge"}
    expected = known + sum(charges.get(uid, 0) for uid in {entry.uid for entry in guessed})
    assert round(story.ledger.books.usage("acme", NOW)) == expected


async def test_a_job_seen_before_any_of_this_costs_what_it_is_likely_to() -> None:
    watched, ledger = watch(1), MemoryLedger()
    watched.jobs["j1"] = job_state()
    queues = queues_of(watched, ledger)
    await queues.sweep()
    assert ledger.books.charges == {"j1": Charge("acme", BASE_TOKENS)}

"""The election against a Lease in memory, with a clock that the test moves."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

import pytest
from typing_extensions import override

from dreamhub.errors import ConflictError, UnavailableError
from dreamhub_operator.election import Election, LeaseLostError, build_lease
from dreamhub_operator.kinds import Manifest

if TYPE_CHECKING:
    from dreamhub_operator.cluster import Cluster

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class FakeCluster:
    """One Lease, with the API server's conflicts."""

    lease: Manifest | None = None
    version: int = 0
    down: bool = False
    hangs: int = 0
    """So many of the next writes get no answer, though they are done."""
    looks: int = 0

    def _check(self) -> None:
        if self.down:
            raise UnavailableError("down")

    async def get(self, _: object) -> Manifest | None:
        self._check()
        self.looks += 1
        return self.lease

    async def create(self, lease: Manifest) -> Manifest:
        self._check()
        if self.lease is not None:
            raise ConflictError("exists")
        return self._store(lease)

    async def replace(self, lease: Manifest) -> Manifest:
        self._check()
        if lease["metadata"].get("resourceVersion") != str(self.version):
            raise ConflictError("changed")
        stored = self._store(lease)
        if self.hangs:
            self.hangs -= 1
            await asyncio.Event().wait()
        return stored

    def _store(self, lease: Manifest) -> Manifest:
        self.version += 1
        self.lease = {**lease, "metadata": {**lease["metadata"], "resourceVersion": str(self.version)}}
        return self.lease


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Arena:
    cluster: FakeCluster = field(default_factory=FakeCluster)
    clock: Clock = field(default_factory=Clock)

    def candidate(self, name: str) -> Election:
        return Election(cast("Cluster", self.cluster), name, "ns", 15, clock=self.clock)


async def test_the_first_takes_it_and_the_second_waits() -> None:
    arena = Arena()
    first, second = arena.candidate("a"), arena.candidate("b")
    assert await first._try()
    assert not await second._try()


async def test_it_changes_hands_only_after_standing_still_for_its_whole_time() -> None:
    arena = Arena()
    first, second = arena.candidate("a"), arena.candidate("b")
    await first._try()
    await second._try()
    arena.clock.now += 14
    assert await first._try()
    assert not await second._try()
    arena.clock.now += 15
    assert not await second._try()
    arena.clock.now += 1
    assert await second._try()
    assert second.epoch == first.epoch + 1
    assert not await first._try()


async def test_a_restarted_holder_takes_its_own_at_once() -> None:
    arena = Arena()
    await arena.candidate("a")._try()
    assert await arena.candidate("a")._try()


async def test_a_released_lease_is_free_at_once() -> None:
    arena = Arena()
    first, second = arena.candidate("a"), arena.candidate("b")
    await first._try()
    await first.release()
    assert await second._try()


async def test_two_at_the_same_moment_are_one() -> None:
    arena = Arena()
    results = await asyncio.gather(arena.candidate("a")._try(), arena.candidate("b")._try())
    assert sorted(results) == [False, True]


class HurriedLoop(asyncio.SelectorEventLoop):
    """Its time passes only while all sleep: no test waits for it, and nobody comes too late on a busy machine."""

    def __init__(self) -> None:
        self.now = 1000.0
        super().__init__()

    @override
    def time(self) -> float:
        return self.now

    def _run_once(self) -> None:
        own: Any = self
        base: Any = super()  # typeshed leaves out how a loop runs
        if not own._ready:
            self.now = max(self.now, min(timer.when() for timer in own._scheduled if not timer.cancelled()))
        base._run_once()


def play(scene: Callable[[Arena, Election], Awaitable[None]]) -> None:
    """With a holder whose clock is the loop's."""

    async def act() -> None:
        arena = Arena()
        election = Election(cast("Cluster", arena.cluster), "a", "ns", 15, clock=asyncio.get_running_loop().time)
        await election.acquire()
        await scene(arena, election)

    with asyncio.Runner(loop_factory=HurriedLoop) as runner:
        runner.run(act())


def test_without_the_api_server_the_holder_stops_before_another_may_begin() -> None:
    async def scene(arena: Arena, election: Election) -> None:
        began = election.clock()
        arena.cluster.down = True
        with pytest.raises(LeaseLostError):
            await election.hold()
        assert 9 < election.clock() - began < 15

    play(scene)


def test_a_request_that_hangs_is_given_up_while_others_still_fit_before_the_deadline() -> None:
    async def scene(arena: Arena, election: Election) -> None:
        arena.cluster.hangs = 2
        holding = asyncio.create_task(election.hold())
        async with asyncio.timeout(300):
            while arena.cluster.version < 6:
                assert not holding.done()
                await asyncio.sleep(0.1)
        holding.cancel()

    play(scene)


async def test_a_holder_renews_by_one_request_and_looks_again_when_somebody_wrote_meanwhile() -> None:
    arena = Arena()
    election = arena.candidate("a")
    assert [await election._try() for _ in range(5)] == [True] * 5
    assert arena.cluster.looks == 1
    assert arena.cluster.lease is not None
    arena.cluster._store({**arena.cluster.lease, "metadata": {"labels": {"by": "hand"}}})
    assert await election._try()
    assert arena.cluster.looks == 2
    assert arena.cluster.lease["metadata"]["labels"] == {"by": "hand"}


@pytest.mark.parametrize(
    ("spec", "transitions"),
    [({"holderIdentity": "a", "leaseTransitions": 3}, 3), ({"holderIdentity": "b", "leaseTransitions": 3}, 4), ({}, 1)],
)
def test_each_change_of_holder_counts(spec: dict[str, Any], transitions: int) -> None:
    live = {"metadata": {"name": "x", "managedFields": []}, "spec": spec}
    lease = build_lease(live, "a", "ns", 15, NOW)
    assert lease["spec"]["leaseTransitions"] == transitions
    assert "managedFields" not in lease["metadata"]


def test_times_are_utc_with_microseconds() -> None:
    moment = NOW.astimezone(tz=None) + timedelta(microseconds=5)
    lease = build_lease(None, "a", "ns", 15, moment)
    assert lease["spec"]["renewTime"] == "2026-01-01T00:00:00.000005Z"

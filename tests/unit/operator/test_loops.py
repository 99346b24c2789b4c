"""Errors of one loop, or of one tenant, stop nothing else; the loss of the Lease stops everything."""

import asyncio
import time
from collections.abc import Collection, Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest

from dreamhub.domain.progress import Progress
from dreamhub.sql.runs import RunStatus
from dreamhub_operator import progress
from dreamhub_operator.election import LeaseLostError
from dreamhub_operator.loops import Heartbeat, Persistent
from dreamhub_operator.progress import ProgressPoll
from dreamhub_operator.service import Service

RUN = RunStatus(Progress(), 1, "1.0")


class Failing:
    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.runs = 0

    async def run(self) -> None:
        self.runs += 1
        if self.errors:
            raise self.errors.pop(0)


async def test_a_loop_that_fails_begins_again() -> None:
    failing = Failing(OverflowError("integer division result too large"), ValueError())
    await Persistent("models", failing.run, pause=0).run()
    assert failing.runs == 3


async def test_the_loss_of_the_lease_ends_a_loop() -> None:
    failing = Failing(LeaseLostError("gone"))
    with pytest.raises(LeaseLostError):
        await Persistent("tenants", failing.run, pause=0).run()


async def test_a_loop_can_be_cancelled() -> None:
    task = asyncio.create_task(Persistent("endless", asyncio.Event().wait, pause=0).run())  # type: ignore[arg-type]  # it never returns
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


class Runs:
    """Of three tenants; that of the second cannot be read."""

    async def fetch_runs(self, tenant: str, uids: Collection[str]) -> Mapping[str, RunStatus]:
        if tenant == "second":
            raise OverflowError
        return dict.fromkeys(uids, RUN)


async def test_one_tenant_does_not_stop_the_poll_of_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "POLL_SECONDS", 0)
    changed: list[str] = []
    done = asyncio.Event()
    poll = ProgressPoll(cast("Any", SimpleNamespace(runs={})), cast("Any", Runs()), changed.append)
    looks = iter([{"first": ["u1"], "second": ["u2"], "third": ["u3"]}])

    def find_running() -> dict[str, list[str]]:
        found = next(looks, None)
        if found is None:
            done.set()
        return found or {}

    monkeypatch.setattr(poll, "find_running", find_running)
    work = asyncio.create_task(poll.run())
    async with asyncio.timeout(30):
        await asyncio.wait([work, asyncio.create_task(done.wait())], return_when=asyncio.FIRST_COMPLETED)
    work.cancel()
    assert changed == ["u1", "u3"]


class Stage:
    """A leader whose loops fail at once, until its Lease is lost."""

    def __init__(self, failing: Failing) -> None:
        self.service = object.__new__(Service)
        self.released = False
        self.service.election = cast("Any", self)
        self.service.context = cast("Any", self)
        self.service.freshness = cast("Any", SimpleNamespace(start=lambda: None))
        self.cluster = self
        self.metrics = SimpleNamespace(leader=SimpleNamespace(set=lambda _: None))
        self.failing = failing
        vars(self.service)["_loops"] = lambda: iter([("fails", failing.run)])
        vars(self.service)["_watch"] = self.watch

    async def watch(self, _: object) -> None:
        await asyncio.Event().wait()

    async def fetch_username(self) -> str:
        return "operator"

    async def get(self, _: object) -> dict[str, Any]:
        return {"metadata": {"annotations": {"dreamhub.dev/operator": "operator"}}}

    async def acquire(self) -> None:
        """At once."""

    async def hold(self) -> None:
        while self.failing.errors:
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        raise LeaseLostError("renewed by another")


async def test_the_process_outlives_a_loop_and_ends_without_its_lease() -> None:
    failing = Failing(OverflowError())
    stage = Stage(failing)
    with pytest.raises(LeaseLostError):
        await asyncio.wait_for(stage.service.run(cast("Any", SimpleNamespace(event=asyncio.Event()))), 30)
    assert failing.runs == 1


async def test_whoever_keeps_the_event_loop_to_itself_is_noticed() -> None:
    waits: list[float] = []
    beating = asyncio.create_task(Heartbeat(waits.append, every=0.001).run())
    while not waits:
        await asyncio.sleep(0)
    until = time.monotonic() + 0.1
    while time.monotonic() < until:
        pass
    waits.clear()
    while not waits:
        await asyncio.sleep(0)
    beating.cancel()
    assert waits[0] >= 0.09

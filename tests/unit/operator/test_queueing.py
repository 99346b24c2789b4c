"""Who of a tenant's IngestJobs may run, who may enter, and who is woken when something ends."""

import asyncio
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from dreamhub.crd.ingest_job import IngestJob
from dreamhub.sql.quota import Admission
from dreamhub_operator.reconcile.admission import Candidate, rank
from dreamhub_operator.reconcile.places import UNCLAIMED_SECONDS, Places, find_dead_rows
from dreamhub_operator.reconcile.queues import Queues
from dreamhub_operator.reconcile.slots import Slots
from dreamhub_operator.watched import Watched
from tests.unit.operator.builders import job_state
from tests.unit.operator.quotas import MemoryQuotas
from tests.unit.operator.test_watched import tenant

CANDIDATES = st.lists(
    st.builds(Candidate, uid=st.text(min_size=1), created_at=st.sampled_from("abc"), holds=st.booleans()),
    unique_by=lambda candidate: candidate.uid,
)


def watch(*numbers: int, limit: int | None = None, **status: Any) -> Watched:
    """A tenant with IngestJobs j1, j2, ..., each a second younger than the one before."""
    watched = Watched()
    watched.put_tenant({**tenant(), "spec": {"plan": {"concurrentJobs": limit}}})
    for number in numbers:
        watched.put_ingest_job(manifest(number, **status))
    return watched


def manifest(number: int, version: int = 5, **status: Any) -> dict[str, Any]:
    return {
        "metadata": {
            "name": f"n{number}",
            "namespace": "dh-acme",
            "uid": f"j{number}",
            "resourceVersion": str(version),
            "creationTimestamp": f"2026-03-01T12:00:{number:02}Z",
        },
        "spec": {"source": {"inline": {"name": "a", "text": "b"}}},
        "status": status,
    }


def job(watched: Watched, number: int) -> IngestJob:
    return watched.ingest_jobs[f"j{number}"]


def end(watched: Watched, number: int) -> None:
    watched.put_ingest_job(manifest(number, version=9, phase="Succeeded"))
    if f"j{number}" in watched.jobs:
        watched.jobs[f"j{number}"] = job_state(complete=True)


@given(candidates=CANDIDATES, limit=st.none() | st.integers(0, 8))
def test_no_more_than_the_limit_and_no_fewer(candidates: list[Candidate], limit: int | None) -> None:
    places = rank(candidates, limit)
    held = sum(candidate.holds for candidate in candidates)
    starting = sum(place == 0 for place in places.values())
    waiting = len(candidates) - held
    assert starting == (waiting if limit is None else min(waiting, max(0, limit - held)))
    assert sorted(place for place in places.values() if place) == list(range(1, waiting - starting + 1))
    assert places == rank(list(reversed(candidates)), limit)


def test_the_oldest_first_and_ties_by_uid() -> None:
    three = [Candidate("b", "1", holds=False), Candidate("a", "1", holds=False), Candidate("c", "0", holds=False)]
    assert rank(three, 1) == {"c": 0, "a": 1, "b": 2}


def test_two_decisions_never_share_a_slot() -> None:
    watched = watch(1, 2, 3, limit=2)
    slots = Slots(watched)
    assert [slots.claim(job(watched, number), 2) for number in (1, 2, 3)] == [0, 0, 1]
    watched.jobs["j1"] = job_state()
    slots.settle("j1")
    assert slots.claim(job(watched, 3), 2) == 1
    slots.settle("j2")
    assert slots.find_next("dh-acme", 2) == ["j2"]


def test_an_older_one_that_comes_late_does_not_take_a_slot_that_is_kept() -> None:
    watched = watch(2)
    slots = Slots(watched)
    assert slots.claim(job(watched, 2), 1) == 0
    watched.put_ingest_job(manifest(1))
    assert slots.claim(job(watched, 1), 1) == 1
    slots.settle("j2")
    assert slots.note("j2") == "dh-acme"
    assert slots.claim(job(watched, 1), 1) == 0


def test_after_a_restart_running_jobs_hold_their_slots() -> None:
    watched = watch(1, 2, 3)
    watched.jobs["j3"] = job_state()
    assert Slots(watched).claim(job(watched, 1), 1) == 1
    watched.jobs["j3"] = job_state(suspended=True)
    assert Slots(watched).claim(job(watched, 1), 1) == 0


def test_one_that_waits_for_something_else_lets_others_go_first() -> None:
    watched = watch(1, 2)
    slots = Slots(watched)
    assert slots.find_place(job(watched, 2), 1) == 1
    slots.set_aside(job(watched, 1))
    assert slots.note("j1") == "dh-acme"
    assert slots.note("j1") is None
    assert slots.find_place(job(watched, 2), 1) == 0


def test_a_job_runs_until_it_says_so_even_when_its_ingest_job_is_gone() -> None:
    watched = watch(1, 2)
    watched.jobs["j1"] = job_state()
    slots = Slots(watched)
    assert slots.note("j1") is None
    watched.drop_ingest_job("j1")
    assert slots.claim(job(watched, 2), 1) == 1
    del watched.jobs["j1"]
    assert slots.note("j1") == "dh-acme"
    assert slots.claim(job(watched, 2), 1) == 0


def test_what_is_counted() -> None:
    watched = watch(1, 2, 3, 4)
    watched.jobs["j1"] = job_state()
    end(watched, 4)
    assert Slots(watched).count("dh-acme") == (1, 2)


async def test_an_end_wakes_the_next_and_gives_back_the_place() -> None:
    watched, quotas = watch(1, 2, 3, limit=1), MemoryQuotas()
    queues = Queues(watched, quotas)
    assert await queues.places.has_place("acme", "j1")
    queues.slots.claim(job(watched, 1), 1)
    watched.jobs["j1"] = job_state()
    queues.slots.settle("j1")
    assert await queues.give_back("j1") == []
    end(watched, 1)
    assert await queues.give_back("j1") == ["j2"]
    assert set(quotas.rows) == {"n2", "n3"}


async def test_one_call_enters_all_the_oldest_first() -> None:
    watched, quotas = watch(*range(1, 51)), MemoryQuotas()
    quotas.room = 3
    places = Places(watched, quotas)
    asked = await asyncio.gather(*(places.has_place("acme", f"j{number}") for number in range(50, 0, -1)))
    assert sum(asked) == 3
    assert set(quotas.rows) == {"n1", "n2", "n3"}
    assert quotas.asked == ["admit 50 of acme"]


async def test_those_who_ask_together_are_asked_for_once() -> None:
    watched, quotas = watch(*range(1, 51)), MemoryQuotas()
    places = Places(watched, quotas)
    assert all(await asyncio.gather(*(places.has_place("acme", f"j{number}") for number in range(1, 51))))
    assert quotas.asked == ["admit 50 of acme"]


async def test_room_is_looked_for_again_when_one_leaves() -> None:
    watched, quotas = watch(1, 2), MemoryQuotas()
    quotas.room = 1
    places = Places(watched, quotas)
    assert not await places.has_place("acme", "j2")
    assert await places.leave("j1") is None
    end(watched, 1)
    assert await places.leave("j1") == "acme"
    assert places.find_outside("acme") == ["j2"]
    assert await places.has_place("acme", "j2")


async def test_the_place_of_a_namesake_is_left_alone() -> None:
    watched, quotas = watch(1), MemoryQuotas()
    places = Places(watched, quotas)
    await places.has_place("acme", "j1")
    watched.drop_ingest_job("j1")
    body = manifest(1)
    body["metadata"]["uid"] = "other"
    watched.put_ingest_job(body)
    assert await places.leave("j1") == "acme"
    assert set(quotas.rows) == {"n1"}


async def test_a_row_is_dead_when_it_was_so_twice() -> None:
    watched, quotas = watch(1), MemoryQuotas()
    quotas.rows = {name: Admission(name, "gone", 0) for name in ("n1", "n2")}
    places = Places(watched, quotas)
    assert await places.sweep(["acme"]) == []
    assert await places.sweep(["acme"]) == ["acme"]
    assert set(quotas.rows) == {"n1"}


async def test_a_tenant_whose_rows_are_locked_does_not_stop_the_sweep() -> None:
    quotas = MemoryQuotas()
    quotas.rows = {"n1": Admission("n1", "gone", 0)}
    quotas.locked = {"acme"}
    places = Places(watch(), quotas)
    for _ in range(2):
        assert await places.sweep(["acme"]) == []
    assert await places.sweep(["acme", "other"]) == []
    assert await places.sweep(["acme", "other"]) == ["other"]
    quotas.rows = {"n1": Admission("n1", "gone", 0)}
    quotas.locked = set()
    assert await places.sweep(["acme"]) == ["acme"]


async def test_a_place_whose_row_was_removed_is_asked_for_again() -> None:
    watched, quotas = watch(1), MemoryQuotas()
    places = Places(watched, quotas)
    await places.has_place("acme", "j1")
    quotas.rows.clear()
    await places.sweep(["acme"])
    assert await places.has_place("acme", "j1")
    assert set(quotas.rows) == {"n1"}


def test_which_rows_are_dead() -> None:
    watched = watch(1, 2)
    end(watched, 2)
    jobs = {job.metadata.name: job for job in watched.ingest_jobs.values()}
    fresh = Admission("n9", None, UNCLAIMED_SECONDS - 1)
    rows = [Admission("n1", "j1", 0), Admission("n2", "j2", 0), fresh, replace(fresh, name="n8", age_seconds=999)]
    assert find_dead_rows(rows, jobs) == ["n2", "n8"]

"""Who of a tenant's IngestJobs may enter its queue, and who enters when something ends."""

import asyncio
from dataclasses import replace

from dreamhub.sql.quota import Admission
from dreamhub_operator.reconcile.places import AT_ONCE, UNCLAIMED_SECONDS, Places, find_dead_rows
from tests.unit.operator.queued import end, manifest, watch
from tests.unit.operator.quotas import MemoryQuotas


async def test_one_call_enters_all_the_oldest_first() -> None:
    watched, quotas = watch(*range(1, 51)), MemoryQuotas()
    quotas.room = 3
    places = Places(watched, quotas)
    asked = await asyncio.gather(*(places.has_place("acme", f"j{number}") for number in range(50, 0, -1)))
    assert sum(asked) == 3
    assert set(quotas.rows) == {"n1", "n2", "n3"}
    assert quotas.asked == ["admit 50 of acme"]
    assert (places.place_outside("acme", "j4"), places.place_outside("acme", "j50")) == (1, 47)


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
    await places.leave("j1")
    assert places.find_outside("acme", 9) == ["j2"]
    end(watched, 1)
    await places.leave("j1")
    assert places.take_entered() == ["j2"]
    assert places.find_outside("acme", 9) == []
    assert await places.has_place("acme", "j2")


async def test_the_place_of_a_namesake_is_left_alone() -> None:
    watched, quotas = watch(1), MemoryQuotas()
    places = Places(watched, quotas)
    await places.has_place("acme", "j1")
    watched.drop_ingest_job("j1")
    body = manifest(1)
    body["metadata"]["uid"] = "other"
    watched.put_ingest_job(body)
    await places.leave("j1")
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


async def test_thousands_outside_make_an_end_no_dearer() -> None:
    """One call to the database for those in front, and nobody else is disturbed."""
    watched, quotas = watch(), MemoryQuotas()
    quotas.room = 1
    places = Places(watched, quotas)
    for number in range(1, 2_001):
        watched.put_ingest_job(manifest(number))
    assert await places.has_place("acme", "j1")
    places.take_entered()
    end(watched, 1)
    quotas.asked.clear()
    await places.leave("j1")
    assert quotas.asked == ["release n1 of acme", f"admit {AT_ONCE} of acme"]
    assert len(places.take_entered()) == 1


async def test_all_enter_when_there_is_room_for_all() -> None:
    watched, quotas = watch(), MemoryQuotas()
    quotas.room = 10_000
    places = Places(watched, quotas)
    for number in range(1, 2 * AT_ONCE + 2):
        watched.put_ingest_job(manifest(number))
    assert await places.has_place("acme", "j1")
    assert places.find_outside("acme", 1) == []
    assert len(quotas.asked) == 3


async def test_one_that_ends_outside_is_forgotten() -> None:
    watched, quotas = watch(1, 2), MemoryQuotas()
    quotas.room = 0
    places = Places(watched, quotas)
    assert not await places.has_place("acme", "j1")
    watched.drop_ingest_job("j1")
    end(watched, 2)
    assert places.find_outside("acme", 9) == []

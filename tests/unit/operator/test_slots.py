"""Who of all tenants' IngestJobs may run, in step with what the watches show."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from dreamhub.domain.fair_books import Books, Charge, Entry
from dreamhub.domain.progress import Timing
from dreamhub_operator.admission_settings import Admission
from dreamhub_operator.reconcile.admission import BASE_TOKENS, GRANTED
from dreamhub_operator.reconcile.embedding_pace import FRESH_SECONDS
from dreamhub_operator.reconcile.slots import Slots
from dreamhub_operator.watched import Watched
from tests.unit.operator.builders import job_state, run_status
from tests.unit.operator.queued import end, job, manifest, watch

START = datetime(2026, 3, 1, 12, 10, tzinfo=UTC).timestamp()
COST = BASE_TOKENS
"""Of the jobs here: their text is nearly nothing."""


@dataclass
class Clock:
    now: float = START

    def __call__(self) -> float:
        return self.now


@dataclass
class Rig:
    watched: Watched
    limit: int = 0
    p95: float = 0
    clock: Clock = field(default_factory=Clock)
    slots: Slots = field(init=False)

    def __post_init__(self) -> None:
        settings = Admission(concurrent_jobs=self.limit, embedding_p95_seconds=self.p95)
        self.slots = Slots(self.watched, settings, self.clock)
        self.slots.open(Books(600.0))

    def claim(self, number: int) -> int:
        return self.slots.claim(job(self.watched, number)).place

    def run(self, number: int) -> None:
        self.watched.jobs[f"j{number}"] = job_state()
        self.slots.settle(f"j{number}")
        assert self.slots.note(f"j{number}") is None

    def end(self, number: int) -> Entry | None:
        end(self.watched, number)
        entry = self.slots.note(f"j{number}")
        self.slots.grant()
        return entry


def other(number: int, **spec: Any) -> dict[str, Any]:
    """An IngestJob of another tenant."""
    body = manifest(number)
    body["metadata"]["namespace"] = "dh-other"
    body["spec"] |= spec
    return body


def test_two_decisions_never_share_a_slot() -> None:
    rig = Rig(watch(1, 2, 3, limit=2))
    assert [rig.claim(number) for number in (1, 2, 3)] == [0, 0, 1]
    rig.run(1)
    assert rig.claim(3) == 1
    rig.slots.settle("j2")
    assert rig.slots.note("j2") == Entry("Pause", "j2", "acme", 0)
    rig.slots.grant()
    assert rig.slots.take_granted() == ["j3"]


def test_a_slot_that_is_free_goes_to_who_waits_longest_and_not_to_who_asks() -> None:
    rig = Rig(watch(1, 2, 3, limit=1))
    assert [rig.claim(number) for number in (1, 3, 2)] == [0, 2, 1]
    rig.run(1)
    rig.end(1)
    assert rig.claim(3) == 1
    assert rig.slots.take_granted() == ["j2"]
    assert rig.slots.take_granted() == []
    assert [rig.slots.has_slot(f"j{number}") for number in (1, 2, 3)] == [True, True, False]
    assert rig.claim(2) == 0


def test_a_slot_that_was_given_is_kept_until_its_own_reconcile_has_learnt_of_it() -> None:
    """One that ran meanwhile, and had no slot as it asked, takes nothing back."""
    rig = Rig(watch(1, 2, limit=1))
    rig.claim(1)
    assert rig.claim(2) == 1
    rig.run(1)
    rig.end(1)
    rig.slots.settle("j2")
    assert rig.slots.note("j2") is None
    assert rig.slots.share.runs("j2")
    assert rig.claim(2) == 0
    rig.slots.settle("j2")
    rig.slots.note("j2")
    assert not rig.slots.share.runs("j2")


def test_an_older_one_that_comes_late_does_not_take_a_slot_that_is_kept() -> None:
    rig = Rig(watch(2, limit=1))
    assert rig.claim(2) == 0
    rig.watched.put_ingest_job(manifest(1))
    assert rig.claim(1) == 1


def test_after_a_restart_running_jobs_hold_their_slots_and_those_in_line_their_places() -> None:
    watched = watch(1, 2, limit=1, phase="Queued", reason="TenantLimit")
    watched.put_ingest_job(manifest(3))
    watched.jobs["j3"] = job_state()
    rig = Rig(watched)
    assert rig.claim(2) == 2
    watched.jobs["j3"] = job_state(suspended=True)
    rig.slots.note("j3")
    rig.slots.grant()
    assert rig.slots.take_granted() == ["j1"]


def test_one_that_waits_for_something_else_lets_others_go_first() -> None:
    rig = Rig(watch(1, 2, limit=1))
    assert rig.claim(1) == 0
    assert rig.claim(2) == 1
    rig.slots.set_aside(job(rig.watched, 1))
    rig.slots.note("j1")
    assert rig.claim(2) == 0


def test_a_job_runs_until_it_says_so_even_when_its_ingest_job_is_gone() -> None:
    rig = Rig(watch(1, 2, limit=1))
    rig.claim(1)
    rig.run(1)
    rig.watched.drop_ingest_job("j1")
    assert rig.slots.note("j1") is None
    assert rig.claim(2) == 1
    del rig.watched.jobs["j1"]
    assert rig.slots.note("j1") == Entry("Settle", "j1", "acme", None)
    assert rig.claim(2) == 0


def test_the_limit_of_all_is_shared_by_weight_of_use() -> None:
    rig = Rig(watch(1, 2), limit=1)
    rig.watched.put_ingest_job(other(3))
    assert [rig.claim(number) for number in (1, 2, 3)] == [0, 1, 1]
    rig.run(1)
    standing = rig.slots.claim(job(rig.watched, 2))
    assert (standing.hold, standing.share) == ("GlobalLimit", 0.5)
    rig.end(1)
    assert rig.slots.take_granted() == ["j3"]


def test_what_was_used_is_settled_when_it_has_ended() -> None:
    rig = Rig(watch(1))
    rig.claim(1)
    rig.run(1)
    assert rig.slots.share.books.usage("acme", START) == COST
    rig.watched.runs["j1"] = run_status(tokens=7_000)
    assert rig.end(1) == Entry("Settle", "j1", "acme", BASE_TOKENS + 7_000)
    assert rig.slots.share.books.usage("acme", START) == BASE_TOKENS + 7_000


def test_one_that_is_suspended_pays_for_what_it_has_used_and_no_more() -> None:
    rig = Rig(watch(1))
    rig.claim(1)
    rig.run(1)
    rig.watched.runs["j1"] = run_status(tokens=7_000)
    rig.watched.jobs["j1"] = job_state(suspended=True)
    assert rig.slots.note("j1") == Entry("Pause", "j1", "acme", 8_000)
    assert rig.slots.note("j1") is None
    assert rig.slots.share.books.charges == {"j1": Charge("acme", 0, 8_000)}


def test_one_that_kueue_keeps_suspended_has_its_slot_and_leaves_that_of_all_to_others() -> None:
    watched = watch(limit=1)
    for number in (1, 2):
        body = manifest(number)
        body["metadata"]["labels"] = {"kueue.x-k8s.io/queue-name": "batch"}
        watched.put_ingest_job(body)
    watched.put_ingest_job(other(3))
    rig = Rig(watched, limit=1)
    assert [rig.claim(number) for number in (3, 1, 2)] == [0, 0, 1]
    watched.jobs["j1"] = job_state(suspended=True, kueue_queue="batch")
    rig.slots.settle("j1")
    assert rig.slots.note("j1") is None
    assert rig.slots.claim(job(watched, 2)).hold == "TenantLimit"


def slow(rig: Rig, embed_seconds: float, p95: float) -> None:
    timing = Timing(embed_seconds=embed_seconds, embed_p95_seconds=p95)
    rig.watched.runs["j1"] = run_status(timing=timing)
    rig.slots.look_at_models()
    rig.slots.grant()


def test_cold_work_waits_while_the_tenants_model_is_slow_and_goes_on_when_nobody_says_so_any_more() -> None:
    watched = watch(1)
    cold = manifest(2)
    cold["spec"]["priority"] = "Cold"
    watched.put_ingest_job(cold)
    rig = Rig(watched, p95=2.0)
    rig.claim(1)
    rig.run(1)
    slow(rig, 10, p95=2.5)
    assert rig.slots.claim(job(watched, 2)).hold == "ColdHeldBack"
    slow(rig, 20, p95=1.5)
    assert rig.slots.take_granted() == ["j2"]
    rig.slots.set_aside(job(watched, 2))
    rig.slots.note("j2")
    slow(rig, 30, p95=2.5)
    assert rig.claim(2) == 1
    rig.clock.now += FRESH_SECONDS
    slow(rig, 30, p95=2.5)
    assert rig.slots.take_granted() == ["j2"]


def test_one_tenant_alone_does_not_make_a_model_slow_for_others_however_many_runs_it_has() -> None:
    rig = Rig(watch(1, 2, 3), p95=2.0)
    rig.watched.put_tenant({"metadata": {"name": "other", "uid": "t2", "resourceVersion": "3"}, "spec": {}})
    rig.watched.put_ingest_job(other(4))
    for number, p95 in ((1, 1e15), (2, 1e15), (3, 1e15), (4, 0.5)):
        rig.watched.runs[f"j{number}"] = run_status(timing=Timing(embed_seconds=10, embed_p95_seconds=p95))
    rig.slots.look_at_models()
    assert rig.slots.cold_held == frozenset()
    rig.watched.runs["j4"] = run_status(timing=Timing(embed_seconds=20, embed_p95_seconds=2.5))
    rig.slots.look_at_models()
    assert rig.slots.cold_held == {"acme", "other"}


def test_without_a_limit_no_cold_work_is_held_back() -> None:
    rig = Rig(watch(1))
    slow(rig, 10, p95=1e6)
    assert rig.slots.cold_held == frozenset()


def test_the_forecast_comes_from_jobs_that_have_ended_and_is_vague_at_first() -> None:
    rig = Rig(watch(1, 2, 3, limit=1))
    rig.claim(1)
    rig.run(1)
    assert rig.slots.claim(job(rig.watched, 2)).eta_seconds is None
    rig.clock.now += 40
    rig.end(1)
    assert rig.claim(2) == 0
    rig.run(2)
    standing = rig.slots.claim(job(rig.watched, 3))
    assert standing.eta_seconds == pytest.approx(40)
    assert standing.error_seconds is not None
    assert standing.error_seconds > 40


def test_a_place_among_those_of_the_same_second_is_not_foretold_until_it_stands() -> None:
    began, ended = "2026-03-01T12:00:00Z", "2026-03-01T12:01:30Z"
    watched = watch(2, 600, limit=1)
    watched.put_ingest_job(manifest(1, phase="Succeeded", startTime=began, completionTime=ended))
    rig = Rig(watched)
    assert rig.claim(2) == 0
    early = rig.slots.claim(job(watched, 600))
    assert (early.eta_seconds, early.look_seconds) == (None, 2.0)
    rig.clock.now += 1
    watched.put_ingest_job(manifest(601))
    rig.clock.now += 1
    lagging = rig.slots.claim(job(watched, 600))
    assert (lagging.eta_seconds, lagging.look_seconds) == (None, 1.0)
    watched.put_ingest_job(manifest(602))
    settled = rig.slots.claim(job(watched, 600))
    assert settled.eta_seconds == pytest.approx(88)
    assert settled.look_seconds is None


def test_those_whom_nobody_has_looked_at_yet_are_foretold_to_go_first() -> None:
    began, ended = "2026-03-01T12:00:00Z", "2026-03-01T12:01:30Z"
    watched = watch(2, 3, 4, 5, limit=1)
    watched.put_ingest_job(manifest(1, phase="Succeeded", startTime=began, completionTime=ended))
    rig = Rig(watched)
    assert rig.claim(2) == 0
    standing = rig.slots.claim(job(watched, 5))
    assert standing.place == 3
    assert standing.eta_seconds == pytest.approx(270)
    rig.slots.set_aside(job(watched, 3))
    watched.drop_ingest_job("j4")
    rig.clock.now += 5
    standing = rig.slots.claim(job(watched, 5))
    assert standing.place == 1
    assert standing.eta_seconds == pytest.approx(85)


def test_after_a_restart_ended_jobs_tell_how_long_jobs_take() -> None:
    watched = watch(2, 3, limit=1)
    began, ended = "2026-03-01T12:00:00Z", "2026-03-01T12:01:30Z"
    watched.put_ingest_job(manifest(1, phase="Succeeded", startTime=began, completionTime=ended))
    rig = Rig(watched)
    assert rig.claim(2) == 0
    assert rig.slots.claim(job(watched, 3)).eta_seconds == pytest.approx(90)


def test_a_tenants_new_limit_counts_at_once() -> None:
    rig = Rig(watch(1, 2, limit=1))
    assert [rig.claim(1), rig.claim(2)] == [0, 1]
    body = {"metadata": {"name": "acme", "uid": "t1", "resourceVersion": "9"}, "spec": {}}
    rig.watched.put_tenant(body)
    rig.slots.set_terms("acme")
    rig.slots.grant()
    assert rig.slots.take_granted() == ["j2"]


def test_what_is_counted() -> None:
    watched = watch(1, 2, 3, 4)
    watched.jobs["j1"] = job_state()
    end(watched, 4)
    assert Slots(watched).count("dh-acme") == (1, 2)


def test_one_that_was_granted_may_say_so_again() -> None:
    rig = Rig(watch(1))
    assert rig.slots.claim(job(rig.watched, 1)) == GRANTED
    assert rig.slots.claim(job(rig.watched, 1)) == GRANTED

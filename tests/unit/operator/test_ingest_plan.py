"""The decision table of an IngestJob."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from dreamhub.crd.ingest_job import IngestJob
from dreamhub.domain.progress import SOURCE, DocumentCounts
from dreamhub_operator.desired.job import RENEW_SECONDS
from dreamhub_operator.reconcile.ingest_plan import (
    KEEP_SUCCEEDED_SECONDS,
    RETRY_SECONDS,
    STARTING_SECONDS,
    IngestObserved,
    TenantView,
    plan_ingest,
    wants_documents,
)
from dreamhub_operator.reconcile.job_state import PodState
from tests.unit.operator.builders import (
    ACME,
    DOCUMENT,
    NOW,
    failed_run,
    ingest_job,
    job_state,
    observed,
    pod,
    run_status,
)

INLINE = {"source": {"inline": {"name": "a.md", "text": "b"}}}
FINISHED = {"phase": "Succeeded", "reason": "Ingested", "completionTime": NOW.isoformat()}
UNSCHEDULABLE = pod(phase="Pending", trouble=("Unschedulable", "0/1 nodes are available"))
PULLING = pod(phase="Pending", trouble=("ImageUnavailable", "ErrImagePull: no such image"))
OOM = pod(phase="Failed", ended="OOMKilled", exit_code=137)
CRASH = pod(phase="Failed", ended="Error", exit_code=1, message="boom")


@pytest.mark.parametrize(
    ("job", "seen", "phase", "reason", "actions"),
    [
        pytest.param(ingest_job(), observed(), "Pending", "WaitingForPod", ("CreateJob",), id="create"),
        pytest.param(
            ingest_job(**INLINE), observed(documents=None), "Pending", "WaitingForPod", ("CreateJob",), id="inline"
        ),
        pytest.param(ingest_job(), observed(tenant=None), "Pending", "NotATenantNamespace", (), id="no tenant"),
        pytest.param(
            ingest_job(), observed(tenant=replace(ACME, ready=False)), "Pending", "TenantNotReady", (), id="not ready"
        ),
        pytest.param(
            ingest_job(),
            observed(tenant=replace(ACME, suspended=True)),
            "Pending",
            "TenantSuspended",
            (),
            id="tenant suspended",
        ),
        pytest.param(ingest_job(suspend=True), observed(), "Pending", "Suspended", (), id="suspended before"),
        pytest.param(ingest_job(), observed(documents={}), "Failed", "DocumentNotFound", (), id="missing document"),
        pytest.param(
            ingest_job(),
            observed(documents=None),
            "Failed",
            "DocumentNotFound",
            (),
            id="nothing known is nothing found",
        ),
        pytest.param(
            ingest_job(),
            observed(unavailable=("DatabaseUnavailable", "away")),
            "Pending",
            "DatabaseUnavailable",
            (),
            id="database away",
        ),
        pytest.param(
            ingest_job(),
            observed(job=job_state(), unavailable=("DatabaseUnavailable", "away"), run=run_status()),
            "Running",
            "DatabaseUnavailable",
            (),
            id="database away while running",
        ),
        pytest.param(ingest_job(), observed(job=job_state()), "Pending", "WaitingForPod", (), id="waiting"),
        pytest.param(
            ingest_job(),
            observed(job=job_state(), pods=[UNSCHEDULABLE]),
            "Pending",
            "Unschedulable",
            (),
            id="unschedulable",
        ),
        pytest.param(
            ingest_job(), observed(job=job_state(), pods=[PULLING]), "Pending", "ImageUnavailable", (), id="image"
        ),
        pytest.param(
            ingest_job(),
            observed(job=job_state(active=0), refused="quota"),
            "Pending",
            "OverQuota",
            (),
            id="over quota",
        ),
        pytest.param(ingest_job(), observed(job=job_state(), pods=[pod()]), "Running", "Starting", (), id="starting"),
        pytest.param(ingest_job(), observed(job=job_state(), pods=[OOM]), "Running", "Retrying", (), id="retrying"),
        pytest.param(
            ingest_job(),
            observed(job=job_state(), pods=[pod()], run=run_status()),
            "Running",
            "Embedding",
            (),
            id="embedding",
        ),
        pytest.param(
            ingest_job(),
            observed(job=job_state(), run=run_status("Succeeded")),
            "Succeeded",
            "Ingested",
            (),
            id="succeeded",
        ),
        pytest.param(
            ingest_job(),
            observed(job=job_state(), run=failed_run()),
            "Failed",
            "DocumentsFailed",
            (),
            id="documents failed",
        ),
        pytest.param(
            ingest_job(),
            observed(job=job_state(failure="BackoffLimitExceeded"), pods=[CRASH, OOM]),
            "Failed",
            "OutOfMemory",
            (),
            id="out of memory",
        ),
        pytest.param(
            ingest_job(),
            observed(job=job_state(failure="PodFailurePolicy"), pods=[CRASH]),
            "Failed",
            "WorkerFailed",
            (),
            id="worker failed",
        ),
        pytest.param(
            ingest_job(),
            observed(job=job_state(failure="DeadlineExceeded")),
            "Failed",
            "DeadlineExceeded",
            (),
            id="deadline",
        ),
        pytest.param(
            ingest_job(), observed(job=job_state(complete=True)), "Failed", "WorkerFailed", (), id="no record"
        ),
        pytest.param(
            ingest_job(),
            observed(job=job_state(complete=True), unavailable=("DatabaseUnavailable", "away")),
            "Pending",
            "DatabaseUnavailable",
            (),
            id="a record may be there",
        ),
        pytest.param(
            ingest_job(),
            observed(job=job_state(failure="BackoffLimitExceeded"), unavailable=("DatabaseUnavailable", "away")),
            "Pending",
            "DatabaseUnavailable",
            (),
            id="a failed job's record may be there",
        ),
        pytest.param(
            ingest_job(suspend=True), observed(job=job_state()), "Pending", "Suspended", ("Suspend",), id="suspend"
        ),
        pytest.param(
            ingest_job(suspend=True),
            observed(job=job_state(suspended=True)),
            "Pending",
            "Suspended",
            (),
            id="stays suspended",
        ),
        pytest.param(
            ingest_job(), observed(job=job_state(suspended=True)), "Pending", "WaitingForPod", ("Resume",), id="resume"
        ),
        pytest.param(
            ingest_job(), observed(job=job_state(spec_hash="other")), "Failed", "JobNameTaken", (), id="another's job"
        ),
    ],
)
def test_plan(job: IngestJob, seen: IngestObserved, phase: str, reason: str, actions: tuple[str, ...]) -> None:
    plan = plan_ingest(job, seen, NOW)
    assert plan.finding is not None
    assert (plan.finding.phase, plan.finding.reason) == (phase, reason)
    assert plan.actions == actions


def test_the_outcome_in_the_database_counts_more_than_the_job() -> None:
    seen = observed(job=job_state(failure="BackoffLimitExceeded"), pods=[CRASH], run=run_status("Succeeded"))
    plan = plan_ingest(ingest_job(), seen, NOW)
    assert plan.finding is not None
    assert plan.finding.phase == "Succeeded"


def test_an_error_of_the_source_is_told_before_those_of_documents() -> None:
    of_one = failed_run().progress.errors[0]
    errors = (of_one, of_one.model_copy(update={"document": SOURCE, "message": "the login is refused"}))
    run = run_status("Failed", documents=DocumentCounts(total=3, done=1, failed=2), errors=errors)
    finding = plan_ingest(ingest_job(), observed(job=job_state(), run=run), NOW).finding
    assert finding is not None
    assert finding.message == "the source was not read to its end: the login is refused"


def test_why_a_worker_ended_is_told_while_the_next_one_is_awaited() -> None:
    lost = pod(phase="Failed", ended="Error", exit_code=75, message="Stopping: the worker was asked to stop")
    finding = plan_ingest(ingest_job(), observed(job=job_state(), pods=[lost]), NOW).finding
    assert finding is not None
    assert (finding.reason, finding.message.partition("why: ")[2]) == ("Retrying", lost.message)


def test_an_outcome_is_followed_at_once_by_letting_go() -> None:
    assert plan_ingest(ingest_job(), observed(job=job_state(), run=run_status("Succeeded")), NOW).again_seconds == 0


@pytest.mark.parametrize(
    "later", [observed(job=job_state(failure="x")), observed(run=failed_run()), observed(tenant=None)]
)
def test_nothing_changes_a_final_status(later: IngestObserved) -> None:
    assert plan_ingest(ingest_job(FINISHED), later, NOW).finding is None


def test_a_finished_job_is_let_go_once() -> None:
    plan = plan_ingest(ingest_job(FINISHED), observed(job=job_state()), NOW)
    assert plan.actions == ("Finish",)
    assert plan.keep_job_seconds == KEEP_SUCCEEDED_SECONDS
    assert plan_ingest(ingest_job(FINISHED), observed(job=job_state(expires=True)), NOW).actions == ()


def test_a_failed_job_stays_as_long_as_its_ingest_job() -> None:
    status = {**FINISHED, "phase": "Failed", "reason": "WorkerFailed"}
    plan = plan_ingest(ingest_job(status, ttlSecondsAfterFinished=7200), observed(job=job_state()), NOW)
    assert plan.keep_job_seconds == 7200


@pytest.mark.parametrize(("age", "actions"), [(59, ()), (60, ("Delete",))])
def test_a_finished_ingest_job_goes_when_its_time_is_over(age: int, actions: tuple[str, ...]) -> None:
    job = ingest_job(FINISHED, ttlSecondsAfterFinished=60)
    plan = plan_ingest(job, observed(), NOW + timedelta(seconds=age))
    assert plan.actions == actions
    assert plan.again_seconds == (1 if not actions else None)


def test_urls_are_renewed_long_before_they_expire() -> None:
    old = job_state(signed_at=int(NOW.timestamp()) - RENEW_SECONDS - 1)
    assert plan_ingest(ingest_job(), observed(job=old), NOW).actions == ("RenewInput",)


@pytest.mark.parametrize(
    ("job", "seen"),
    [
        (ingest_job(**INLINE), observed()),
        (ingest_job(FINISHED), observed()),
        (ingest_job(), observed(job=job_state())),
        (ingest_job(), observed(tenant=None)),
        (ingest_job(), observed(tenant=replace(ACME, ready=False))),
        (ingest_job(), observed(tenant=replace(ACME, suspended=True))),
        (ingest_job(suspend=True), observed()),
    ],
)
def test_documents_are_asked_for_only_before_a_job_is_created(job: IngestJob, seen: IngestObserved) -> None:
    assert wants_documents(ingest_job(), observed())
    assert not wants_documents(job, seen)


def test_a_missing_document_is_named() -> None:
    plan = plan_ingest(ingest_job(), observed(documents={}), NOW)
    assert plan.finding is not None
    assert DOCUMENT in plan.finding.message


def test_a_young_job_without_a_pod_is_not_blamed_on_the_quota() -> None:
    young: Any = job_state(active=0, created_at=NOW.isoformat())
    plan = plan_ingest(ingest_job(), observed(job=young, refused="quota"), NOW)
    assert plan.finding is not None
    assert plan.finding.reason == "WaitingForPod"


@pytest.mark.parametrize("tenant", [None, replace(ACME, ready=False), replace(ACME, suspended=True)])
def test_a_job_that_waits_for_its_tenant_looks_again_by_itself(tenant: TenantView | None) -> None:
    again = plan_ingest(ingest_job(), observed(tenant=tenant), NOW).again_seconds
    assert again is not None
    assert 0 < again <= RETRY_SECONDS


@pytest.mark.parametrize(
    ("pods", "refused", "reason"),
    [
        ([OOM], None, "Retrying"),
        ([OOM], "quota", "OverQuota"),
        ([], "quota", "OverQuota"),
        ([], None, "Embedding"),
        ([OOM, pod()], "quota", "Embedding"),
        ([pod(phase="Succeeded")], "quota", "Embedding"),
    ],
)
def test_without_a_worker_its_absence_is_told_rather_than_earlier_progress(
    pods: list[PodState], refused: str | None, reason: str
) -> None:
    seen = observed(job=job_state(active=0), pods=pods, run=run_status(), refused=refused)
    finding = plan_ingest(ingest_job(), seen, NOW).finding
    assert finding is not None
    assert finding.reason == reason
    assert finding.run == run_status()


def test_a_worker_that_cannot_start_does_not_hide_those_that_work() -> None:
    waiting = pod(phase="Pending", trouble=("Unschedulable", "0/1 nodes"))
    finding = plan_ingest(ingest_job(), observed(job=job_state(), pods=[waiting, pod()], run=run_status()), NOW).finding
    assert finding is not None
    assert finding.reason == "Embedding"
    alone = plan_ingest(ingest_job(), observed(job=job_state(), pods=[waiting], run=run_status()), NOW).finding
    assert alone is not None
    assert alone.reason == "Unschedulable"


def test_workers_that_used_up_their_tries_are_told_while_the_others_go_on() -> None:
    seen = observed(job=job_state(failed_indexes="1,3"), pods=[pod()], run=run_status())
    finding = plan_ingest(ingest_job(), seen, NOW).finding
    assert finding is not None
    assert (finding.phase, finding.reason) == ("Running", "Embedding")
    assert finding.message.endswith("; workers that used up their tries: 1,3")


def test_a_created_job_is_looked_after_though_nothing_may_happen_to_it() -> None:
    """Its echo is no news, and a Job that the quota keeps from having a pod changes no more."""
    assert plan_ingest(ingest_job(), observed(), NOW).again_seconds == STARTING_SECONDS


UNREAD = run_status(collected=False)


@pytest.mark.parametrize("failed", ["0", "0,2", "0-3"])
def test_a_source_that_nobody_is_left_to_read_fails_at_once(failed: str) -> None:
    """The other workers would wait for its documents until the deadline."""
    plan = plan_ingest(
        ingest_job(), observed(job=job_state(failed_indexes=failed), pods=[CRASH, pod()], run=UNREAD), NOW
    )
    assert plan.finding is not None
    assert (plan.finding.phase, plan.finding.reason) == ("Failed", "WorkerFailed")
    assert "boom" in plan.finding.message


@pytest.mark.parametrize(
    "seen",
    [
        observed(job=job_state(failed_indexes="0"), pods=[pod()], run=run_status()),
        observed(job=job_state(failed_indexes="1,3,10"), pods=[pod()], run=UNREAD),
        observed(job=job_state(failed_indexes=""), pods=[pod()], run=UNREAD),
    ],
)
def test_the_others_go_on_with_what_was_collected_or_still_is(seen: IngestObserved) -> None:
    finding = plan_ingest(ingest_job(), seen, NOW).finding
    assert finding is not None
    assert finding.phase == "Running"


def test_the_workers_of_a_failed_job_are_ended() -> None:
    ended = ingest_job({"phase": "Failed", "reason": "WorkerFailed", "completionTime": NOW.isoformat()})
    live = observed(job=job_state(failed_indexes="0"), run=UNREAD)
    assert plan_ingest(ended, live, NOW).actions == ("Suspend", "Finish")
    for over in (job_state(suspended=True), job_state(complete=True), job_state(failure="BackoffLimitExceeded")):
        assert plan_ingest(ended, observed(job=over), NOW).actions == ("Finish",)

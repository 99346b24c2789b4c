from datetime import timedelta
from typing import Any

import pytest

from dreamhub.crd.ingest_job import IngestJobStatus, IngestReason
from dreamhub.domain.conditions import is_true
from dreamhub.domain.progress import DocumentCounts
from dreamhub_operator.reconcile.ingest_status import Finding, build_status, fail, pend, progress_of, run, succeed
from dreamhub_operator.reconcile.statuses import build_patch, dump_status
from tests.unit.operator.builders import NOW, failed_run, ingest_job, run_status

WAITING = pend(IngestReason.WAITING_FOR_POD, "waiting")


def kstatus(status: IngestJobStatus) -> set[str]:
    return {kind for kind in ("Ready", "Reconciling", "Stalled") if is_true(status.conditions, kind)}


@pytest.mark.parametrize(
    ("finding", "expected"),
    [
        (WAITING, {"Reconciling"}),
        (progress_of(run_status()), {"Reconciling"}),
        (succeed(run_status("Succeeded")), {"Ready"}),
        (fail(IngestReason.WORKER_FAILED, "x", None), {"Stalled"}),
        (pend(IngestReason.IMAGE_UNAVAILABLE, "x"), {"Stalled"}),
        (pend(IngestReason.TENANT_NOT_READY, "x"), {"Reconciling"}),
    ],
)
def test_exactly_one_of_the_three_summaries_holds(finding: Finding, expected: set[str]) -> None:
    assert kstatus(build_status(ingest_job(), finding, "ij-1", NOW)) == expected


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "1 of 4 documents"),
        (
            {"reading": True},
            "1 of 4 documents so far; the source is still being read, and nobody knows how many there will be",
        ),
        ({"waiting": "the scanner is away"}, "1 of 4 documents; waiting: the scanner is away"),
    ],
)
def test_what_a_job_that_runs_says_of_itself(changes: dict[str, Any], message: str) -> None:
    assert progress_of(run_status(**changes)).message == message


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({}, "3 documents searchable"),
        ({"skipped": 1, "unread": 2}, "3 documents searchable, 1 of them unchanged; in the source: 2 not read"),
        ({"unread": 1, "deleted": 4}, "3 documents searchable; in the source: 1 not read, 4 deleted"),
    ],
)
def test_what_a_job_says_of_its_source(counts: dict[str, int], message: str) -> None:
    assert succeed(run_status("Succeeded", documents=DocumentCounts(total=3, done=3, **counts))).message == message


def test_a_job_that_only_just_came_shows_its_total() -> None:
    status = build_status(ingest_job(), WAITING, None, NOW)
    assert status.progress is not None
    assert status.progress.documents.total == 1
    assert status.start_time is None
    assert not is_true(status.conditions, "Admitted")


def test_the_first_progress_starts_the_clock_and_nothing_moves_it() -> None:
    first = build_status(ingest_job(), progress_of(run_status()), "ij-1", NOW)
    assert first.start_time == NOW
    assert first.timing is not None
    assert first.timing.queued_seconds == 60
    job = ingest_job(dump_status(first))
    later = build_status(job, progress_of(run_status()), "ij-1", NOW + timedelta(seconds=5))
    assert later.start_time == NOW


def test_progress_survives_a_worker_between_two_tries() -> None:
    first = build_status(ingest_job(), progress_of(run_status(chunks=100)), "ij-1", NOW)
    again = build_status(ingest_job(dump_status(first)), run(IngestReason.RETRYING, "x", None), "ij-1", NOW)
    assert again.progress == first.progress


def test_errors_are_listed_with_their_class() -> None:
    finding = fail(IngestReason.DOCUMENTS_FAILED, "1 of 2 documents failed", failed_run())
    status = build_status(ingest_job(), finding, "ij-1", NOW)
    assert dump_status(status)["errors"][0]["class"] == "Permanent"
    assert status.completion_time == NOW


def test_an_unchanged_status_needs_no_write() -> None:
    first = build_status(ingest_job(), WAITING, "ij-1", NOW)
    job = ingest_job(dump_status(first))
    again = build_status(job, WAITING, "ij-1", NOW + timedelta(minutes=1))
    assert build_patch(job.status, again) == {}


def test_a_default_that_was_never_written_is_written() -> None:
    patch = build_patch(ingest_job().status, build_status(ingest_job(), WAITING, None, NOW))
    assert (patch["phase"], patch["observedGeneration"]) == ("Pending", 1)


def test_a_patch_removes_what_is_gone() -> None:
    running = build_status(ingest_job(), progress_of(run_status(eta_seconds=9)), "ij-1", NOW)
    job = ingest_job(dump_status(running))
    patch = build_patch(job.status, build_status(job, succeed(run_status("Succeeded")), "ij-1", NOW))
    assert patch["progress"]["etaSeconds"] is None
    assert patch["phase"] == "Succeeded"
    assert "build" not in patch


def test_messages_fit_the_schema() -> None:
    status = build_status(ingest_job(), fail(IngestReason.WORKER_FAILED, "x" * 5000, None), "ij-1", NOW)
    assert len(status.message) == 1024
    assert all(len(c.message) <= 1024 for c in status.conditions)


def test_counts_read_like_a_sentence() -> None:
    assert succeed(run_status("Succeeded")).message == "1 document searchable"

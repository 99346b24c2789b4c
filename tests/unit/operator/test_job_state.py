from typing import Any

import pytest

from dreamhub_operator.reconcile.job_state import find_bad_end, has_ended, read_job, read_pod
from tests.unit.operator.builders import job_state, pod


def raw_pod(**status: Any) -> dict[str, Any]:
    return {"metadata": {"name": "p"}, "status": {"phase": "Pending", **status}}


def container(**state: Any) -> list[dict[str, Any]]:
    return [{"state": state}]


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ({"containerStatuses": container(waiting={"reason": "ErrImagePull", "message": "x"})}, "ImageUnavailable"),
        ({"containerStatuses": container(waiting={"reason": "ImagePullBackOff"})}, "ImageUnavailable"),
        ({"containerStatuses": container(waiting={"reason": "CreateContainerConfigError"})}, "ContainerConfigInvalid"),
        ({"containerStatuses": container(waiting={"reason": "ContainerCreating"})}, None),
        ({"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}]}, "Unschedulable"),
        ({}, None),
    ],
)
def test_trouble(status: dict[str, Any], reason: str | None) -> None:
    trouble = read_pod(raw_pod(**status)).trouble
    assert (trouble[0] if trouble else None) == reason


def test_a_good_end_is_no_bad_end() -> None:
    state = read_pod(raw_pod(phase="Succeeded", containerStatuses=container(terminated={"exitCode": 0})))
    assert state.ended is None
    assert find_bad_end([state]) is None


def test_a_bad_end_says_how() -> None:
    ended = {"exitCode": 42, "reason": "Error", "message": "line one\nline two"}
    state = read_pod(raw_pod(phase="Failed", containerStatuses=container(terminated=ended)))
    assert (state.ended, state.exit_code, state.message) == ("Error", 42, "line one line two")


def test_long_messages_are_cut() -> None:
    ended = {"exitCode": 1, "message": "x" * 5000}
    assert len(read_pod(raw_pod(containerStatuses=container(terminated=ended))).message) == 300


def test_a_fresh_job_has_no_status() -> None:
    state = read_job({"metadata": {"name": "ij-1", "uid": "u"}})
    assert (state.active, state.complete, state.failure, state.expires) == (0, False, None, False)


def test_conditions_of_a_job() -> None:
    body = {
        "metadata": {"name": "ij-1", "uid": "u", "annotations": {"dreamhub.dev/spec-hash": "h"}},
        "spec": {"suspend": True, "ttlSecondsAfterFinished": 0},
        "status": {"conditions": [{"type": "Failed", "status": "True", "reason": "PodFailurePolicy"}]},
    }
    state = read_job(body)
    assert (state.failure, state.suspended, state.expires, state.spec_hash) == ("PodFailurePolicy", True, True, "h")


def test_a_pod_tells_the_end_before_its_job() -> None:
    assert has_ended(job_state(), [pod(phase="Succeeded")])
    assert not has_ended(job_state(), [pod()])


def test_workers_that_used_up_their_tries_are_told() -> None:
    body = {"metadata": {"name": "j", "uid": "u"}, "status": {"failedIndexes": "1,4-6", "failed": 16}}
    assert (read_job(body).failed_indexes, read_job(body).failed) == ("1,4-6", 16)
    assert read_job({"metadata": {"name": "j", "uid": "u"}}).failed_indexes == ""


def test_the_last_word_of_a_run_that_lost_its_collector_is_asked_for() -> None:
    assert has_ended(job_state(failed_indexes="0,4"), [pod()])
    assert not has_ended(job_state(failed_indexes="10"), [pod()])

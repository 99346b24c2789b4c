from typing import Any

from hack.install.diagnosis import describe_pods


def pod(name: str, *containers: dict[str, Any], phase: str = "Running", **status: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "status": {"phase": phase, "containerStatuses": list(containers), **status}}


def test_what_is_ready_or_done_is_not_mentioned() -> None:
    ready = {"name": "api", "ready": True, "state": {"running": {}}}
    done = {"name": "migrate", "ready": False, "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}
    assert describe_pods({"items": [pod("a", ready), pod("b", done, phase="Succeeded")]}) == {}


def test_a_waiting_container_says_why_and_how_it_ended_before() -> None:
    crashing = {
        "name": "operator",
        "ready": False,
        "restartCount": 2,
        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": {"terminated": {"reason": "Error", "exitCode": 1}},
    }
    assert describe_pods({"items": [pod("o", crashing)]}) == {
        "o": "operator waits: CrashLoopBackOff (restarted 2 times, last end: Error, exit code 1)"
    }


def test_a_running_container_that_is_not_ready_is_mentioned() -> None:
    starting = {"name": "api", "ready": False, "state": {"running": {"startedAt": "now"}}}
    assert describe_pods({"items": [pod("a", starting)]}) == {"a": "api runs but is not ready"}


def test_a_pod_without_containers_shows_its_conditions() -> None:
    unscheduled = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes fit"}
    assert describe_pods({"items": [pod("a", phase="Pending", conditions=[unscheduled])]}) == {
        "a": "Unschedulable, 0/1 nodes fit"
    }

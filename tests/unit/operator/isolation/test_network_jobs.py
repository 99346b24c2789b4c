"""The Jobs that try the network, and what is read from their pods."""

import pytest

from dreamhub.crd.tenant import Tenant
from dreamhub_operator.desired.job import WorkerTemplate
from dreamhub_operator.desired.network import build_network_policies
from dreamhub_operator.isolation.network_jobs import (
    PORT,
    PROBE_LABEL,
    Target,
    build_connector,
    build_listener,
    is_allowed,
    judge,
    read_pod,
    read_results,
)
from dreamhub_operator.isolation.outcome import Blocked, Inconclusive, Leaked, Outcome
from dreamhub_operator.isolation.round import find_database, find_kubernetes
from dreamhub_operator.kinds import Manifest
from dreamhub_operator.settings import Dns, EgressRule
from tests.unit.operator.builders import tenant

WORKER = WorkerTemplate("worker:1", "1", {}, "IfNotPresent", ("regcred",), 1, "INFO", 60)
CONTROL = Target("the database", "db", 5432)
PEER = Target("a pod of beta", "10.0.0.7", PORT)


def jobs() -> list[Manifest]:
    return [build_listener("acme", "0a1b", WORKER), build_connector("acme", "0a1b", WORKER, CONTROL, [PEER])]


@pytest.mark.parametrize("job", jobs(), ids=["listener", "connector"])
def test_job_leaves_nothing_behind_and_needs_no_right(job: Manifest) -> None:
    spec, pod = job["spec"], job["spec"]["template"]["spec"]
    container = pod["containers"][0]
    assert spec["activeDeadlineSeconds"] <= 90
    assert spec["ttlSecondsAfterFinished"] <= 60
    assert spec["backoffLimit"] == 0
    assert pod["automountServiceAccountToken"] is False
    assert "volumes" not in pod
    assert "env" not in container
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["resources"]["limits"] == {"cpu": "200m", "memory": "64Mi"}
    assert job["metadata"]["labels"][PROBE_LABEL] == "0a1b"
    assert "dreamhub.dev/owner-uid" not in job["metadata"]["labels"]


@pytest.mark.parametrize("job", jobs(), ids=["listener", "connector"])
def test_policies_take_its_pod_for_a_worker(job: Manifest) -> None:
    egress = build_network_policies(tenant(), [], Dns())[1]
    wanted = egress["spec"]["podSelector"]["matchLabels"]
    assert wanted.items() <= job["spec"]["template"]["metadata"]["labels"].items()


def test_nothing_of_the_peer_but_an_address_is_told() -> None:
    job = build_connector("dreamhub-canary", "0a1b", WORKER, CONTROL, [PEER])
    assert job["spec"]["template"]["spec"]["containers"][0]["args"] == ["connect", "db:5432", f"10.0.0.7:{PORT}"]
    assert "beta" not in str(job)


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        ({"db:5432": "open", f"10.0.0.7:{PORT}": "silent"}, Blocked()),
        ({"db:5432": "open", f"10.0.0.7:{PORT}": "refused"}, Blocked()),
        ({"db:5432": "open", f"10.0.0.7:{PORT}": "open"}, Leaked(f"a connection to 10.0.0.7:{PORT} was opened")),
        (
            {"db:5432": "silent", f"10.0.0.7:{PORT}": "silent"},
            Inconclusive("the probe's pod could not reach the database either (silent)"),
        ),
        ({}, Inconclusive("the probe's pod could not reach the database either (no result)")),
        ({"db:5432": "open"}, Inconclusive("the probe's pod did not try it")),
    ],
)
def test_verdict(results: dict[str, str], expected: Outcome) -> None:
    assert judge(results, CONTROL, PEER) == expected


@pytest.mark.parametrize("text", ["", "Traceback ...", "[1]", "null"])
def test_unreadable_message_is_no_result(text: str) -> None:
    assert read_results(text) == {}


def test_pod_is_read() -> None:
    terminated = {"state": {"terminated": {"message": "{}", "exitCode": 0}}, "ready": False}
    seen = read_pod({"status": {"phase": "Succeeded", "podIP": "10.0.0.7", "containerStatuses": [terminated]}})
    assert (seen.ip, seen.ready, seen.message) == ("10.0.0.7", False, "{}")
    waiting = {"state": {"waiting": {"reason": "ImagePullBackOff"}}, "ready": False}
    assert read_pod({"status": {"containerStatuses": [waiting]}}).waiting == "ImagePullBackOff"
    unschedulable = [{"type": "PodScheduled", "status": "False", "message": "no node fits"}]
    assert read_pod({"status": {"conditions": unschedulable}}).waiting == "no node fits"
    assert read_pod({}).message is None


def with_egress(to: str, port: int) -> Tenant:
    return tenant(network={"egress": [{"to": to, "ports": [port]}]})


@pytest.mark.parametrize(
    ("found", "platform", "expected"),
    [
        (tenant(), [], False),
        (with_egress("10.0.0.0/8", 443), [], True),
        (with_egress("10.0.0.0/8", 80), [], False),
        (with_egress("192.0.2.0/24", 443), [], False),
        (tenant(), [EgressRule.model_validate({"cidr": "0.0.0.0/0", "ports": [443]})], True),
        (tenant(), [EgressRule.model_validate({"namespace": "x", "podSelector": {}, "ports": [443]})], False),
    ],
)
def test_what_was_opened_on_purpose_is_no_leak(found: Tenant, platform: list[EgressRule], *, expected: bool) -> None:
    assert is_allowed(Target("the Kubernetes API", "10.96.0.1", 443), found.spec, platform) is expected


def test_addresses() -> None:
    assert Target("x", "fd00::1", 443).address == "[fd00::1]:443"
    assert find_kubernetes("https://10.96.0.1:443").address == "10.96.0.1:443"
    assert find_kubernetes("https://[fd00::1]").address == "[fd00::1]:443"
    assert find_kubernetes("https://kubernetes.default").host == ""
    assert find_database("db.example:6432/dreamhub").address == "db.example:6432"
    assert find_database("db/dreamhub").port == 5432

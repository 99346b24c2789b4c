"""Golden parts of what is built: security settings are asserted whole, so that none goes unseen."""

import base64
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from dreamhub.domain.job_input import Build, JobInput
from dreamhub.llm.models import BUILTIN_EMBEDDING, DEFAULT_MODELS, ModelSettings, parse_models
from dreamhub_operator.desired.credentials import (
    ROTATION,
    Addresses,
    Credentials,
    Former,
    Passwords,
    build_credentials,
    read_credentials,
    read_entry,
)
from dreamhub_operator.desired.job import WorkerTemplate, build_input, build_job, spec_hash
from dreamhub_operator.desired.model_keys import read_keys, render_models
from dreamhub_operator.desired.namespace import (
    build_namespace,
    build_owner_binding,
    build_service_accounts,
    build_subject,
)
from dreamhub_operator.desired.network import build_network_policies
from dreamhub_operator.desired.ownership import owner_selector
from dreamhub_operator.desired.quota import build_limits, build_quota
from dreamhub_operator.reconcile.job_order import inline_version
from dreamhub_operator.settings import Dns, EgressRule
from dreamhub_worker.last_words import VARIABLE
from tests.unit.operator.builders import ingest_job, tenant

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
WORKER = WorkerTemplate(
    image="dreamhub/worker:1",
    build="1",
    resources={"requests": {"cpu": "1"}, "limits": {"cpu": "1"}},
    pull_policy="IfNotPresent",
    pull_secrets=("registry",),
    size_limit=1000,
    log_level="INFO",
    deadline_seconds=21600,
)


def job(**spec: Any) -> dict[str, Any]:
    return build_job("acme", ingest_job(**spec), WORKER, 1_700_000_000)


def test_a_worker_pod_is_restricted() -> None:
    pod = job()["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "runAsGroup": 65532,
        "fsGroup": 65532,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["automountServiceAccountToken"] is False
    assert pod["restartPolicy"] == "Never"
    assert {next(iter(volume.keys() - {"name"})) for volume in pod["volumes"]} == {"secret", "emptyDir"}


def test_a_job_gives_up_at_once_on_a_permanent_failure_and_never_counts_an_eviction() -> None:
    rules = job()["spec"]["podFailurePolicy"]["rules"]
    assert rules[0]["onExitCodes"] == {"operator": "In", "values": [42], "containerName": "worker"}
    assert rules[1]["action"] == "Ignore", "what it needs was away, or it was moved"
    assert rules[1]["onExitCodes"]["values"] == [75]
    assert rules[2] == {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}


@pytest.mark.parametrize(
    ("source", "asked", "workers"),
    [
        ({"documents": {"ids": ["doc_" + "0" * 31 + digit for digit in "123"]}}, 8, 3),
        ({"documents": {"ids": ["doc_" + "0" * 31 + digit for digit in "123"]}}, 2, 2),
        ({"inline": {"name": "a.md", "text": "words"}}, 8, 1),
        ({"s3": {"prefix": "incoming/"}}, 8, 8),
    ],
    ids=["fewer documents", "more documents", "inline", "unknown"],
)
def test_a_job_has_no_more_workers_than_documents(source: dict[str, Any], asked: int, workers: int) -> None:
    spec = job(source=source, parallelism=asked)["spec"]
    assert (spec["completionMode"], spec["completions"], spec["parallelism"]) == ("Indexed", workers, workers)
    assert (spec["backoffLimitPerIndex"], spec["successPolicy"]) == (3, {"rules": [{"succeededCount": 1}]})


def test_a_worker_says_why_it_ended_where_the_pods_status_tells_it() -> None:
    (container,) = job()["spec"]["template"]["spec"]["containers"]
    told = {entry["name"]: entry.get("value") for entry in container["env"]}
    assert container["terminationMessagePath"] == told[VARIABLE] == "/dev/termination-log"


def test_a_job_does_not_run_for_ever() -> None:
    assert job()["spec"]["activeDeadlineSeconds"] == 21600


def test_a_job_belongs_to_its_ingest_job() -> None:
    metadata = job()["metadata"]
    (owner,) = metadata["ownerReferences"]
    assert (owner["kind"], owner["uid"], owner["controller"]) == ("IngestJob", "job-uid", True)
    assert metadata["labels"]["dreamhub.dev/owner-uid"] == "job-uid"
    assert metadata["labels"] == job()["spec"]["template"]["metadata"]["labels"]
    assert metadata["annotations"]["dreamhub.dev/urls-signed-at"] == "1700000000"


def test_the_hash_covers_the_work_and_nothing_that_may_change() -> None:
    assert spec_hash(ingest_job()) == spec_hash(ingest_job(suspend=True, ttlSecondsAfterFinished=1))
    assert spec_hash(ingest_job()) != spec_hash(ingest_job(force=True))


def test_the_input_holds_the_order_and_a_remote_models_key() -> None:
    order = JobInput(tenant="acme", job="x", uid="job-uid", build=Build(name="1"), embedding_model="m")
    secret = build_input("acme", ingest_job(), order, "models: []", {"api-key-1": "sk-secret"})
    assert JobInput.model_validate_json(read_entry(secret, "job.json") or "") == order
    assert read_entry(secret, "api-key-1") == "sk-secret"


def test_a_worker_is_told_only_its_own_model(tmp_path: Any) -> None:
    key = tmp_path / "key"
    key.write_text("sk-secret\n")
    remote = ModelSettings(name="m", kind="embedding", endpoint="https://x/v1", dimensions=8, api_key_file=key)
    other = ModelSettings(name="o", kind="embedding", endpoint="https://y/v1", dimensions=8, api_key_files=(key, key))
    [told] = parse_models(render_models(remote, "/job")).models
    [(name, secret)] = read_keys(remote).items()
    assert (told.key_files, secret) == ((Path(f"/job/{name}"),), "sk-secret")
    assert not read_keys(other).keys() & read_keys(remote).keys()
    builtin = DEFAULT_MODELS.find("embedding", BUILTIN_EMBEDDING)
    assert "apiKey" not in render_models(builtin, "/job")
    assert read_keys(builtin) == {}


def test_an_inline_text_is_the_same_version_at_each_try() -> None:
    assert inline_version("uid") == inline_version("uid")
    assert inline_version("uid") != inline_version("other")
    assert len(inline_version("uid")) == 36


def test_a_namespace_is_restricted_and_owned() -> None:
    metadata = build_namespace(tenant())["metadata"]
    assert metadata["name"] == "dh-acme"
    assert metadata["labels"]["dreamhub.dev/owner-uid"] == "tenant-uid"
    assert metadata["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_no_service_account_has_its_token_mounted() -> None:
    accounts = build_service_accounts(tenant())
    assert [account["metadata"]["name"] for account in accounts] == ["worker", "owner"]
    assert not any(account["automountServiceAccountToken"] for account in accounts)


def test_owners_are_the_spec_and_the_tenants_own_account() -> None:
    owners = [{"kind": "Group", "name": "admins"}, {"kind": "ServiceAccount", "name": "ci", "namespace": "build"}]
    binding = build_owner_binding(tenant(owners=owners))
    assert binding["subjects"] == [
        {"kind": "ServiceAccount", "name": "owner", "namespace": "dh-acme"},
        {"kind": "Group", "name": "admins", "apiGroup": "rbac.authorization.k8s.io"},
        {"kind": "ServiceAccount", "name": "ci", "namespace": "build"},
    ]
    assert binding["roleRef"]["name"] == "dreamhub-tenant-owner"


@pytest.mark.parametrize(
    ("username", "subject"),
    [
        ("system:serviceaccount:ns:op", {"kind": "ServiceAccount", "name": "op", "namespace": "ns"}),
        ("ada", {"kind": "User", "name": "ada", "apiGroup": "rbac.authorization.k8s.io"}),
    ],
)
def test_subjects(username: str, subject: dict[str, str]) -> None:
    assert build_subject(username) == subject


def test_the_network_is_closed_but_for_what_is_named() -> None:
    rules = [
        EgressRule(namespace="dreamhub-system", pod_selector={"a": "b"}, ports=(5432,)),
        EgressRule.model_validate({"cidr": "10.0.0.0/8", "ports": [443]}),
    ]
    spec = {"network": {"egress": [{"to": "203.0.113.0/24", "ports": [8443]}]}}
    deny, egress, _ = build_network_policies(tenant(**spec), rules, Dns())
    assert deny["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    dns, database, platform, own = egress["spec"]["egress"]
    assert [port["port"] for port in dns["ports"]] == [53, 53]
    assert dns["to"][0]["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "kube-system"}
    assert database["to"][0]["podSelector"] == {"matchLabels": {"a": "b"}}
    assert platform["to"] == [{"ipBlock": {"cidr": "10.0.0.0/8"}}]
    assert own == {"to": [{"ipBlock": {"cidr": "203.0.113.0/24"}}], "ports": [{"protocol": "TCP", "port": 8443}]}


@pytest.mark.parametrize(
    ("wide", "closed"),
    [
        ("0.0.0.0/0", ["169.254.0.0/16"]),
        ("128.0.0.0/1", ["169.254.0.0/16"]),
        ("::/0", ["fe80::/10"]),
        ("10.0.0.0/8", None),
        ("2001:db8::/32", None),
    ],
)
def test_link_local_addresses_stay_closed(wide: str, closed: list[str] | None) -> None:
    _, egress, _ = build_network_policies(tenant(network={"egress": [{"to": wide, "ports": [443]}]}), [], Dns())
    assert egress["spec"]["egress"][-1]["to"][0]["ipBlock"].get("except") == closed


@pytest.mark.parametrize(
    "rule", [{"ports": [1]}, {"cidr": "10.0.0.0/8", "namespace": "x", "ports": [1]}, {"cidr": "x"}]
)
def test_an_egress_rule_has_one_destination(rule: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"egress rule|cidr"):
        EgressRule.model_validate(rule)


def test_the_quota_is_the_spec_and_no_way_out() -> None:
    hard = build_quota(tenant(resources={"requests": {"cpu": 3}}))["spec"]["hard"]
    assert hard["requests.cpu"] == "3"
    assert hard["services.loadbalancers"] == "0"
    assert "default" in build_limits(tenant())["spec"]["limits"][0]


def test_credentials_come_back_as_they_went() -> None:
    passwords = Passwords("p@ss/word:1", "r?d&s")
    former = Former("a", "digest", NOW + timedelta(hours=1))
    credentials = Credentials("b", passwords, NOW, "please", former)
    secret = build_credentials(tenant(), credentials, "KEYS", Addresses("pg:5432/dreamhub", "redis:6379"))
    assert read_credentials(secret) == credentials
    assert read_entry(secret, "keys.json") == "KEYS"
    assert "p@ss" not in repr(passwords)
    assert read_entry(secret, "database-url") == (
        "postgresql://t_acme.b:p%40ss%2Fword%3A1@pg:5432/dreamhub?options=-crole%3Dt_acme"
    )


def test_a_login_of_a_release_without_slots_is_known_as_such() -> None:
    urls = {"database-url": "postgresql://t_acme:p@pg/d", "redis-url": "redis://t_acme:q@redis/0"}
    data = {name: base64.b64encode(url.encode()).decode() for name, url in urls.items()}
    assert read_credentials({"metadata": {}, "data": data}) == Credentials("", Passwords("p", "q"))


@pytest.mark.parametrize("note", ["", "[]", "{", '{"rotated": 3}', '{"former": ["a"]}', '{"former": ["a", "d", "x"]}'])
def test_an_unreadable_note_on_the_logins_costs_the_note_only(note: str) -> None:
    secret = build_credentials(tenant(), Credentials("a", Passwords("p", "q"), NOW), "KEYS", Addresses("pg/d", "redis"))
    secret["metadata"]["annotations"][ROTATION] = note
    assert read_credentials(secret) == Credentials("a", Passwords("p", "q"))


@pytest.mark.parametrize("data", [{}, {"database-url": "%%%"}, {"database-url": "cG9zdGdyZXNxbDovL3gvZGI="}])
def test_broken_credentials_are_made_anew(data: dict[str, str]) -> None:
    assert read_credentials({"metadata": {}, "data": data}) is None
    assert read_credentials(None) is None


def test_an_empty_owner_selects_nothing() -> None:
    with pytest.raises(ValueError, match="no owner UID"):
        owner_selector("")

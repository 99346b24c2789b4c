"""What the API server refuses in tenants' namespaces, and to whom; and what must go on working there.

`ines` owns the tenant and has what the operator gives owners. `oscar` owns it too, and somebody gave him all that the
ClusterRoles `edit` and `admin` hold, and the right to write namespaces: admission takes back what matters. `petra` has
the same rights and may update Tenants: she is a platform administrator. `fiona` owns another tenant.

Requests are dry runs: admission decides, nothing is stored.
"""

from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
import pytest_asyncio

from tests.integration.operator.admission_rows import (
    BATCH,
    CORE,
    DREAMHUB,
    DRY,
    GROUP,
    INSIDE,
    JOB,
    MERGE,
    NETWORK,
    NOT_WORKLOADS,
    POD,
    REFUSED,
    TOKEN_REQUEST,
    WORKLOADS,
    Row,
    job_manifest,
    manifest,
)
from tests.integration.operator.control_plane import Api
from tests.integration.operator.deployment import TENANTS, OperatorProcess, eventually, ready_tenant


async def attempt(api: Api, row: Row) -> tuple[int, str]:
    method, path, body, _ = row
    separator = "&" if "?" in path else "?"
    kind = MERGE if method == "PATCH" else "application/json"
    dry = "" if body is None and method != "DELETE" else f"{separator}dryRun=All"
    status, answer = await api.call(method, path + dry, body, kind)
    return status, answer["message"] if isinstance(answer, dict) and "message" in answer else str(answer)


async def _bind(api: Api, name: str, user: str, role: str, namespace: str | None = None) -> None:
    kind = "RoleBinding" if namespace else "ClusterRoleBinding"
    body = manifest(
        f"{GROUP}/v1",
        kind,
        name,
        roleRef={"apiGroup": GROUP, "kind": "ClusterRole", "name": role},
        subjects=[{"apiGroup": GROUP, "kind": "User", "name": user}],
    )
    scope = f"/namespaces/{namespace}" if namespace else ""
    await api.apply(f"/apis/{GROUP}/v1{scope}/{kind.lower()}s/{name}", body)


async def _define_role(api: Api, name: str, rules: list[dict[str, Any]]) -> None:
    await api.apply(f"/apis/{GROUP}/v1/clusterroles/{name}", manifest(f"{GROUP}/v1", "ClusterRole", name, rules=rules))


MUCH = (
    {"apiGroups": ["apps", "batch"], "resources": ["*"], "verbs": ["*"]},
    {"apiGroups": ["networking.k8s.io", GROUP, "discovery.k8s.io"], "resources": ["*"], "verbs": ["*"]},
    {"apiGroups": [""], "resources": ["*"], "verbs": ["*"]},
)
"""At least what `edit` and `admin` hold: those two are empty where no controller aggregates them."""


@pytest_asyncio.fixture(scope="module")
async def guarded(api: Api, operator_process: OperatorProcess) -> AsyncIterator[Api]:
    """The administrator, and a tenant `guarded` with a pod and a Job in it, its owners, and their other roles."""
    operator_process.ensure()
    owners = [{"kind": "User", "name": name} for name in ("ines", "oscar")]
    await ready_tenant(api, "guarded", owners=owners)
    await ready_tenant(api, "rival", owners=[{"kind": "User", "name": "fiona"}])
    await _define_role(api, "much", list(MUCH))
    tenants = {"apiGroups": ["dreamhub.dev"], "resources": ["tenants"], "verbs": ["update"]}
    await _define_role(api, "platform", [tenants])
    for name in ("oscar", "petra"):
        await _bind(api, f"much-{name}", name, "much", "dh-guarded")
        await _bind(api, f"much-{name}", name, "much")
    await _bind(api, "platform-petra", "petra", "platform")
    await _bind(api, "much-fiona", "fiona", "much", "dh-rival")
    await _bind(api, "much-node", "system:node:n1", "much", "dh-guarded")
    await eventually(lambda: _is_told(api), "bindings and policies have reached the API server")
    running = {**POD, "metadata": {"name": "running"}}
    await api.ok("POST", f"{CORE}/pods", running)
    await api.ok("POST", f"{BATCH}/jobs", {**JOB, "metadata": {"name": "running"}})
    yield api
    await api.ok("DELETE", f"{CORE}/pods/running?gracePeriodSeconds=0")
    await api.ok("DELETE", f"{BATCH}/jobs/running?propagationPolicy=Background")


async def _is_told(api: Api) -> bool:
    refused = (await attempt(api.acting_as("oscar"), WORKLOADS["pod"]))[1]
    admitted = (await attempt(api.acting_as("petra"), WORKLOADS["pod"]))[0]
    node = api.acting_as("system:node:n1", "system:nodes")
    return NOT_WORKLOADS in refused and admitted == 201 and (await node.call("GET", f"{CORE}/secrets"))[0] == 200


@pytest.mark.parametrize("what", REFUSED)
async def test_an_owner_with_edit_is_refused_in_a_sentence(guarded: Api, what: str) -> None:
    status, message = await attempt(guarded.acting_as("oscar"), REFUSED[what])
    assert status == 403, message
    assert REFUSED[what][3] in message
    assert "ValidatingAdmissionPolicy" in message


@pytest.mark.parametrize("what", REFUSED)
async def test_a_platform_administrator_may(guarded: Api, what: str) -> None:
    """With the very rights of the one who is refused, and that to update Tenants: what repairs and tests drift."""
    status, message = await attempt(guarded.acting_as("petra"), REFUSED[what])
    assert "ValidatingAdmissionPolicy" not in message
    assert status < 300 or _is_no_kubelets_fault(status, message), (status, message)


def _is_no_kubelets_fault(status: int, message: str) -> bool:
    """Admitted, and then there is no kubelet to connect to."""
    return status in (400, 500) and ("does not have a host assigned" in message or "address not allowed" in message)


@pytest.mark.parametrize("what", INSIDE)
async def test_an_owner_and_a_strangers_owner_have_no_right_to_ask(guarded: Api, what: str) -> None:
    """Before admission: RBAC. `fiona` has every right in her own tenant's namespace, none in this one."""
    for user in ("ines", "fiona"):
        status, message = await attempt(guarded.acting_as(user), INSIDE[what])
        assert status == 403, message
        assert "ValidatingAdmissionPolicy" not in message


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ({"labels": {"dreamhub.dev/tenant": "rival"}}, "labels dreamhub.dev/*"),
        ({"labels": {"dreamhub.dev/owner-uid": "x"}}, "labels dreamhub.dev/*"),
        ({"ownerReferences": [{"apiVersion": "dreamhub.dev/v1alpha1", "kind": "Tenant"}]}, "owner reference"),
        ({"ownerReferences": [{"apiVersion": "v1", "kind": "Namespace"}]}, "owner reference"),
    ],
)
async def test_no_ingest_job_names_another_tenant(guarded: Api, metadata: dict[str, Any], words: str) -> None:
    references = [{**one, "name": "rival", "uid": "x"} for one in metadata.get("ownerReferences", ())]
    body = job_manifest(**{**metadata, **({"ownerReferences": references} if references else {})})
    for who in (guarded, guarded.acting_as("ines")):
        status, message = await attempt(who, ("POST", f"{DREAMHUB}/namespaces/dh-guarded/ingestjobs", body, ""))
        assert status == 403, message
        assert words in message


async def test_an_owner_orders_follows_and_stops_work(guarded: Api) -> None:
    """All that an owner may, and that it is all: what an IngestJob's life needs."""
    ines, path = guarded.acting_as("ines"), f"{DREAMHUB}/namespaces/dh-guarded/ingestjobs"
    await ines.ok("POST", path, job_manifest(name="hers", labels={"dreamhub.dev/tenant": "guarded", "own": "x"}))
    await ines.merge(f"{path}/hers", {"spec": {"suspend": True}})
    await ines.merge(f"{path}/hers", {"metadata": {"labels": {"own": "y"}}})
    status, message = await ines.call(
        "PATCH", f"{path}/hers", {"metadata": {"labels": {"dreamhub.dev/tenant": "x"}}}, MERGE
    )
    assert status == 403, message
    await ines.ok("GET", f"{CORE}/events")
    await ines.ok("DELETE", f"{path}/hers")
    assert (await ines.call("GET", f"{DREAMHUB}/namespaces/dh-rival/ingestjobs"))[0] == 403
    rules = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": "dh-guarded"},
    }
    review = await ines.ok("POST", "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", rules)
    found = {
        resource: set(rule["verbs"])
        for rule in review["status"]["resourceRules"]
        if "authorization.k8s.io" not in rule["apiGroups"] and "authentication.k8s.io" not in rule["apiGroups"]
        for resource in rule["resources"]
    }
    assert found == {
        "ingestjobs": {"get", "list", "watch", "create", "patch", "delete"},
        "erasurerequests": {"get", "list", "watch", "create"},
        "events": {"get", "list", "watch"},
    }


@pytest.mark.parametrize("namespace", ["default", "kube-system"])
async def test_an_ingest_job_outside_of_tenants_is_refused_in_a_sentence(guarded: Api, namespace: str) -> None:
    row = ("POST", f"{DREAMHUB}/namespaces/{namespace}/ingestjobs", job_manifest(), "")
    status, message = await attempt(guarded, row)
    assert status == 403
    assert f"namespace {namespace} is no tenant's" in message


async def test_a_suspended_tenants_namespace_takes_no_ingest_job_and_says_why(guarded: Api) -> None:
    await ready_tenant(guarded, "resting", suspend=True)
    row = ("POST", f"{DREAMHUB}/namespaces/dh-resting/ingestjobs", job_manifest(), "")
    status, message = await attempt(guarded, row)
    assert status == 403
    assert "tenant resting is suspended" in message
    await guarded.merge(f"{TENANTS}/resting", {"spec": {"suspend": False}})

    async def taken() -> bool:
        return (await attempt(guarded, row))[0] == 201

    await eventually(taken, "a resumed tenant takes IngestJobs")


@pytest.mark.parametrize("value", [None, "false"])
async def test_a_suspended_label_that_was_changed_by_hand_comes_back(guarded: Api, value: str | None) -> None:
    await ready_tenant(guarded, f"held-{value}".lower(), suspend=True)
    path = f"/api/v1/namespaces/dh-held-{value}".lower()
    await guarded.merge(path, {"metadata": {"labels": {"dreamhub.dev/suspended": value}}})

    async def back() -> bool:
        labels = (await guarded.ok("GET", path))["metadata"]["labels"]
        return bool(labels.get("dreamhub.dev/suspended") == "true")

    await eventually(back, "the label is back")


CONTROLLERS: dict[str, Row] = {
    "job-controller": ("POST", f"{CORE}/pods", POD, ""),
    "namespace-controller": ("DELETE", f"{NETWORK}/networkpolicies/default-deny", None, ""),
    "generic-garbage-collector": ("DELETE", f"{BATCH}/jobs/running", None, ""),
    "ttl-after-finished-controller": ("DELETE", f"{BATCH}/jobs/running", None, ""),
    "service-account-controller": ("POST", f"{CORE}/serviceaccounts", manifest("v1", "ServiceAccount"), ""),
    "root-ca-cert-publisher": ("POST", f"{CORE}/configmaps", manifest("v1", "ConfigMap"), ""),
}


@pytest.mark.parametrize("controller", CONTROLLERS)
async def test_kubernetes_own_controllers_go_on(guarded: Api, controller: str) -> None:
    user = f"system:serviceaccount:kube-system:{controller}"
    api = guarded.acting_as(user, "system:serviceaccounts", "system:serviceaccounts:kube-system")
    status, message = await attempt(api, CONTROLLERS[controller])
    assert status < 300, message


async def test_a_namespace_can_be_finalized_and_foreign_marks_stay_free(guarded: Api) -> None:
    user = "system:serviceaccount:kube-system:namespace-controller"
    controller = guarded.acting_as(user, "system:serviceaccounts", "system:serviceaccounts:kube-system")
    live = await guarded.ok("GET", CORE)
    live["spec"]["finalizers"] = ["kubernetes"]
    assert (await controller.call("PUT", f"{CORE}/finalize{DRY}", live))[0] == 200
    for path, body in (
        (CORE, {"metadata": {"labels": {"istio-injection": "disabled"}, "annotations": {"team": "x"}}}),
        (f"{CORE}/pods/running", {"metadata": {"annotations": {"network/ip": "10.0.0.1"}}}),
        ("/api/v1/namespaces/default", {"metadata": {"labels": {"pod-security.kubernetes.io/warn": "baseline"}}}),
    ):
        await guarded.acting_as("oscar").ok("PATCH", path + DRY, body, MERGE)
    ordinary = manifest("v1", "Namespace", "ordinary")
    await guarded.acting_as("oscar").ok("POST", f"/api/v1/namespaces{DRY}", ordinary)
    await guarded.acting_as("oscar").ok("POST", f"/api/v1/namespaces/default/pods{DRY}", POD)


async def test_tokens_are_given_out_for_the_owner(guarded: Api) -> None:
    await guarded.acting_as("oscar").ok("POST", f"{CORE}/serviceaccounts/owner/token{DRY}", TOKEN_REQUEST)


async def test_a_node_may_ask_for_its_pods_tokens(guarded: Api) -> None:
    """The kubelet, here with a right that the node authoriser would give it."""
    node = guarded.acting_as("system:node:n1", "system:nodes")
    await node.ok("POST", f"{CORE}/serviceaccounts/worker/token{DRY}", TOKEN_REQUEST)


def tenant_named(name: str) -> Mapping[str, Any]:
    return manifest("dreamhub.dev/v1alpha1", "Tenant", name, spec={})


async def test_the_canarys_name_is_the_operators_and_it_makes_no_other(guarded: Api, operator_token: str) -> None:
    operator = Api(guarded.session, guarded.url, operator_token)
    status, answer = await guarded.call("POST", TENANTS + DRY, tenant_named("dreamhub-canary"))
    assert status == 403
    assert "reserved" in answer["message"]
    assert (await operator.call("POST", TENANTS + DRY, tenant_named("another")))[0] == 403
    await guarded.ok("POST", TENANTS + DRY, tenant_named("another"))
    await operator.ok("POST", TENANTS + DRY, tenant_named("dreamhub-canary"))


async def test_no_policy_has_a_rule_that_fails_to_compile(guarded: Api) -> None:
    """The API server checks expressions against the kinds that they meet, and only notes what it finds."""
    path = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"
    for policy in (await guarded.ok("GET", path))["items"]:
        warnings = policy.get("status", {}).get("typeChecking", {}).get("expressionWarnings", [])
        assert warnings == [], policy["metadata"]["name"]

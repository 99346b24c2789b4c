"""Each admission policy alone, on a Kubernetes API server that never had another: one request that only it refuses.

Policies take effect a moment after they are made, all that were made before at once: a policy of the test's own, made
last, tells when. So a request that goes through is one that nothing refuses, not one that came too early.
"""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from dreamhub.crd.definitions import DEFINITIONS, build_crd
from tests.integration.operator.control_plane import Api, install_crds, start_control_plane, wait_ready
from tests.integration.operator.deployment import ACCOUNT, SYSTEM, eventually, install_rights

RIGHTS = "/apis/rbac.authorization.k8s.io/v1"
ADMISSION = "/apis/admissionregistration.k8s.io/v1"
GROUP = "rbac.authorization.k8s.io"
OPERATOR = f"system:serviceaccount:{SYSTEM}:{ACCOUNT}"
Row = tuple[str, str, str, dict[str, Any] | None]
"""Who asks, method, path and body."""


def named(version: str, kind: str, name: str, /, **fields: Any) -> dict[str, Any]:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}, **fields}


def bound(kind: str, name: str, role: str, user: str = "mallory") -> dict[str, Any]:
    subjects = [{"apiGroup": GROUP, "kind": "User", "name": user}]
    reference = {"apiGroup": GROUP, "kind": "ClusterRole", "name": role}
    return named(f"{GROUP}/v1", kind, name, roleRef=reference, subjects=subjects)


INGEST_JOB = named(
    "dreamhub.dev/v1alpha1", "IngestJob", "mine", spec={"source": {"inline": {"name": "a", "text": "b"}}}
)
APPROVED = named("dreamhub.dev/v1alpha1", "IngestJob", "mine", spec={**INGEST_JOB["spec"], "approved": True})
POD = named("v1", "Pod", "mine", spec={"containers": [{"name": "main", "image": "chosen/by-me:1"}]})
OPEN = named("networking.k8s.io/v1", "NetworkPolicy", "open", spec={"podSelector": {}, "ingress": [{}]})
LABELLED = {
    "apiVersion": "v1",
    "kind": "Namespace",
    "metadata": {"name": "forged", "labels": {"dreamhub.dev/tenant": "victim"}},
}

ROWS: dict[str, Row] = {
    "dreamhub-tenant-roles": (
        "mallory",
        "POST",
        f"{RIGHTS}/namespaces/kube-system/rolebindings",
        bound("RoleBinding", "x", "dreamhub-operator-tenant"),
    ),
    "dreamhub-operator-confined": (OPERATOR, "POST", "/api/v1/namespaces", named("v1", "Namespace", "elsewhere")),
    "dreamhub-tenant-workloads": ("mallory", "POST", "/api/v1/namespaces/dh-victim/pods", POD),
    "dreamhub-tenant-objects": (
        "mallory",
        "POST",
        "/apis/networking.k8s.io/v1/namespaces/dh-victim/networkpolicies",
        OPEN,
    ),
    "dreamhub-tenant-namespaces": ("mallory", "POST", "/api/v1/namespaces", LABELLED),
    "dreamhub-tenant-requests": (
        "mallory",
        "POST",
        "/apis/dreamhub.dev/v1alpha1/namespaces/default/ingestjobs",
        INGEST_JOB,
    ),
    "dreamhub-approvals": (
        "mallory",
        "POST",
        "/apis/dreamhub.dev/v1alpha1/namespaces/dh-victim/ingestjobs",
        APPROVED,
    ),
    "dreamhub-canary": (
        "mallory",
        "POST",
        "/apis/dreamhub.dev/v1alpha1/tenants",
        named("dreamhub.dev/v1alpha1", "Tenant", "dreamhub-canary", spec={}),
    ),
}


@pytest_asyncio.fixture(scope="module")
async def guarded(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Api]:
    """A server of its own, with what the chart installs, a tenant's namespace, and mallory, who may do nearly all."""
    plane = start_control_plane(tmp_path_factory.mktemp("own-control-plane"))
    try:
        async with aiohttp.ClientSession() as session:
            api = Api(session, plane.url)
            await wait_ready(api, plane)
            await install_crds(api, [build_crd(definition) for definition in DEFINITIONS])
            await install_rights(api)
            await _make_scene(api)
            await _make_sentinel(api)
            yield api
    finally:
        plane.stop()


async def _make_scene(api: Api) -> None:
    """Mallory may update no Tenant: whoever may is a platform administrator."""
    labels = {"dreamhub.dev/tenant": "victim", "dreamhub.dev/owner-uid": "u"}
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "dh-victim", "labels": labels}}
    await api.apply("/api/v1/namespaces/dh-victim", namespace)
    everything = {"apiGroups": ["", "apps", "batch", "networking.k8s.io", GROUP], "resources": ["*"], "verbs": ["*"]}
    ours = {"apiGroups": ["dreamhub.dev"], "resources": ["*"], "verbs": ["create", "get", "list"]}
    role = named(f"{GROUP}/v1", "ClusterRole", "nearly-all", rules=[everything, ours])
    await api.apply(f"{RIGHTS}/clusterroles/nearly-all", role)
    await api.apply(f"{RIGHTS}/clusterrolebindings/mallory", bound("ClusterRoleBinding", "mallory", "nearly-all"))


async def _make_sentinel(api: Api) -> None:
    name, version = "made-last", "admissionregistration.k8s.io/v1"
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}
    spec = {
        "matchConstraints": {"resourceRules": [rule]},
        "validations": [
            {"expression": "object.metadata.name != 'made-last'", "message": "the last policy is in force"}
        ],
    }
    policy = named(version, "ValidatingAdmissionPolicy", name, spec=spec)
    await api.apply(f"{ADMISSION}/validatingadmissionpolicies/{name}", policy)
    binding = named(
        version, "ValidatingAdmissionPolicyBinding", name, spec={"policyName": name, "validationActions": ["Deny"]}
    )
    await api.apply(f"{ADMISSION}/validatingadmissionpolicybindings/{name}", binding)
    request = ("mallory", "POST", "/api/v1/namespaces/default/configmaps", named("v1", "ConfigMap", name))

    async def in_force() -> bool:
        return "the last policy is in force" in (await ask(api, request))[1]

    await eventually(in_force, "policies and rights have reached the API server")


async def ask(api: Api, row: Row) -> tuple[int, str]:
    """A dry run: admission decides, nothing is stored."""
    user, method, path, body = row
    groups = ("system:serviceaccounts",) if user == OPERATOR else ()
    dry = body or {"apiVersion": "v1", "kind": "DeleteOptions", "dryRun": ["All"]}
    query = "" if body is None else "?dryRun=All"
    status, answer = await api.acting_as(user, *groups).call(method, path + query, dry)
    return status, answer.get("message", "") if isinstance(answer, dict) else answer


@pytest.mark.parametrize("policy", ROWS)
async def test_policy_refuses(guarded: Api, policy: str) -> None:
    status, message = await ask(guarded, ROWS[policy])
    assert status in {403, 422}, "it went through"
    assert f"ValidatingAdmissionPolicy '{policy}'" in message


async def test_every_policy_has_its_row(guarded: Api) -> None:
    """A new policy needs a request above that it alone refuses, and a wall in tests/walls."""
    found = (await guarded.ok("GET", f"{ADMISSION}/validatingadmissionpolicies"))["items"]
    assert {item["metadata"]["name"] for item in found} - {"made-last"} == set(ROWS)


async def test_same_requests_elsewhere_go_through(guarded: Api) -> None:
    """So that a refusal above is the policy's, not a missing right."""
    for user, method, path, body in (
        ("mallory", "POST", "/api/v1/namespaces/default/pods", POD),
        ("mallory", "POST", "/apis/networking.k8s.io/v1/namespaces/default/networkpolicies", OPEN),
        ("mallory", "POST", "/api/v1/namespaces", named("v1", "Namespace", "harmless")),
        ("mallory", "POST", "/apis/dreamhub.dev/v1alpha1/namespaces/dh-victim/ingestjobs", INGEST_JOB),
        (OPERATOR, "DELETE", "/api/v1/namespaces/dh-victim", None),
    ):
        status, message = await ask(guarded, (user, method, path, body))
        assert status < 300, (path, message)

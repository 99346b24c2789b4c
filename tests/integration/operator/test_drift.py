"""Whatever of a tenant somebody changes or takes away by hand is put back, counted, and told by an Event."""

import base64
import re
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
from redis.asyncio import Redis
from redis.exceptions import AuthenticationError
from typing_extensions import override

from tests.integration.operator.control_plane import Api
from tests.integration.operator.deployment import (
    OperatorProcess,
    eventually,
    ready_tenant,
)
from tests.integration.operator.drift import TENANT, ensure_tenant, read_drift, watch_drift

RBAC = f"/apis/rbac.authorization.k8s.io/v1/namespaces/dh-{TENANT}/rolebindings"
CORE = f"/api/v1/namespaces/dh-{TENANT}"
POLICIES = f"/apis/networking.k8s.io/v1/namespaces/dh-{TENANT}/networkpolicies"
OTHERS = {"labels": {"team": "red"}, "annotations": {"of-others": "stays"}}
NOBODY = [{"kind": "User", "name": "mallory", "apiGroup": "rbac.authorization.k8s.io"}]


@dataclass(frozen=True)
class Target:
    label: str
    path: str
    change: dict[str, Any]
    """What somebody sets by hand."""
    field: str
    """Where that is, as the Event names it."""

    @override
    def __str__(self) -> str:
        return self.label


TARGETS = [
    Target("RoleBinding/owners", f"{RBAC}/owners", {"subjects": NOBODY}, "subjects"),
    Target("RoleBinding/dreamhub-operator", f"{RBAC}/dreamhub-operator", {"subjects": NOBODY}, "subjects"),
    Target(
        "ServiceAccount/worker",
        f"{CORE}/serviceaccounts/worker",
        {"automountServiceAccountToken": True},
        "automountServiceAccountToken",
    ),
    Target(
        "ResourceQuota/tenant",
        f"{CORE}/resourcequotas/tenant",
        {"spec": {"hard": {"services.nodeports": "9"}}},
        "spec.hard.services.nodeports",
    ),
    Target("LimitRange/tenant", f"{CORE}/limitranges/tenant", {"spec": {"limits": []}}, "spec.limits"),
    Target("NetworkPolicy/default-deny", f"{POLICIES}/default-deny", {"spec": {"ingress": [{}]}}, "spec.ingress"),
    Target("NetworkPolicy/worker-egress", f"{POLICIES}/worker-egress", {"spec": {"egress": [{}]}}, "spec.egress"),
    Target(
        "Secret/dreamhub-credentials",
        f"{CORE}/secrets/dreamhub-credentials",
        {"data": {"extra": "bXk="}},
        "data.extra",
    ),
]
NAMESPACE = Target(
    f"Namespace/dh-{TENANT}",
    f"/api/v1/namespaces/dh-{TENANT}",
    {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "privileged"}}},
    "metadata.labels[pod-security.kubernetes.io/enforce]",
)


@pytest_asyncio.fixture(scope="module")
async def tenant(api: Api, operator_process: OperatorProcess) -> str:
    operator_process.ensure()
    await ensure_tenant(api)
    return TENANT


@pytest.fixture
def _settled(tenant: str, operator: OperatorProcess) -> None:
    """There is such a Tenant, and an operator."""


@pytest.mark.usefixtures("_settled")
@pytest.mark.parametrize("target", [*TARGETS, NAMESPACE], ids=str)
async def test_what_is_modified_is_set_back(api: Api, operator: OperatorProcess, target: Target) -> None:
    await api.merge(f"{target.path}?fieldManager=others", {"metadata": OTHERS})
    before = await api.ok("GET", target.path)
    witness = await watch_drift(api, operator, target.label.partition("/")[0])
    await api.merge(f"{target.path}?fieldManager=mallory", target.change)

    async def restored() -> dict[str, Any] | None:
        live: dict[str, Any] = await api.ok("GET", target.path)
        same = all(live.get(part) == before.get(part) for part in ("spec", "subjects", "automountServiceAccountToken"))
        labels = live["metadata"]["labels"] == before["metadata"]["labels"]
        return live if same and labels and sorted(live.get("data", {})) == sorted(before.get("data", {})) else None

    live = await eventually(restored, f"{target} is as before", 60)
    assert live["metadata"]["labels"]["team"] == "red"
    assert live["metadata"]["annotations"]["of-others"] == "stays"
    await witness.expect(target.label, target.field, "mallory")


@pytest.mark.usefixtures("_settled")
@pytest.mark.parametrize("target", TARGETS, ids=str)
async def test_what_is_deleted_comes_back(api: Api, operator: OperatorProcess, target: Target) -> None:
    before = await api.ok("GET", target.path)
    witness = await watch_drift(api, operator, target.label.partition("/")[0])
    await api.ok("DELETE", target.path)

    async def restored() -> bool:
        status, live = await api.call("GET", target.path)
        return status == 200 and live["metadata"]["uid"] != before["metadata"]["uid"]

    await eventually(restored, f"{target} is back", 60)
    await witness.expect(target.label, "the whole object")


@pytest.mark.usefixtures("_settled")
async def test_logins_of_a_person_are_not_kept(api: Api, operator: OperatorProcess) -> None:
    """Who may write the Secret could choose a password to log in with later."""
    path = f"{CORE}/secrets/dreamhub-credentials"
    url = _text(await api.ok("GET", path), "redis-url")
    login, _, address = url.rpartition("@")
    forged = f"{login.rpartition(':')[0]}:chosen-by-mallory@{address}"
    witness = await watch_drift(api, operator, "Secret")
    await api.merge(f"{path}?fieldManager=mallory", {"data": {"redis-url": base64.b64encode(forged.encode()).decode()}})

    async def works() -> bool:
        fresh = _text(await api.ok("GET", path), "redis-url")
        return fresh != forged and await _logs_in(fresh)

    await eventually(works, "another password, and it works", 60)
    assert not await _logs_in(forged)
    await witness.expect("Secret/dreamhub-credentials", "data.redis-url", "mallory")


def _text(secret: dict[str, Any], name: str) -> str:
    return base64.b64decode(secret["data"][name]).decode()


async def _logs_in(url: str) -> bool:
    client = Redis.from_url(url)
    try:
        return bool(await client.ping())
    except AuthenticationError:
        return False
    finally:
        await client.aclose()


async def test_a_change_is_seen_when_it_happens_and_not_when_its_time_comes(
    api: Api, operator: OperatorProcess, operator_environment: dict[str, str]
) -> None:
    """Looks by the clock go by what the watches have told, but one in ten minutes: only the watch is back so soon."""
    await ready_tenant(api, "patient")
    assert operator.stop() == 0
    slow = OperatorProcess({**operator.environment, "DREAMHUB_DRIFT_SECONDS": "45"}, operator.log, operator.port)
    slow.start()
    try:
        path = "/apis/networking.k8s.io/v1/namespaces/dh-patient/networkpolicies/default-deny"
        await eventually(lambda: _leads(slow), "the slow one leads", 60)
        for _ in range(2):
            await api.ok("DELETE", path)

            async def back() -> bool:
                return (await api.call("GET", path))[0] == 200

            await eventually(back, "the policy is back")
    finally:
        slow.stop()


async def _leads(operator: OperatorProcess) -> bool:
    """And has looked at every Tenant once."""
    lines = (await operator.fetch("/metrics")).splitlines()
    return any(line.startswith("dreamhub_tenants_reconciled ") and float(line.split()[1]) > 0 for line in lines)


FOREIGN = {
    "NetworkPolicy/wide-open": (
        POLICIES,
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": "wide-open"},
            "spec": {"podSelector": {}, "ingress": [{}]},
        },
    ),
    "RoleBinding/helpers": (
        RBAC,
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": "helpers", "labels": {"dreamhub.dev/owner-uid": "somebody-elses"}},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
            "subjects": NOBODY,
        },
    ),
}


async def count_foreign(operator: OperatorProcess, kind: str) -> float:
    """Of all tenants: other tests' are among them."""

    page = await operator.fetch("/metrics")
    found = re.search(rf'^dreamhub_foreign_objects{{kind="{kind}"}} (\S+)$', page, re.MULTILINE)
    return float(found[1]) if found else 0.0


@pytest.mark.usefixtures("_settled")
@pytest.mark.parametrize("label", FOREIGN)
async def test_what_an_administrator_adds_is_told_and_left_alone(
    api: Api, operator: OperatorProcess, label: str
) -> None:
    path, body = FOREIGN[label]
    kind, _, name = label.partition("/")
    before = await count_foreign(operator, kind)
    await api.ok("POST", path, body)

    async def told() -> bool:
        events = (await api.ok("GET", "/api/v1/namespaces/default/events"))["items"]
        named = any(e["reason"] == "ForeignObject" and e["message"].startswith(f"{label} ") for e in events)
        return named and label in (await read_drift(api)).get("foreign", [])

    await eventually(told, f"{label} told", 60)
    assert await count_foreign(operator, kind) == before + 1
    await api.ok("DELETE", f"{path}/{name}")

    async def forgotten() -> bool:
        return not (await read_drift(api)).get("foreign")

    await eventually(forgotten, f"{label} is not named any more", 60)

"""Tenants on a real API server: what is made, what is set back, what is refused."""

import base64
from typing import Any

import asyncpg
import pytest
from redis.asyncio import Redis
from redis.exceptions import NoPermissionError

from dreamhub.domain.envelope import MasterKeys, is_wrapped
from dreamhub.domain.key_ring import KeyRing
from dreamhub.domain.keys import DataKeys
from dreamhub_operator.desired.credentials import read_entry
from tests.integration.operator.control_plane import Api
from tests.integration.operator.deployment import (
    SYSTEM,
    TENANTS,
    OperatorProcess,
    condition,
    eventually,
    look_again,
    ready_tenant,
    tenant_manifest,
)

VAULT = f"/api/v1/namespaces/{SYSTEM}/secrets/dreamhub-tenant-keys"
MASTERS = f"/api/v1/namespaces/{SYSTEM}/secrets/dreamhub-master-keys"


def policies(tenant: str, name: str = "") -> str:
    return f"/apis/networking.k8s.io/v1/namespaces/dh-{tenant}/networkpolicies/{name}".rstrip("/")


async def read_credentials(api: Api, tenant: str) -> dict[str, str]:
    secret = await api.ok("GET", f"/api/v1/namespaces/dh-{tenant}/secrets/dreamhub-credentials")
    return {key: base64.b64decode(text).decode() for key, text in secret["data"].items()}


async def test_a_tenant_gets_everything_and_its_logins_work(api: Api, operator: OperatorProcess) -> None:
    tenant = await ready_tenant(api, "acme", owners=[{"kind": "User", "name": "ada"}])

    assert tenant["status"]["phase"] == "Active"
    assert tenant["metadata"]["finalizers"] == ["dreamhub.dev/operator"]
    namespace = await api.ok("GET", "/api/v1/namespaces/dh-acme")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert tenant["status"]["namespace"] == {"name": "dh-acme", "uid": namespace["metadata"]["uid"]}
    logins = await read_credentials(api, "acme")
    conn = await asyncpg.connect(logins["database-url"])
    assert await conn.fetchval("select current_user") == "t_acme"
    assert await conn.fetchval("select count(*) from documents") == 0
    await conn.close()
    client = Redis.from_url(logins["redis-url"])
    assert await client.ping()
    with pytest.raises(NoPermissionError):
        await client.hset("dh:{other}:job:x", "a", "b")
    await client.aclose()
    entry = read_entry(await api.ok("GET", VAULT), "acme.json") or ""
    masters = MasterKeys.parse(read_entry(await api.ok("GET", MASTERS), "master-keys.json") or "")
    assert is_wrapped(entry)
    assert KeyRing.parse(masters.unwrap("acme", entry)).keys == DataKeys.parse(logins["keys.json"])


async def test_owners_may_ingest_and_nothing_more(api: Api, operator: OperatorProcess) -> None:
    await ready_tenant(api, "owned", owners=[{"kind": "User", "name": "ada"}])

    async def may(verb: str, group: str, resource: str, namespace: str) -> bool:
        attributes = {"verb": verb, "group": group, "resource": resource, "namespace": namespace}
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {"user": "ada", "resourceAttributes": attributes},
        }
        answer = await api.ok("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
        return bool(answer["status"].get("allowed"))

    assert await may("create", "dreamhub.dev", "ingestjobs", "dh-owned")
    assert await may("create", "dreamhub.dev", "erasurerequests", "dh-owned")
    assert not await may("list", "", "pods", "dh-owned")
    assert not await may("list", "batch", "jobs", "dh-owned")
    assert not await may("get", "", "secrets", "dh-owned")
    assert not await may("create", "", "pods", "dh-owned")
    assert not await may("create", "dreamhub.dev", "ingestjobs", "default")


async def test_an_opened_network_is_closed_again_and_told(api: Api, operator: OperatorProcess) -> None:
    await ready_tenant(api, "drifting")
    await api.merge(f"{policies('drifting', 'default-deny')}?fieldManager=mallory", {"spec": {"ingress": [{}]}})

    async def closed() -> bool:
        live = await api.ok("GET", policies("drifting", "default-deny"))
        return not live["spec"].get("ingress")

    await eventually(closed, "the rule is gone")

    async def counted() -> dict[str, Any] | None:
        status: dict[str, dict[str, Any]] = (await api.ok("GET", f"{TENANTS}/drifting"))["status"]
        return status.get("drift")

    drift = await eventually(counted, "the drift is counted")
    assert drift["corrected"] == 1
    assert drift["lastObject"] == "NetworkPolicy/default-deny"
    assert drift["lastFields"] == "spec.ingress"

    async def told() -> bool:
        events = await api.ok("GET", "/api/v1/namespaces/default/events")
        messages = [event["message"] for event in events["items"] if event["reason"] == "DriftCorrected"]
        return any("mallory" in message and "spec.ingress" in message for message in messages)

    await eventually(told, "an Event that names editor and field")


async def test_what_is_taken_away_comes_back(api: Api, operator: OperatorProcess, redis_client: Redis) -> None:
    await ready_tenant(api, "robbed")
    before = await read_credentials(api, "robbed")
    await api.ok("DELETE", policies("robbed", "worker-egress"))
    await api.ok("DELETE", "/apis/rbac.authorization.k8s.io/v1/namespaces/dh-robbed/rolebindings/dreamhub-operator")
    await api.ok("DELETE", "/api/v1/namespaces/dh-robbed/secrets/dreamhub-credentials")
    await redis_client.acl_deluser("t_robbed")

    async def restored() -> bool:
        found = await api.ok("GET", policies("robbed"))
        names = {item["metadata"]["name"] for item in found["items"]}
        users = {str(name, "ascii") if isinstance(name, bytes) else name for name in await redis_client.acl_users()}
        status, _ = await api.call("GET", "/api/v1/namespaces/dh-robbed/secrets/dreamhub-credentials")
        return names == {"default-deny", "worker-egress", "source-egress"} and "t_robbed" in users and status == 200

    await eventually(restored, "everything is back")
    after = await read_credentials(api, "robbed")
    assert after["keys.json"] == before["keys.json"]

    async def logs_in() -> bool:
        try:
            conn = await asyncpg.connect((await read_credentials(api, "robbed"))["database-url"])
        except asyncpg.InvalidAuthorizationSpecificationError:
            return False
        await conn.close()
        return True

    await eventually(logs_in, "the new password works")


async def test_a_settled_tenant_is_left_in_peace(api: Api, operator: OperatorProcess) -> None:
    """A difference that the API server itself makes (defaults, units) would be set back for ever."""
    await ready_tenant(api, "quiet", resources={"requests": {"cpu": "0.5", "memory": "1024Mi"}, "limits": {"cpu": 1}})
    paths = [policies("quiet", "default-deny"), "/api/v1/namespaces/dh-quiet/resourcequotas/tenant", f"{TENANTS}/quiet"]
    await look_again(api, operator)  # what is told a little later than Ready is told by then
    before = [(await api.ok("GET", path))["metadata"]["resourceVersion"] for path in paths]
    await look_again(api, operator)
    after = [(await api.ok("GET", path))["metadata"]["resourceVersion"] for path in paths]
    assert after == before


async def test_a_foreign_namespace_is_never_taken(api: Api, operator: OperatorProcess) -> None:
    await api.ok(
        "POST", "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "dh-foreign"}}
    )
    await api.ok("POST", TENANTS, tenant_manifest("foreign"))

    async def stalled() -> dict[str, Any] | None:
        body: dict[str, Any] = await api.ok("GET", f"{TENANTS}/foreign")
        return condition(body, "Stalled") if condition(body, "Stalled").get("status") == "True" else None

    found = await eventually(stalled, "stalled")
    assert found["reason"] == "NamespaceForeign"
    assert "kubectl label namespace dh-foreign" in found["message"]
    namespace = await api.ok("GET", "/api/v1/namespaces/dh-foreign")
    assert "dreamhub.dev/tenant" not in namespace["metadata"].get("labels", {})


async def test_an_unknown_model_is_named_with_the_known_ones(api: Api, operator: OperatorProcess) -> None:
    await api.ok("POST", TENANTS, tenant_manifest("modelless", models={"chat": "gpt-9"}))

    async def stalled() -> dict[str, Any] | None:
        found = condition(await api.ok("GET", f"{TENANTS}/modelless"), "Stalled")
        return found if found.get("reason") == "UnknownModel" else None

    message = (await eventually(stalled, "stalled"))["message"]
    assert "gpt-9" in message
    assert "builtin/extractive" in message


BINDING: dict[str, Any] = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "RoleBinding",
    "metadata": {"name": "x", "labels": {"dreamhub.dev/tenant": "x", "dreamhub.dev/owner-uid": "y"}},
    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "dreamhub-operator-tenant"},
    "subjects": [{"kind": "ServiceAccount", "name": "dreamhub-operator", "namespace": SYSTEM}],
}
ADMIN = {**BINDING, "roleRef": {**BINDING["roleRef"], "name": "cluster-admin"}}
ROLE_BINDINGS = "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/rolebindings"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/api/v1/secrets", None),
        ("GET", "/api/v1/namespaces/kube-system/secrets/x", None),
        ("GET", f"/api/v1/namespaces/{SYSTEM}/secrets", None),
        ("GET", f"/api/v1/namespaces/{SYSTEM}/secrets/other", None),
        ("POST", ROLE_BINDINGS.format("kube-system"), BINDING),
        ("POST", ROLE_BINDINGS.format("default"), ADMIN),
        ("POST", "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "elsewhere"}}),
        ("DELETE", "/api/v1/namespaces/default", None),
        ("DELETE", "/api/v1/namespaces/kube-public", None),
    ],
)
async def test_the_operator_is_confined(
    api: Api, operator_token: str, method: str, path: str, body: dict[str, Any] | None
) -> None:
    """What its token may not do, whatever its code tries."""
    status, answer = await Api(api.session, api.url, operator_token).call(method, path, body)
    assert status in (403, 422), answer


async def test_nobody_binds_the_operators_role_outside_of_tenants(api: Api) -> None:
    status, answer = await api.call("POST", ROLE_BINDINGS.format("default"), BINDING)
    assert status == 422
    assert "tenant's namespace" in answer["message"]

"""What a real API server answers to right and wrong resources: a refusal names the field and the rule."""

from typing import Any

import pytest

from tests.integration.operator.control_plane import Api

TENANTS = "/apis/dreamhub.dev/v1alpha1/tenants"
JOBS = "/apis/dreamhub.dev/v1alpha1/namespaces/default/ingestjobs"
MERGE = "application/merge-patch+json"
INLINE = {"inline": {"name": "a.md", "text": "b"}}
DOCUMENTS = {"documents": {"ids": ["doc_" + "0" * 32]}}


def tenant(name: str = "refused", **spec: Any) -> dict[str, Any]:
    return {"apiVersion": "dreamhub.dev/v1alpha1", "kind": "Tenant", "metadata": {"name": name}, "spec": spec}


def job(name: str = "refused", **spec: Any) -> dict[str, Any]:
    return {"apiVersion": "dreamhub.dev/v1alpha1", "kind": "IngestJob", "metadata": {"name": name}, "spec": spec}


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        (TENANTS, tenant("a.b"), ["metadata.name", "DNS label"]),
        (TENANTS, tenant("a" * 41), ["metadata.name", "40 characters"]),
        (TENANTS, tenant("-a"), ["metadata.name"]),
        (TENANTS, tenant(resources={"requests": {"cpu": "-1"}}), ["spec.resources.requests.cpu", "negative"]),
        (TENANTS, tenant(resources={"limits": {"cpu": -1}}), ["spec.resources.limits.cpu", "negative"]),
        (TENANTS, tenant(resources={"limits": {"memory": "lots"}}), ["spec.resources.limits.memory", "quantity"]),
        (TENANTS, tenant(network={"egress": [{"to": "example.org", "ports": [443]}]}), ["egress[0].to", "CIDR"]),
        (TENANTS, tenant(network={"egress": [{"to": "10.0.0.0/8", "ports": [0]}]}), ["egress[0].ports[0]", "1"]),
        (TENANTS, tenant(network={"egress": [{"to": "169.254.169.254/32", "ports": [80]}]}), ["link-local"]),
        (TENANTS, tenant(network={"egress": [{"to": "fe80::1/128", "ports": [80]}]}), ["link-local"]),
        (
            TENANTS,
            tenant(owners=[{"kind": "ServiceAccount", "name": "x"}]),
            ["spec.owners[0]", "namespace is required"],
        ),
        (TENANTS, tenant(owners=[{"kind": "Robot", "name": "x"}]), ["spec.owners[0].kind", "Group"]),
        (TENANTS, tenant(deletionPolicy="Explode"), ["spec.deletionPolicy", "Retain"]),
        (TENANTS + "?fieldValidation=Strict", tenant(image="evil"), ["spec.image"]),
        (JOBS, job(), ["spec.source", "Required"]),
        (JOBS, job(source={}), ["spec.source", "exactly one of"]),
        (JOBS, job(source={**INLINE, **DOCUMENTS}), ["spec.source", "exactly one of"]),
        (JOBS, job(source={"ftp": {"host": "x"}}), ["spec.source", "documents, inline"]),
        (JOBS + "?fieldValidation=Strict", job(source={"ftp": {"host": "x"}}), ["spec.source.ftp"]),
        (JOBS, job(source={"documents": {"ids": ["../etc"]}}), ["spec.source.documents.ids[0]", "doc_"]),
        (JOBS, job(source={"documents": {"ids": []}}), ["spec.source.documents.ids", "at least 1"]),
        (JOBS, job(source=INLINE, ttlSecondsAfterFinished=-1), ["spec.ttlSecondsAfterFinished", "0"]),
        (JOBS, job("a" * 64, source=INLINE), ["metadata.name", "63"]),
        (JOBS, job(source=INLINE, tags=["a", "a"]), ["spec.tags[1]", "Duplicate"]),
    ],
)
async def test_refused(api: Api, path: str, body: dict[str, Any], words: list[str]) -> None:
    status, answer = await api.call("POST", path, body)
    assert status in (400, 422), answer
    for word in words:
        assert word in answer["message"]


@pytest.mark.parametrize(
    ("patch", "words"),
    [
        ({"source": {"inline": {"text": "other"}}}, ["spec.source is immutable"]),
        ({"source": {"inline": None, **DOCUMENTS}}, ["spec.source is immutable"]),
        ({"force": True}, ["spec.force is immutable"]),
        ({"tags": ["other"]}, ["spec.tags is immutable"]),
        ({"tags": None}, ["spec.tags is immutable"]),
    ],
)
async def test_an_order_cannot_be_changed(api: Api, orders: str, patch: dict[str, Any], words: list[str]) -> None:
    await api.call("POST", orders, job("fixed", source=INLINE, tags=["x"]))
    status, answer = await api.call("PATCH", f"{orders}/fixed", {"spec": patch}, MERGE)
    assert status == 422
    for word in words:
        assert word in answer["message"]


async def test_what_may_change(api: Api, orders: str) -> None:
    await api.ok("POST", orders, job("changing", source=INLINE))
    changes = {"spec": {"suspend": True, "ttlSecondsAfterFinished": 5}}
    assert (await api.ok("PATCH", f"{orders}/changing", changes, MERGE))["spec"]["suspend"] is True


async def test_an_embedding_model_is_for_life(api: Api) -> None:
    await api.ok("POST", TENANTS, tenant("settled"))
    change = {"spec": {"models": {"embedding": "other"}}}
    status, answer = await api.call("PATCH", f"{TENANTS}/settled", change, MERGE)
    assert status == 422
    assert "spec.models.embedding" in answer["message"]
    assert "immutable" in answer["message"]


async def test_a_tenant_needs_nothing_but_a_name(api: Api) -> None:
    body = tenant("plain")
    del body["spec"]
    spec = (await api.ok("POST", TENANTS, body))["spec"]
    assert spec["models"]["embedding"] == "builtin/wordllama-256"
    assert spec["resources"]["limits"] == {"cpu": "4", "memory": "8Gi"}
    assert spec["deletionPolicy"] == "Block"


async def test_quantities_may_be_numbers(api: Api) -> None:
    created = await api.ok("POST", TENANTS, tenant("numeric", resources={"requests": {"cpu": 2}}))
    assert created["spec"]["resources"]["requests"] == {"cpu": 2, "memory": "4Gi"}


async def test_a_status_is_not_taken_from_its_author(api: Api) -> None:
    body = {**tenant("boastful"), "status": {"phase": "Active"}}
    assert "status" not in await api.ok("POST", TENANTS, body)


async def test_the_server_lists_by_phase(api: Api) -> None:
    assert (await api.ok("GET", f"{JOBS}?fieldSelector=status.phase%3DFailed"))["items"] == []


async def test_explain_knows_every_field(api: Api) -> None:
    document = await api.ok("GET", "/openapi/v3/apis/dreamhub.dev/v1alpha1")
    schema = document["components"]["schemas"]["dev.dreamhub.v1alpha1.Tenant"]["properties"]["spec"]["properties"]
    assert "destroys everything" in schema["deletionPolicy"]["description"]

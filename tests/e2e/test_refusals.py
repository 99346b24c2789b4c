"""Wrong objects are refused by the cluster's API server, in a sentence that names the field and the rule."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.e2e.kube import SYSTEM, Json, Kube
from tests.e2e.tenants import Tenant, ingest_job, new_name, tenant_manifest

MANIFESTS = Path(__file__).parents[2] / "manifests"
SERVER_SIDE = ("--server-side", "--force-conflicts", "--dry-run=server")
INLINE = {"name": "note.md", "text": "x"}
DOCUMENTS = {"ids": ["doc_" + "0" * 32]}


def job(source: Mapping[str, object], **spec: object) -> Json:
    manifest = ingest_job("wrong", "default", source)
    manifest["spec"] |= spec
    return manifest


@pytest.mark.parametrize(
    ("manifest", "field", "rule"),
    [
        (job({"carrierPigeon": {}}), "spec.source", "carrierPigeon"),
        (job({}), "spec.source", "exactly one of: documents, inline"),
        (job({"inline": INLINE, "documents": DOCUMENTS}), "spec.source", "exactly one of: documents, inline"),
        (job({"inline": {**INLINE, "text": ""}}), "spec.source.inline.text", "at least 1 chars"),
        (job({"documents": {"ids": []}}), "spec.source.documents.ids", "at least 1 items"),
        (job({"documents": {"ids": ["handbook.pdf"]}}), "spec.source.documents.ids", "should match"),
        (job({"inline": INLINE}, ttlSecondsAfterFinished=-1), "spec.ttlSecondsAfterFinished", "greater than or equal"),
        (tenant_manifest("Acme"), "metadata.name", "lower case"),
        (tenant_manifest("a.b"), "metadata.name", "DNS label of at most 40 characters"),
        (tenant_manifest("a" * 41), "metadata.name", "DNS label of at most 40 characters"),
        (tenant_manifest("x", resources={"limits": {"cpu": "-1"}}), "spec.resources.limits.cpu", "not be negative"),
        (tenant_manifest("x", resources={"requests": {"memory": "lots"}}), "memory", "must be a quantity"),
        (tenant_manifest("x", deletionPolicy="Burn"), "spec.deletionPolicy", 'Unsupported value: "Burn"'),
        (tenant_manifest("x", network={"egress": [{"to": "here", "ports": [443]}]}), "spec.network", "must be a CIDR"),
        (
            tenant_manifest("x", owners=[{"kind": "ServiceAccount", "name": "ci"}]),
            "spec.owners",
            "namespace is required for kind ServiceAccount",
        ),
    ],
)
async def test_wrong_object_is_refused(kube: Kube, manifest: Json, field: str, rule: str) -> None:
    words = await kube.refuse(manifest)
    assert field in words
    assert rule in words


@pytest.mark.parametrize("manifest", ["dreamhub.yaml", "samples/tenant-acme.yaml", "samples/ingestjob-note.yaml"])
async def test_shipped_manifest_is_accepted(kube: Kube, tenant: Tenant, manifest: str) -> None:
    """By the API server itself, rules included; the note goes where a tenant is, the rest where it says."""
    text = (MANIFESTS / manifest).read_text().replace("namespace: dh-acme", f"namespace: {tenant.kube.namespace}")
    place = tenant.kube if "samples" in manifest else kube.within(SYSTEM)
    done = await place.run("apply", *SERVER_SIDE, "--filename", "-", stdin=text)
    assert done.code == 0, done.err


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"source": {"inline": {"text": "other"}}}, "spec.source is immutable"),
        ({"force": True}, "spec.force is immutable"),
        ({"tags": ["late"]}, "spec.tags is immutable"),
    ],
)
async def test_started_job_cannot_be_turned_into_another(tenant: Tenant, change: Json, rule: str) -> None:
    name = new_name("fixed")
    await tenant.kube.apply(tenant.job(name, inline=INLINE))
    with pytest.raises(RuntimeError, match=rule):
        await tenant.kube.patch(f"ingestjob {name}", {"spec": change})
    await tenant.kube.ask("delete", "ingestjob", name, "--wait=false")


async def test_embedding_model_of_a_tenant_is_immutable(tenant: Tenant) -> None:
    with pytest.raises(RuntimeError, match=r"spec\.models\.embedding.*embedding is immutable"):
        await tenant.kube.patch(f"tenant {tenant.name}", {"spec": {"models": {"embedding": "other/model"}}})

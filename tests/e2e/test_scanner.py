"""The malware scanner switched on in the running release, with a signature of our own, and off again."""

import asyncio
from collections.abc import AsyncIterator

import pytest_asyncio

from hack.images.prepare import Images
from tests.e2e.kube import SYSTEM, Json, Kube
from tests.e2e.releases import Release
from tests.e2e.tenants import Tenant

MARK = b"dreamhub-e2e-malware-5b1c"
SIGNATURES: Json = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "e2e-signatures"},
    "data": {"own.ndb": f"DreamHub.E2E.Mark:0:*:{MARK.hex()}\n"},
}
SCANNER = "app.kubernetes.io/component=scanner"


def scanner_values(tag: str) -> Json:
    resources = {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"memory": "512Mi"}}
    return {
        "enabled": True,
        "embedded": {
            "image": {"tag": tag},
            "signatures": {"configMap": "e2e-signatures"},
            "updates": {"enabled": False},
            "storage": {"size": "64Mi"},
            "resources": resources,
        },
    }


def build_image() -> str:
    """Its tag. Only this test needs it, so `make images` leaves it out."""
    images = Images.of_tree(("clamav",))
    names = images.build()
    images.load(names)
    return names["clamav"].rpartition(":")[2]


@pytest_asyncio.fixture
async def scanning(kube: Kube, server: str) -> AsyncIterator[Release]:
    """The release that all other tests use, for the time of this one with a scanner."""
    tag = await asyncio.to_thread(build_image)
    system = kube.within(SYSTEM)
    installed = Release(system, "dreamhub")
    release = Release(system, "dreamhub", await installed.user_values())
    await system.apply(SIGNATURES)
    try:
        await release.upgrade(scanner=scanner_values(tag))
        yield release
    finally:
        await release.upgrade(scanner={"enabled": False})
        await system.ask("delete", "configmap/e2e-signatures")
        await system.ask("delete", "pvc", "--selector", SCANNER, "--wait=false")


async def test_malware_is_kept_out_and_the_rest_is_read(scanning: Release, tenant: Tenant) -> None:
    namespace = await scanning.kube.get("namespace", SYSTEM)
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    good = await tenant.upload("clean-notes.txt", b"The otter builds a dam of old letters.")
    bad = await tenant.upload("quarterly.txt", b"The heron guards it. " + MARK)

    update = await tenant.ingest(good.id, bad.id)

    assert [(error.document, error.reason) for error in update.errors] == [(bad.id, "MalwareFound")]
    assert "DreamHub.E2E.Mark" in update.errors[0].message
    assert good.id in {hit.document_id for hit in await tenant.search("otter dam letters")}
    assert bad.id not in {hit.document_id for hit in await tenant.search("heron guards")}

"""IsolationVerified on a real cluster: True for a tenant whose walls stand, False as soon as one of them does not."""

import uuid
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from dreamhub.names import CANARY_TENANT, namespace
from tests.e2e.kube import Json, Kube, eventually
from tests.e2e.tenants import Tenant, open_tenant

ROUND_SECONDS = 240
"""Rounds wait for each other, and for images on a node that has not run a worker yet."""

OPENED = "somebody-opened-everything"
OPEN = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "NetworkPolicy",
    "metadata": {"name": OPENED},
    "spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"], "ingress": [{}], "egress": [{}]},
}
"""Policies add up: one more, and the operator's own close nothing any more."""


@pytest_asyncio.fixture(scope="module")
async def verified(kube: Kube, server: str) -> AsyncIterator[Tenant]:
    """A tenant whose walls are this module's to open."""
    async with open_tenant(kube, server, "walls") as opened:
        yield opened


async def request(kube: Kube, tenant: Tenant) -> Json:
    """Ask for a verification; the Tenant once it has been answered."""
    value = uuid.uuid4().hex
    await kube.patch(f"tenant {tenant.name}", {"metadata": {"annotations": {"dreamhub.dev/verify-isolation": value}}})

    async def answered() -> Json | None:
        found = await kube.get("tenant", tenant.name)
        return found if found["status"].get("isolation", {}).get("request") == value else None

    return await eventually(answered, ROUND_SECONDS, f"a verification of {tenant.name}", pause=1)


def condition(tenant: Json) -> Json:
    found: Json = next(item for item in tenant["status"]["conditions"] if item["type"] == "IsolationVerified")
    return found


async def find_probe_pods(kube: Kube, tenant: str) -> list[Json]:
    pods = await kube.within(namespace(tenant)).items("pods", "--selector", "dreamhub.dev/probe")
    return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]


async def test_new_tenant_is_verified_by_itself(kube: Kube, verified: Tenant) -> None:
    found = await kube.wait_condition(f"tenant {verified.name}", "IsolationVerified", seconds=ROUND_SECONDS)
    isolation = (await kube.get("tenant", verified.name))["status"]["isolation"]
    assert found["reason"] == "IsolationVerified"
    assert isolation["peer"] == CANARY_TENANT
    assert isolation["probes"] > 300
    assert isolation.get("failed", 0) == 0
    assert await kube.find("tenant", CANARY_TENANT) is not None


async def test_tenant_with_documents_is_verified_on_demand_and_no_pod_stays(kube: Kube, verified: Tenant) -> None:
    document = await verified.add("handbook.txt", "A text that nobody else may read.")
    found = await request(kube, verified)
    assert condition(found)["status"] == "True", condition(found)
    assert await find_probe_pods(kube, verified.name) == []
    assert [item.id for item in await verified.documents()] == [document.id]


@pytest.mark.timeout(900)
async def test_opened_network_is_reported_and_stops_new_jobs(kube: Kube, verified: Tenant) -> None:
    await verified.kube.apply(OPEN)
    try:
        failed = await request(kube, verified)
        assert condition(failed)["reason"] == "ProbeFailed", condition(failed)
        assert f"to a pod of {verified.name}" in failed["status"]["isolation"]["firstFailure"]
        document = await verified.upload("more.txt", b"This one has to wait.")
        await verified.kube.apply(verified.job("waits", documents={"ids": [document.id]}))

        async def waits() -> bool:
            job = await verified.kube.get("ingestjob", "waits")
            return bool(job.get("status", {}).get("reason") == "IsolationFailed")

        await eventually(waits, 90, "the IngestJob to wait")
    finally:
        await verified.kube.ask("delete", "networkpolicy", OPENED)
    mended = await request(kube, verified)
    assert condition(mended)["status"] == "True", condition(mended)
    await verified.kube.wait_condition("ingestjob waits", "Complete", seconds=120)

"""What waits for a slot on a real API server: where it stands, a priority that changes, a queue of Kueue's."""

from typing import Any

from dreamhub.crd.ingest_job import IngestReason
from tests.integration.conftest import Database
from tests.integration.operator.control_plane import Api
from tests.integration.operator.deployment import OperatorProcess, eventually, ready_tenant
from tests.integration.operator.kubelet import Kubelet, jobs_path, succeeded
from tests.integration.operator.test_ingest_job import INLINE, create, path_of, wait_for, wait_for_job
from tests.integration.operator.test_quota import as_operator

KUEUE = "kueue.x-k8s.io/queue-name"


async def fetch_charges(database: Database, tenant: str) -> dict[str, int]:
    async with as_operator(database) as conn:
        rows = await conn.fetch("SELECT uid, cost FROM dreamhub.fair_charges WHERE tenant = $1", tenant)
    return {row["uid"]: row["cost"] for row in rows}


async def test_places_follow_priority_and_the_books_what_runs(
    api: Api, operator: OperatorProcess, database: Database
) -> None:
    tenant = "standing"
    await ready_tenant(api, tenant, plan={"concurrentJobs": 1})
    first = await create(api, "first", tenant, **INLINE)
    await wait_for_job(api, first)
    await create(api, "second", tenant, **INLINE)
    body = await wait_for(api, "second", IngestReason.TENANT_LIMIT, tenant)
    assert body["status"]["phase"] == "Queued"
    assert (body["status"]["queue"]["position"], body["status"]["queue"]["sharePercent"] > 0) == (1, True)
    third = await create(api, "third", tenant, priority="Cold", **INLINE)
    body = await wait_for(api, "third", IngestReason.TENANT_LIMIT, tenant)
    assert body["status"]["queue"]["position"] == 2
    await api.merge(path_of("third", tenant), {"spec": {"priority": "Urgent"}})

    async def in_front() -> bool:
        status = (await api.ok("GET", path_of("third", tenant)))["status"]
        return bool(status["queue"]["position"] == 1)

    await eventually(in_front, "the urgent one is in front")
    assert (await fetch_charges(database, tenant)).keys() == {first.uid}
    await first.work(succeeded(), last=True)
    await first.complete_job()
    await wait_for_job(api, third)

    async def settled() -> bool:
        return (await fetch_charges(database, tenant)).keys() == {third.uid}

    await eventually(settled, "what has ended is settled, what runs is charged")
    body = await wait_for(api, "third", IngestReason.WAITING_FOR_POD, tenant)
    assert "queue" not in body["status"]


async def fetch_job(api: Api, kubelet: Kubelet) -> dict[str, Any]:
    job: dict[str, Any] = await api.ok("GET", jobs_path(kubelet.tenant, kubelet.job))
    return job


async def test_a_job_in_a_queue_of_kueue_is_started_by_nobody_else(api: Api, operator: OperatorProcess) -> None:
    """Kueue is played: it would take notice of the label, and unsuspend."""
    tenant = "kueue"
    await ready_tenant(api, tenant)
    manifest = {
        "apiVersion": "dreamhub.dev/v1alpha1",
        "kind": "IngestJob",
        "metadata": {"name": "big", "labels": {KUEUE: "batch"}},
        "spec": INLINE,
    }
    made = await api.ok("POST", path_of(tenant=tenant), manifest)
    kubelet = Kubelet(api, tenant, made["metadata"]["uid"])
    body = await wait_for(api, "big", IngestReason.WAITING_FOR_KUEUE, tenant)
    assert "in the queue batch" in body["status"]["message"]
    job = await fetch_job(api, kubelet)
    assert (job["spec"]["suspend"], job["metadata"]["labels"][KUEUE]) == (True, "batch")
    await api.merge(jobs_path(tenant, kubelet.job), {"spec": {"suspend": False}})
    await wait_for(api, "big", IngestReason.WAITING_FOR_POD, tenant)
    await api.merge(path_of("big", tenant), {"spec": {"suspend": True}})
    await wait_for(api, "big", IngestReason.SUSPENDED, tenant)
    job = await fetch_job(api, kubelet)
    assert (job["spec"]["suspend"], KUEUE in job["metadata"]["labels"]) == (True, False)
    await api.merge(path_of("big", tenant), {"spec": {"suspend": False}})
    await wait_for(api, "big", IngestReason.WAITING_FOR_KUEUE, tenant)
    job = await fetch_job(api, kubelet)
    assert (job["spec"]["suspend"], job["metadata"]["labels"][KUEUE]) == (True, "batch")

"""IngestJobs on a real API server: from the order to its end, through every way that can go wrong."""

import asyncio
import base64
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from dreamhub.crd.ingest_job import IngestReason
from dreamhub.domain.job_input import JobInput
from dreamhub.domain.keys import DataKeys
from dreamhub.ids import new_id
from dreamhub.sql.documents import NewUpload, UploadOutcome, register_upload
from dreamhub_operator.desired.credentials import read_entry
from tests.integration.operator.control_plane import Api
from tests.integration.operator.deployment import TENANTS, OperatorProcess, condition, eventually, ready_tenant
from tests.integration.operator.kubelet import Kubelet, container, embedding, failed, jobs_path, succeeded

INLINE: dict[str, Any] = {"source": {"inline": {"name": "a.md", "text": "# A"}}}
TENANT = "jobs"


def path_of(name: str = "", tenant: str = TENANT) -> str:
    return f"/apis/dreamhub.dev/v1alpha1/namespaces/dh-{tenant}/ingestjobs/{name}".rstrip("/")


@pytest_asyncio.fixture
async def tenant(api: Api, operator: OperatorProcess) -> str:
    """The one that these tests share."""
    status, _ = await api.call("GET", f"/apis/dreamhub.dev/v1alpha1/tenants/{TENANT}")
    if status == 404:
        await ready_tenant(api, TENANT)
    return TENANT


async def create(api: Api, name: str, tenant: str = TENANT, **spec: Any) -> Kubelet:
    body = {"apiVersion": "dreamhub.dev/v1alpha1", "kind": "IngestJob", "metadata": {"name": name}, "spec": spec}
    created = await api.ok("POST", path_of(tenant=tenant), body)
    return Kubelet(api, tenant, created["metadata"]["uid"])


async def wait_for(api: Api, name: str, reason: IngestReason, tenant: str = TENANT) -> dict[str, Any]:
    async def look() -> dict[str, Any] | None:
        body: dict[str, Any] = await api.ok("GET", path_of(name, tenant))
        return body if body.get("status", {}).get("reason") == reason else None

    try:
        return await eventually(look, f"{name} {reason}", 60)
    except AssertionError as error:
        raise AssertionError(f"{error}: {await api.ok('GET', path_of(name, tenant))}") from None


async def wait_for_job(api: Api, kubelet: Kubelet) -> dict[str, Any]:
    async def look() -> dict[str, Any] | None:
        status, body = await api.call("GET", jobs_path(kubelet.tenant, kubelet.job))
        return body if status == 200 else None

    return await eventually(look, "the Job", 60)


async def upload(api: Api, tenant: str) -> str:
    return (await register(api, tenant, f"{new_id('doc')}.md")).document_id


async def register(api: Api, tenant: str, name: str, size: int = 3) -> UploadOutcome:
    """Another size is another version."""
    secret = await api.ok("GET", f"/api/v1/namespaces/dh-{tenant}/secrets/dreamhub-credentials")
    keys = DataKeys.parse(read_entry(secret, "keys.json") or "")
    conn = await asyncpg.connect(read_entry(secret, "database-url"))
    new = NewUpload(new_id("doc"), new_id("ver"), name, "text/markdown", size, f"{size:032}".encode())
    outcome = await register_upload(conn, keys, new)
    await conn.close()
    return outcome


async def test_a_job_from_order_to_end(api: Api, tenant: str) -> None:
    kubelet = await create(api, "whole", **INLINE, tags=["t"])
    job = await wait_for_job(api, kubelet)
    await wait_for(api, "whole", IngestReason.WAITING_FOR_POD)
    pod = job["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is True

    await kubelet.set_job(active=1)
    await kubelet.add_pod("whole-1", phase="Running", containerStatuses=container(running={}))
    await wait_for(api, "whole", IngestReason.STARTING)
    await kubelet.work(embedding())
    running = await wait_for(api, "whole", IngestReason.EMBEDDING)
    assert running["status"]["progress"]["chunks"] == 10
    assert running["status"]["progress"]["etaSeconds"] == 3
    await kubelet.work(succeeded(), last=True)
    done = await wait_for(api, "whole", IngestReason.INGESTED)
    assert done["status"]["phase"] == "Succeeded"
    assert done["status"]["usage"]["tokens"] == 900
    assert "etaSeconds" not in done["status"]["progress"]
    assert condition(done, "Ready")["status"] == "True"

    async def let_go() -> bool:
        live = await api.ok("GET", jobs_path(tenant, kubelet.job))
        secret, _ = await api.call("GET", f"/api/v1/namespaces/dh-{tenant}/secrets/{kubelet.job}-input")
        return live["spec"].get("ttlSecondsAfterFinished") == 600 and secret == 404

    await eventually(let_go, "the input is gone and the Job will go")
    events = await api.ok("GET", f"/api/v1/namespaces/dh-{tenant}/events")
    told = [event["reason"] for event in events["items"] if event["involvedObject"]["name"] == "whole"]
    assert told == ["WaitingForPod", "Starting", "Ingested"]


async def test_the_order_names_documents_by_urls_that_work(api: Api, tenant: str) -> None:
    document = await upload(api, tenant)
    kubelet = await create(api, "order", source={"documents": {"ids": [document]}}, force=True)
    await wait_for_job(api, kubelet)
    secret = await api.ok("GET", f"/api/v1/namespaces/dh-{tenant}/secrets/{kubelet.job}-input")
    order = JobInput.model_validate_json(base64.b64decode(secret["data"]["job.json"]))
    assert (order.tenant, order.uid, order.force, order.job) == (tenant, kubelet.uid, True, "order")
    assert [entry.document_id for entry in order.documents] == [document]
    assert "X-Amz-Expires=86400" in order.documents[0].url
    assert secret["metadata"]["ownerReferences"][0]["uid"] == kubelet.uid
    assert b"wordllama" in base64.b64decode(secret["data"]["models.yaml"])


async def test_a_missing_document_is_named(api: Api, tenant: str) -> None:
    absent = "doc_" + "9" * 32
    await create(api, "missing", source={"documents": {"ids": [absent]}})
    body = await wait_for(api, "missing", IngestReason.DOCUMENT_NOT_FOUND)
    assert body["status"]["phase"] == "Failed"
    assert absent in body["status"]["message"]
    assert condition(body, "Stalled")["status"] == "True"
    status, _ = await api.call("GET", jobs_path(tenant, Kubelet(api, tenant, body["metadata"]["uid"]).job))
    assert status == 404


async def test_a_failed_document_is_listed(api: Api, tenant: str) -> None:
    kubelet = await create(api, "encrypted", **INLINE)
    await wait_for_job(api, kubelet)
    await kubelet.work(failed(), last=True)
    body = await wait_for(api, "encrypted", IngestReason.DOCUMENTS_FAILED)
    error = body["status"]["errors"][0]
    assert (error["class"], error["reason"]) == ("Permanent", "EncryptedPDF")


@pytest.mark.parametrize(
    ("name", "pod", "reason"),
    [
        (
            "unpullable",
            {"phase": "Pending", "containerStatuses": container(waiting={"reason": "ImagePullBackOff"})},
            IngestReason.IMAGE_UNAVAILABLE,
        ),
        (
            "unschedulable",
            {
                "phase": "Pending",
                "conditions": [
                    {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1"}
                ],
            },
            IngestReason.UNSCHEDULABLE,
        ),
    ],
)
async def test_a_pod_that_cannot_start_is_explained(
    api: Api, tenant: str, name: str, pod: dict[str, Any], reason: IngestReason
) -> None:
    kubelet = await create(api, name, **INLINE)
    await wait_for_job(api, kubelet)
    await kubelet.set_job(active=1)
    await kubelet.add_pod(f"{name}-1", **pod)
    body = await wait_for(api, name, reason)
    assert body["status"]["phase"] == "Pending"
    assert condition(body, "Stalled")["status"] == "True"


async def test_out_of_memory_is_told(api: Api, tenant: str) -> None:
    kubelet = await create(api, "hungry", **INLINE)
    await wait_for_job(api, kubelet)
    ended = container(terminated={"exitCode": 137, "reason": "OOMKilled"})
    await kubelet.add_pod("hungry-1", phase="Failed", containerStatuses=ended)
    await wait_for(api, "hungry", IngestReason.RETRYING)
    await kubelet.fail_job("BackoffLimitExceeded", "Job has reached the specified backoff limit")
    body = await wait_for(api, "hungry", IngestReason.OUT_OF_MEMORY)
    assert "memory" in body["status"]["message"]


async def test_over_quota_is_told_with_numbers(api: Api, operator: OperatorProcess) -> None:
    await ready_tenant(api, "poor", resources={"requests": {"memory": "100Mi"}, "limits": {"memory": "100Mi"}})
    quota = "/api/v1/namespaces/dh-poor/resourcequotas/tenant"
    await api.merge(f"{quota}/status", {"status": {"hard": {"requests.memory": "100Mi"}, "used": {}}})
    kubelet = await create(api, "big", "poor", **INLINE)
    await wait_for_job(api, kubelet)
    body = await wait_for(api, "big", IngestReason.OVER_QUOTA, "poor")
    assert "100Mi" in body["status"]["message"]


async def test_suspend_stops_and_resumes(api: Api, tenant: str) -> None:
    kubelet = await create(api, "paused", **INLINE)
    await wait_for_job(api, kubelet)
    await api.merge(path_of("paused"), {"spec": {"suspend": True}})
    await wait_for(api, "paused", IngestReason.SUSPENDED)
    assert (await api.ok("GET", jobs_path(tenant, kubelet.job)))["spec"]["suspend"] is True
    await api.merge(path_of("paused"), {"spec": {"suspend": False}})
    await wait_for(api, "paused", IngestReason.WAITING_FOR_POD)
    assert (await api.ok("GET", jobs_path(tenant, kubelet.job)))["spec"]["suspend"] is False


async def test_a_suspended_tenant_starts_nothing(api: Api, operator: OperatorProcess) -> None:
    """Not even what was ordered before: admission refuses only new IngestJobs."""
    await ready_tenant(api, "frozen")
    kubelet = await create(api, "waits", "frozen", **INLINE, suspend=True)
    await wait_for(api, "waits", IngestReason.SUSPENDED, "frozen")
    await api.merge(f"{TENANTS}/frozen", {"spec": {"suspend": True}})

    async def frozen() -> bool:
        return bool((await api.ok("GET", f"{TENANTS}/frozen"))["status"]["phase"] == "Suspended")

    await eventually(frozen, "the operator knows that the tenant is suspended")
    await api.merge(path_of("waits", "frozen"), {"spec": {"suspend": False}})
    await wait_for(api, "waits", IngestReason.TENANT_SUSPENDED, "frozen")
    await api.merge(f"{TENANTS}/frozen", {"spec": {"suspend": False}})
    await wait_for_job(api, kubelet)


async def test_outside_of_tenants_nothing_runs(api: Api, operator: OperatorProcess) -> None:
    """Where admission does not refuse it, as in a cluster whose policies somebody took away."""
    name = "dreamhub-tenant-requests"
    binding = f"/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings/{name}"
    spec = (await api.ok("GET", binding))["spec"]
    await api.ok("DELETE", binding)
    path = "/apis/dreamhub.dev/v1alpha1/namespaces/default/ingestjobs"
    body = {"apiVersion": "dreamhub.dev/v1alpha1", "kind": "IngestJob", "metadata": {"name": "lost"}, "spec": INLINE}

    async def taken() -> bool:
        return (await api.call("POST", path, body))[0] == 201

    async def look() -> bool:
        found = await api.ok("GET", f"{path}/lost")
        return bool(found.get("status", {}).get("reason") == "NotATenantNamespace")

    async def refused() -> bool:
        return (await api.call("POST", f"{path}?dryRun=All", {**body, "metadata": {"name": "other"}}))[0] == 403

    try:
        await eventually(taken, "taken without a policy")
        await eventually(look, "refused by the operator")
    finally:
        kind = "ValidatingAdmissionPolicyBinding"
        restored = {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": kind,
            "metadata": {"name": name},
            "spec": spec,
        }
        await api.apply(binding, restored)
    await eventually(refused, "refused by the policy again")


async def test_a_deleted_job_is_made_again(api: Api, tenant: str) -> None:
    kubelet = await create(api, "tenacious", **INLINE)
    first = await wait_for_job(api, kubelet)
    await api.ok("DELETE", jobs_path(tenant, kubelet.job) + "?propagationPolicy=Background")

    async def again() -> bool:
        status, body = await api.call("GET", jobs_path(tenant, kubelet.job))
        return status == 200 and body["metadata"]["uid"] != first["metadata"]["uid"]

    await eventually(again, "another Job")


async def test_a_job_of_the_same_name_is_not_adopted(api: Api, operator: OperatorProcess, tenant: str) -> None:
    operator.kill()
    kubelet = await create(api, "squatted", **INLINE)
    squatter = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": kubelet.job, "labels": {"dreamhub.dev/owner-uid": kubelet.uid}},
        "spec": {
            "template": {
                "spec": {"restartPolicy": "Never", "containers": [{"name": "x", "image": "evil", "resources": {}}]}
            }
        },
    }
    await api.ok("POST", jobs_path(tenant), squatter)
    operator.start()
    body = await wait_for(api, "squatted", IngestReason.JOB_NAME_TAKEN)
    assert body["status"]["phase"] == "Failed"


async def test_a_finished_ingest_job_goes_when_its_time_is_over(api: Api, tenant: str) -> None:
    kubelet = await create(api, "brief", **INLINE, ttlSecondsAfterFinished=1)
    await wait_for_job(api, kubelet)
    await kubelet.work(succeeded(), last=True)

    async def gone() -> bool:
        status, _ = await api.call("GET", path_of("brief"))
        return status == 404

    await eventually(gone, "deleted", 60)


@pytest.mark.parametrize("delay", [0.0, 0.02, 0.05, 0.1, 0.2])
async def test_killing_the_operator_changes_nothing_but_the_time(
    api: Api, operator: OperatorProcess, tenant: str, delay: float
) -> None:
    name = f"killed-{int(delay * 100)}"
    kubelet = await create(api, name, **INLINE)
    await asyncio.sleep(delay)
    operator.kill()
    operator.start()
    job = await wait_for_job(api, kubelet)
    await kubelet.set_job(active=1)
    await kubelet.work(embedding(5))
    await wait_for(api, name, IngestReason.EMBEDDING)
    operator.kill()
    await kubelet.work(succeeded(), last=True)
    await kubelet.complete_job()
    operator.start()
    await wait_for(api, name, IngestReason.INGESTED)
    again = await api.ok("GET", jobs_path(tenant, kubelet.job))
    assert again["metadata"]["uid"] == job["metadata"]["uid"]


async def test_a_status_of_another_life_is_not_written(api: Api, operator_token: str, tenant: str) -> None:
    """The fence of status writes: a patch for an older version, or for a deleted namesake, is refused."""
    kubelet = await create(api, "reborn", **INLINE)
    await wait_for_job(api, kubelet)
    own = Api(api.session, api.url, operator_token)
    patch = {"metadata": {"resourceVersion": "1"}, "status": {"phase": "Failed"}}
    status, answer = await own.call("PATCH", path_of("reborn") + "/status", patch, "application/merge-patch+json")
    assert status == 409, answer

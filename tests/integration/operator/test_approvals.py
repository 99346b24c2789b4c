"""What a job costs, on a real API server: it waits for a person, for tokens, and stops for good when it is told to.

`paul` owns the tenant and orders work; `ada` may approve it. Neither may do the other's.
"""

import base64
import json
from typing import Any

import pytest
import pytest_asyncio

from dreamhub.crd.ingest_job import IngestReason
from dreamhub.sql.quota import TokenUse, use_tokens
from tests.integration.operator.control_plane import Api
from tests.integration.operator.deployment import TENANTS, OperatorProcess, condition, eventually, ready_tenant
from tests.integration.operator.kubelet import Kubelet, container, embedding, jobs_path, succeeded
from tests.integration.operator.test_ingest_job import path_of, register, upload, wait_for, wait_for_job

TENANT = "thrifty"
BY = "dreamhub.dev/approved-by"
MERGE = "application/merge-patch+json"
LONG: dict[str, Any] = {"source": {"inline": {"name": "long.md", "text": "word " * 200}}}


@pytest_asyncio.fixture
async def tenant(api: Api, operator: OperatorProcess) -> str:
    """Above 100 tokens somebody has to agree."""
    status, _ = await api.call("GET", f"{TENANTS}/{TENANT}")
    if status == 404:
        approval = {"tokensAbove": 100, "approvers": [{"kind": "User", "name": "ada"}]}
        await ready_tenant(api, TENANT, owners=[{"kind": "User", "name": "paul"}], approval=approval)
    return TENANT


async def order(api: Api, name: str, tenant: str = TENANT, **spec: Any) -> Kubelet:
    body = {"apiVersion": "dreamhub.dev/v1alpha1", "kind": "IngestJob", "metadata": {"name": name}, "spec": spec}
    created = await api.ok("POST", path_of(tenant=tenant), body)
    return Kubelet(api, tenant, created["metadata"]["uid"])


def approval(who: str | None) -> dict[str, Any]:
    return {"spec": {"approved": True}, "metadata": {"annotations": {BY: who} if who else {}}}


async def refusal(api: Api, method: str, path: str, body: Any) -> str:
    status, answer = await api.call(method, path, body, MERGE if method == "PATCH" else "application/json")
    assert status == 403, answer
    return str(answer["message"])


async def test_a_job_above_the_threshold_waits_until_an_approver_says_yes(api: Api, tenant: str) -> None:
    paul, ada = api.acting_as("paul"), api.acting_as("ada")
    kubelet = await order(api, "dear", **LONG)
    waiting = await wait_for(api, "dear", IngestReason.APPROVAL_REQUIRED, tenant)
    assert waiting["status"]["phase"] == "AwaitingApproval"
    assert waiting["status"]["estimate"]["tokens"] == 300
    assert condition(waiting, "Approved")["status"] == "False"
    assert (await api.call("GET", jobs_path(tenant, kubelet.job)))[0] == 404

    path = path_of("dear", tenant)
    assert "needs the right to approve" in await refusal(paul, "PATCH", path, approval("paul"))
    assert "names who gives it" in await refusal(ada, "PATCH", path, approval(None))
    assert "names who set spec.approved" in await refusal(ada, "PATCH", path, approval("paul"))
    assert "names who set spec.approved" in await refusal(
        paul, "PATCH", path, {"metadata": {"annotations": {BY: "paul"}}}
    )
    await ada.merge(path, approval("ada"))
    await wait_for_job(api, kubelet)
    body = await wait_for(api, "dear", IngestReason.WAITING_FOR_POD, tenant)
    found = condition(body, "Approved")
    assert (found["status"], found["reason"], found["message"]) == ("True", "Approved", "approved by ada")

    async def told() -> list[str] | None:
        events = (await api.ok("GET", f"/api/v1/namespaces/dh-{tenant}/events"))["items"]
        reasons = [event["reason"] for event in events if event["involvedObject"]["name"] == "dear"]
        return reasons if "WaitingForPod" in reasons else None

    assert await eventually(told, "the events") == ["ApprovalRequired", "Approved", "WaitingForPod"]
    status, answer = await api.call("PATCH", path, {"spec": {"approved": False}}, MERGE)
    assert status == 422
    assert "spec.approved cannot be taken back" in answer["message"]


async def test_what_is_replaced_after_the_estimate_is_not_what_was_approved(api: Api, tenant: str) -> None:
    """The person who approves has seen the estimate; bigger versions come between that and the start."""
    seen = await register(api, tenant, "swapped.md", size=4_000)
    kubelet = await order(api, "swapped", source={"documents": {"ids": [seen.document_id]}})
    waiting = await wait_for(api, "swapped", IngestReason.APPROVAL_REQUIRED, tenant)
    swapped = await register(api, tenant, "swapped.md", size=4_000_000)
    assert swapped.document_id == seen.document_id
    await api.acting_as("ada").merge(path_of("swapped", tenant), approval("ada"))
    await wait_for_job(api, kubelet)
    secret = await api.ok("GET", f"/api/v1/namespaces/dh-{tenant}/secrets/{kubelet.job}-input")
    ordered = json.loads(base64.b64decode(secret["data"]["job.json"]))["documents"]
    assert [each["versionId"] for each in ordered] == [seen.version_id]
    begun = await wait_for(api, "swapped", IngestReason.WAITING_FOR_POD, tenant)
    assert begun["status"]["estimate"] == waiting["status"]["estimate"]


async def test_an_author_cannot_order_what_is_approved_already(api: Api, tenant: str) -> None:
    body: dict[str, Any] = {
        "apiVersion": "dreamhub.dev/v1alpha1",
        "kind": "IngestJob",
        "metadata": {"name": "smuggled", "annotations": {BY: "paul"}},
        "spec": {**LONG, "approved": True},
    }
    assert "right to approve" in await refusal(api.acting_as("paul"), "POST", path_of(tenant=tenant), body)
    assert (await api.acting_as("ada").call("POST", path_of(tenant=tenant), body))[0] == 403, "approvers order nothing"
    del body["spec"]["approved"]
    assert "never changes" in await refusal(api.acting_as("paul"), "POST", path_of(tenant=tenant), body)


async def test_a_job_at_the_threshold_needs_nobody(api: Api, tenant: str) -> None:
    kubelet = await order(api, "cheap", source={"inline": {"name": "a.md", "text": "# A"}})
    await wait_for_job(api, kubelet)
    body = await wait_for(api, "cheap", IngestReason.WAITING_FOR_POD, tenant)
    assert condition(body, "Approved")["reason"] == "ApprovalNotRequired"


async def test_a_higher_threshold_releases_what_waits(api: Api, operator: OperatorProcess) -> None:
    await ready_tenant(api, "raised", approval={"tokensAbove": 100})
    kubelet = await order(api, "dear", "raised", **LONG)
    await wait_for(api, "dear", IngestReason.APPROVAL_REQUIRED, "raised")
    await api.merge(f"{TENANTS}/raised", {"spec": {"approval": {"tokensAbove": 300}}})
    await wait_for_job(api, kubelet)


@pytest.mark.parametrize("working", [False, True], ids=["waiting", "working"])
async def test_a_cancelled_job_ends_and_its_job_goes(api: Api, tenant: str, *, working: bool) -> None:
    name = f"stopped-{working}".lower()
    kubelet = await order(api, name, **({"source": {"inline": {"name": "b.md", "text": "# B"}}} if working else LONG))
    if working:
        await wait_for_job(api, kubelet)
        await kubelet.set_job(active=1)
        await kubelet.add_pod(f"{name}-1", phase="Running", containerStatuses=container(running={}))
        await kubelet.work(embedding())
        await wait_for(api, name, IngestReason.EMBEDDING, tenant)
    else:
        await wait_for(api, name, IngestReason.APPROVAL_REQUIRED, tenant)
    await api.acting_as("paul").merge(path_of(name, tenant), {"spec": {"cancel": True}})
    body = await wait_for(api, name, IngestReason.CANCELLED, tenant)
    assert body["status"]["phase"] == "Cancelled"
    assert condition(body, "Stalled")["status"] == "True"
    assert body["status"]["progress"]["chunks"] == (10 if working else 0)

    async def gone() -> bool:
        live, found = await api.call("GET", jobs_path(tenant, kubelet.job))
        secret, _ = await api.call("GET", f"/api/v1/namespaces/dh-{tenant}/secrets/{kubelet.job}-input")
        return (live == 404 or "deletionTimestamp" in found["metadata"]) and secret == 404

    await eventually(gone, "the Job and its input are gone")


async def test_jobs_together_do_not_pass_the_limit_and_the_end_of_one_lets_the_next_begin(
    api: Api, operator: OperatorProcess
) -> None:
    """Each needs 300 of 500 tokens. The operator is killed between: what is kept is in the database."""
    await ready_tenant(api, "limited", plan={"tokensPerDay": 500})
    first = await order(api, "first", "limited", **LONG)
    await wait_for_job(api, first)
    second = await order(api, "second", "limited", **LONG)
    short = await wait_for(api, "second", IngestReason.OVER_BUDGET, "limited")
    assert short["status"]["phase"] == "Queued"
    assert "300 kept for jobs that run" in short["status"]["message"]
    operator.kill()
    operator.ensure()
    third = await order(api, "third", "limited", **LONG)
    await wait_for(api, "third", IngestReason.OVER_BUDGET, "limited")
    await first.work(succeeded(), last=True)
    await wait_for(api, "first", IngestReason.INGESTED, "limited")

    async def begun() -> int:
        return sum([(await api.call("GET", jobs_path("limited", each.job)))[0] == 200 for each in (second, third)])

    await eventually(begun, "one of them begins")
    assert await begun() == 1


async def test_a_job_larger_than_the_plan_says_so(api: Api, operator: OperatorProcess) -> None:
    await ready_tenant(api, "tiny", plan={"tokensPerMonth": 10})
    document = await upload(api, "tiny")
    await order(api, "fits", "tiny", source={"documents": {"ids": [document]}})
    await wait_for(api, "fits", IngestReason.WAITING_FOR_POD, "tiny")
    await order(api, "large", "tiny", **LONG)
    body = await wait_for(api, "large", IngestReason.LARGER_THAN_PLAN, "tiny")
    assert "spec.plan.tokensPerMonth" in body["status"]["message"]
    assert condition(body, "Stalled")["status"] == "True"


async def test_a_run_without_tokens_pauses_and_goes_on_when_the_limit_is_raised(
    api: Api, operator: OperatorProcess
) -> None:
    await ready_tenant(api, "spent", plan={"tokensPerDay": 1_000})
    kubelet = await order(api, "archive", "spent", source={"inline": {"name": "a.md", "text": "# A"}})
    await wait_for_job(api, kubelet)
    await kubelet.set_job(active=1)
    await kubelet.add_pod("archive-1", phase="Running", containerStatuses=container(running={}))
    conn = await kubelet.connect()
    use = TokenUse("builtin/wordllama-256", "ingest", 500, kubelet.uid)
    await use_tokens(conn, use)
    await conn.close()
    await kubelet.work(embedding().model_copy(update={"short_of_tokens": 501}))

    body = await wait_for(api, "archive", IngestReason.QUOTA_EXHAUSTED, "spent")
    assert body["status"]["phase"] == "Queued"
    assert body["status"]["resumeTime"].endswith("T00:00:00Z")
    assert body["status"]["progress"]["documents"].get("failed", 0) == 0

    async def stands(*, suspended: bool) -> bool:
        job = await api.ok("GET", jobs_path("spent", kubelet.job))
        return bool(job["spec"]["suspend"]) == suspended

    await eventually(lambda: stands(suspended=True), "its workers are stopped")
    await api.merge(f"{TENANTS}/spent", {"spec": {"plan": {"tokensPerDay": 1_001}}})
    await eventually(lambda: stands(suspended=False), "its workers start again")
    await kubelet.work(embedding(20))
    body = await wait_for(api, "archive", IngestReason.EMBEDDING, "spent")
    assert body["status"].get("resumeTime") is None

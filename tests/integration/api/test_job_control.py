"""Approve, cancel and retry, and what became of each document: through HTTP, onto real resources and rows."""

from typing import Any

import pytest

from dreamhub.ids import new_id
from dreamhub.sql.connections import Connection
from tests.integration.api.platform import GROUP, Caller, Cluster, Tenant, until
from tests.integration.sql.support import connected

INLINE = {"source": {"inline": {"name": "note.md", "text": "# Title"}}}
ERROR = ("Permanent", "EncryptedPDF", "save it without")


async def shown(caller: Caller, name: str, **expected: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}

    async def seen() -> bool:
        found.update(await caller.ok("GET", f"/ingest-jobs/{name}"))
        return all(found[key] == value for key, value in expected.items())

    await until(seen, f"the watch has brought {expected}")
    return found


async def record(conn: Connection, uid: str, outcomes: dict[str, str]) -> None:
    await conn.execute(
        "INSERT INTO ingest_runs (uid, job, holder, worker_build, progress) VALUES ($1, 'j', 'p', '1', '{}')", uid
    )
    for document, outcome in outcomes.items():
        error = ERROR if outcome == "Failed" else (None, None, None)
        if outcome == "Queued":
            await conn.execute(
                "INSERT INTO work_items (uid, version_id, document_id, position, size, weight, attempts) "
                "VALUES ($1, $2, $3, 1, 1, 1, 2)",
                uid,
                new_id("ver"),
                document,
            )
            continue
        await conn.execute(
            "INSERT INTO ingest_run_documents (uid, document_id, version_id, outcome, chunks, pages, tokens, "
            "error_class, error_reason, error_message) VALUES ($1, $2, $3, $4, 0, 0, 0, $5, $6, $7)",
            uid,
            document,
            new_id("ver"),
            outcome,
            *error,
        )


async def test_approval_needs_its_own_scope_and_names_who_gave_it(
    caller: Caller, cluster: Cluster, acme: Tenant
) -> None:
    await caller.ok("POST", "/ingest-jobs", json={**INLINE, "name": "dear", "priority": "Urgent", "parallelism": 2})
    status, problem = await caller.call("POST", "/ingest-jobs/dear/approve")
    assert (status, problem["code"]) == (403, "MissingScope")
    owner = {"kind": "ServiceAccount", "name": "owner", "namespace": f"dh-{acme.name}"}
    await cluster.api.merge(f"{GROUP}/tenants/{acme.name}", {"spec": {"approval": {"approvers": [owner]}}})

    async def allowed() -> bool:
        return "approve" in (await caller.ok("GET", "/tenants/self"))["scopes"]

    await until(allowed, "the owner may approve")
    job = await caller.ok("POST", "/ingest-jobs/dear/approve")
    subject = f"system:serviceaccount:dh-{acme.name}:owner"
    assert job["approval"] == {"required": True, "approved": True, "by": subject}
    assert (job["priority"], job["parallelism"]) == ("Urgent", 2)
    resource = await cluster.fetch_job(acme.name, "dear")
    assert resource["spec"]["approved"] is True
    assert resource["metadata"]["annotations"]["dreamhub.dev/approved-by"] == subject
    assert (await caller.ok("POST", "/ingest-jobs/dear/approve"))["approval"]["by"] == subject


async def test_what_a_job_costs_is_shown(caller: Caller, cluster: Cluster, acme: Tenant) -> None:
    await caller.ok("POST", "/ingest-jobs", json={**INLINE, "name": "priced"})
    price = {"cost": "0.42", "currency": "EUR", "basis": "Typical", "time": "2026-01-01T00:00:00.123456Z"}
    estimate = {"documents": 1, "bytes": 7, "tokens": 9, **price}
    condition = {"type": "Approved", "status": "False", "reason": "ApprovalRequired", "message": "x"}
    times = {"lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 1}
    await cluster.set_job_status(
        acme.name,
        "priced",
        {
            "phase": "AwaitingApproval",
            "reason": "ApprovalRequired",
            "estimate": estimate,
            "resumeTime": "2026-01-02T00:00:00Z",
            "usage": {"tokens": 3, "cost": "0.14", "currency": "EUR"},
            "queue": {"position": 3, "sharePercent": 25, "etaSeconds": 60, "etaErrorSeconds": 20},
            "timing": {"queuedSeconds": 4.5},
            "conditions": [{**condition, **times}],
        },
    )
    job = await shown(caller, "priced", phase="AwaitingApproval")
    assert job["estimate"] == estimate
    assert job["resumesAt"] == "2026-01-02T00:00:00Z"
    assert job["approval"] == {"required": True, "approved": False, "by": None}
    assert (job["cost"], job["currency"], job["progress"]["timing"]["queuedSeconds"]) == ("0.14", "EUR", 4.5)
    assert job["queue"] == {"position": 3, "sharePercent": 25, "etaSeconds": 60, "etaErrorSeconds": 20}


async def test_a_cancelled_job_stays_to_tell_of_it(caller: Caller, cluster: Cluster, acme: Tenant) -> None:
    await caller.ok("POST", "/ingest-jobs", json={**INLINE, "name": "stopped"})
    await caller.ok("POST", "/ingest-jobs/stopped/cancel")
    await caller.ok("POST", "/ingest-jobs/stopped/cancel")
    assert (await cluster.fetch_job(acme.name, "stopped"))["spec"]["cancel"] is True
    await cluster.set_job_status(acme.name, "stopped", {"phase": "Cancelled", "reason": "Cancelled"})
    await shown(caller, "stopped", phase="Cancelled")
    assert (await caller.ok("GET", "/tasks/stopped"))["done"] is True
    assert (await caller.call("POST", "/ingest-jobs/stopped/cancel"))[0] == 200


@pytest.mark.parametrize("action", ["cancel", "approve"])
async def test_what_has_ended_cannot_be_stopped_or_released(
    caller: Caller, cluster: Cluster, acme: Tenant, action: str
) -> None:
    owner = {"kind": "ServiceAccount", "name": "owner", "namespace": f"dh-{acme.name}"}
    await cluster.api.merge(f"{GROUP}/tenants/{acme.name}", {"spec": {"approval": {"approvers": [owner]}}})
    await caller.ok("POST", "/ingest-jobs", json={**INLINE, "name": "over"})
    await cluster.set_job_status(acme.name, "over", {"phase": "Succeeded", "reason": "Ingested"})
    await shown(caller, "over", phase="Succeeded")

    async def refused() -> bool:
        status, problem = await caller.call("POST", f"/ingest-jobs/over/{action}")
        return (status, problem["code"]) == (409, "JobFinished")

    await until(refused, "it is refused")
    assert (await caller.call("POST", f"/ingest-jobs/none/{action}"))[1]["code"] == "JobNotFound"


async def test_documents_are_told_one_by_one_and_by_what_became_of_them(caller: Caller, acme: Tenant) -> None:
    job = await caller.ok("POST", "/ingest-jobs", json={**INLINE, "name": "detailed"})
    ids = sorted(new_id("doc") for _ in range(5))
    outcomes = dict(zip(ids, ["Done", "Failed", "Queued", "Skipped", "Failed"], strict=True))
    async with connected(acme.database_url) as conn:
        await record(conn, job["uid"], outcomes)
    path = "/ingest-jobs/detailed/documents"
    found: list[dict[str, Any]] = []
    cursor = ""
    while True:
        page = await caller.ok("GET", f"{path}?limit=2{cursor}")
        found += page["items"]
        if page["nextCursor"] is None:
            break
        cursor = f"&cursor={page['nextCursor']}"
    assert {item["documentId"]: item["outcome"] for item in found} == outcomes
    assert [item["documentId"] for item in found] == ids
    queued = next(item for item in found if item["outcome"] == "Queued")
    assert (queued["attempts"], queued["finishedAt"]) == (2, None)
    for query, expected in (
        ("outcome=Failed", [ids[1], ids[4]]),
        ("outcome=Failed&outcome=Queued&limit=1", [ids[1]]),
        ("outcome=Queued", [ids[2]]),
        ("reason=EncryptedPDF", [ids[1], ids[4]]),
        ("reason=Other", []),
    ):
        page = await caller.ok("GET", f"{path}?{query}")
        assert [item["documentId"] for item in page["items"]] == expected, query
    assert (await caller.call("GET", f"{path}?outcome=Lost"))[0] == 400


async def test_a_retry_takes_up_what_failed(caller: Caller, cluster: Cluster, acme: Tenant) -> None:
    uploads = [(await caller.upload(f"{at}.txt", f"text {at}".encode()))[1]["id"] for at in range(3)]
    order = {"name": "first", "source": {"documents": {"ids": uploads}}, "tags": ["a"], "priority": "Cold"}
    job = await caller.ok("POST", "/ingest-jobs", json=order)
    assert (await caller.call("POST", "/ingest-jobs/first/retry"))[1]["code"] == "JobNotFinished"
    async with connected(acme.database_url) as conn:
        await record(conn, job["uid"], dict(zip(uploads, ["Done", "Failed", "Skipped"], strict=True)))
    await cluster.set_job_status(acme.name, "first", {"phase": "Failed", "reason": "DocumentsFailed"})
    await shown(caller, "first", phase="Failed")
    headers = {"Idempotency-Key": "again"}
    status, again = await caller.call("POST", "/ingest-jobs/first/retry", headers=headers)
    assert status == 201
    assert again["source"]["documents"]["ids"] == [uploads[1]]
    assert (again["tags"], again["priority"]) == (["a"], "Cold")
    assert (await caller.call("POST", "/ingest-jobs/first/retry", headers=headers))[1]["name"] == again["name"]
    resource = await cluster.fetch_job(acme.name, again["name"])
    assert resource["metadata"]["annotations"]["dreamhub.dev/retry-of"] == "first"


async def test_a_text_is_tried_again_whole_and_never_after_success(
    caller: Caller, cluster: Cluster, acme: Tenant
) -> None:
    await caller.ok("POST", "/ingest-jobs", json={**INLINE, "name": "text"})
    await caller.ok("POST", "/ingest-jobs/text/cancel")
    await cluster.set_job_status(acme.name, "text", {"phase": "Cancelled", "reason": "Cancelled"})
    await shown(caller, "text", phase="Cancelled")
    again = (await caller.ok("POST", "/ingest-jobs/text/retry"))["name"]
    spec = (await cluster.fetch_job(acme.name, again))["spec"]
    assert spec["source"] == INLINE["source"]
    assert spec["cancel"] is False
    await cluster.set_job_status(acme.name, again, {"phase": "Succeeded", "reason": "Ingested"})
    await shown(caller, again, phase="Succeeded")
    assert (await caller.call("POST", f"/ingest-jobs/{again}/retry"))[1]["code"] == "NothingToRetry"

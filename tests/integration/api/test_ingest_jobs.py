"""Jobs through HTTP: custom resources underneath, written by the API, their status by whoever plays the operator."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from redis.asyncio import Redis

from dreamhub import names
from dreamhub.errors import UnavailableError
from dreamhub.ids import new_id
from dreamhub_api.cluster import resources
from tests.integration.api.platform import Caller, Cluster, Tenant, until

INLINE = {"source": {"inline": {"name": "note.md", "text": "# Title\n\nSome text."}}}


async def test_inline_job_becomes_a_resource(caller: Caller, cluster: Cluster, acme: Tenant) -> None:
    status, job = await caller.call("POST", "/ingest-jobs", json={**INLINE, "name": "first", "tags": ["a"]})
    assert status == 201
    assert (job["name"], job["phase"], job["tags"]) == ("first", "Pending", ["a"])
    assert {kind: told for kind, told in job["source"].items() if told} == {"inline": {"name": "note.md"}}
    resource = await cluster.fetch_job(acme.name, "first")
    assert resource["spec"]["source"]["inline"]["text"] == "# Title\n\nSome text."
    assert resource["metadata"]["labels"]["dreamhub.dev/tenant"] == acme.name


async def test_name_is_made_when_none_is_given(caller: Caller) -> None:
    first = await caller.ok("POST", "/ingest-jobs", json=INLINE)
    second = await caller.ok("POST", "/ingest-jobs", json=INLINE)
    assert first["name"].startswith("ingest-")
    assert first["name"] != second["name"]


async def test_taken_name(caller: Caller) -> None:
    await caller.ok("POST", "/ingest-jobs", json={**INLINE, "name": "taken"})
    status, problem = await caller.call("POST", "/ingest-jobs", json={**INLINE, "name": "taken"})
    assert (status, problem["code"]) == (409, "JobExists")


async def test_documents_must_be_there(caller: Caller, stranger: Caller) -> None:
    _, foreign = await stranger.upload("theirs.txt", b"Another tenant's text.")
    _, deleted = await caller.upload("mine.txt", b"Soon deleted.")
    await caller.call("DELETE", f"/documents/{deleted['id']}")
    answers = [
        await caller.call("POST", "/ingest-jobs", json={"source": {"documents": {"ids": [document_id]}}})
        for document_id in (foreign["id"], deleted["id"], new_id("doc"))
    ]
    for status, problem in answers:
        problem.pop("requestId")
        assert (status, problem) == (404, answers[0][1])
        assert problem["code"] == "DocumentNotFound"
    assert (await caller.ok("GET", "/ingest-jobs"))["items"] == []


async def test_status_of_the_resource_is_what_callers_read(caller: Caller, cluster: Cluster, acme: Tenant) -> None:
    await caller.ok("POST", "/ingest-jobs", json={**INLINE, "name": "busy"})
    progress = {
        "documents": {"total": 4, "done": 2},
        "chunks": 40,
        "percent": 62,
        "chunksPerSecond": 400,
        "etaSeconds": 9,
    }
    await cluster.set_job_status(
        acme.name, "busy", {"phase": "Running", "reason": "Embedding", "progress": progress, "usage": {"tokens": 77}}
    )
    job = await _job_with(caller, "busy", phase="Running")
    assert job["progress"]["percent"] == 62
    assert job["progress"]["stage"] == "Embedding"
    assert job["progress"]["documents"]["done"] == 2
    assert job["progress"]["tokens"] == 77


async def test_task_is_202_until_the_job_has_ended(caller: Caller, cluster: Cluster, acme: Tenant) -> None:
    await caller.ok("POST", "/ingest-jobs", json={**INLINE, "name": "task"})
    status, task, headers = await caller.full("GET", "/tasks/task")
    assert (status, task["done"], headers["Retry-After"]) == (202, False, "1")
    error = {"document": new_id("doc"), "class": "Permanent", "reason": "EncryptedPDF", "message": "save it without"}
    await cluster.set_job_status(acme.name, "task", {"phase": "Failed", "reason": "DocumentsFailed", "errors": [error]})
    await _job_with(caller, "task", phase="Failed")
    status, task, headers = await caller.full("GET", "/tasks/task")
    assert (status, task["done"], task["retryAfterSeconds"]) == (200, True, None)
    assert "Retry-After" not in headers
    assert task["errors"][0]["reason"] == "EncryptedPDF"
    assert task["errors"][0]["errorClass"] == "Permanent"


async def test_deleted_job_is_gone_at_once(caller: Caller) -> None:
    await caller.ok("POST", "/ingest-jobs", json={**INLINE, "name": "short"})
    assert (await caller.call("DELETE", "/ingest-jobs/short"))[0] == 204
    assert (await caller.call("GET", "/ingest-jobs/short"))[1]["code"] == "JobNotFound"
    assert (await caller.call("DELETE", "/ingest-jobs/short"))[0] == 404
    assert (await caller.ok("GET", "/ingest-jobs"))["items"] == []


async def test_pages_of_jobs(caller: Caller) -> None:
    made = {(await caller.ok("POST", "/ingest-jobs", json=INLINE))["name"] for _ in range(5)}
    first = await caller.ok("GET", "/ingest-jobs?limit=3")
    second = await caller.ok("GET", f"/ingest-jobs?limit=3&cursor={first['nextCursor']}")
    assert len(first["items"]) == 3
    assert {job["name"] for job in (*first["items"], *second["items"])} == made
    assert second["nextCursor"] is None


async def test_job_made_with_kubectl_is_seen(caller: Caller, cluster: Cluster, acme: Tenant) -> None:
    manifest = {
        "apiVersion": "dreamhub.dev/v1alpha1",
        "kind": "IngestJob",
        "metadata": {"name": "by-hand"},
        "spec": INLINE,
    }
    path = f"/apis/dreamhub.dev/v1alpha1/namespaces/dh-{acme.name}/ingestjobs"
    await cluster.api.ok("POST", path, manifest)

    async def listed() -> bool:
        return any(job["name"] == "by-hand" for job in (await caller.ok("GET", "/ingest-jobs"))["items"])

    await until(listed, "the watch has brought the job")


async def test_documents_of_a_job_that_has_not_run(caller: Caller) -> None:
    await caller.ok("POST", "/ingest-jobs", json={**INLINE, "name": "waiting"})
    assert (await caller.ok("GET", "/ingest-jobs/waiting/documents"))["items"] == []


async def test_idempotency_key_creates_one_job(caller: Caller) -> None:
    headers = {"Idempotency-Key": "job-1"}
    first = await caller.full("POST", "/ingest-jobs", json=INLINE, headers=headers)
    second = await caller.full("POST", "/ingest-jobs", json=INLINE, headers=headers)
    assert (first[0], second[0]) == (201, 201)
    assert second[1]["name"] == first[1]["name"]
    assert second[2]["Idempotency-Replayed"] == "true"
    status, problem = await caller.call("POST", "/ingest-jobs", json={**INLINE, "force": True}, headers=headers)
    assert (status, problem["code"]) == (422, "IdempotencyMismatch")


async def test_failed_attempt_frees_its_key(caller: Caller) -> None:
    headers = {"Idempotency-Key": "job-2"}
    body = {"source": {"documents": {"ids": [new_id("doc")]}}}
    for _ in range(2):
        assert (await caller.call("POST", "/ingest-jobs", json=body, headers=headers))[1]["code"] == "DocumentNotFound"


@pytest.fixture
def lose_answers(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Let the answers to the next creations be lost: the jobs are made, and the server hears nothing of it."""
    plain = resources.Cluster.create_ingest_job

    def lose(count: int) -> None:
        left = count

        async def create(self: resources.Cluster, namespace: str, manifest: dict[str, Any]) -> dict[str, Any]:
            nonlocal left
            made = await plain(self, namespace, manifest)
            if left > 0:
                left -= 1
                raise UnavailableError("the Kubernetes API server does not answer", code="KubernetesUnavailable")
            return made

        monkeypatch.setattr(resources.Cluster, "create_ingest_job", create)

    return lose


@pytest.mark.parametrize("body", [INLINE, {**INLINE, "name": "own"}], ids=["made-up name", "own name"])
async def test_a_lost_answer_makes_no_second_job(
    caller: Caller, lose_answers: Callable[[int], None], body: dict[str, Any]
) -> None:
    headers = {"Idempotency-Key": "lost"}
    lose_answers(1)
    status, problem = await caller.call("POST", "/ingest-jobs", json=body, headers=headers)
    assert (status, problem["code"]) == (503, "KubernetesUnavailable")
    status, problem = await caller.call("POST", "/ingest-jobs", json={**body, "force": True}, headers=headers)
    assert (status, problem["code"]) == (422, "IdempotencyMismatch"), "the key is taken all the same"
    status, job = await caller.call("POST", "/ingest-jobs", json=body, headers=headers)
    assert status == 201
    assert [item["name"] for item in (await caller.ok("GET", "/ingest-jobs"))["items"]] == [job["name"]]
    again = await caller.full("POST", "/ingest-jobs", json=body, headers=headers)
    assert (again[1]["name"], again[2]["Idempotency-Replayed"]) == (job["name"], "true")


async def test_a_lost_record_makes_no_second_job(
    caller: Caller, acme: Tenant, redis_admin: Redis, lose_answers: Callable[[int], None]
) -> None:
    """Redis has forgotten everything too: the job itself knows which request has made it."""
    headers = {"Idempotency-Key": "lost-twice"}
    lose_answers(1)
    await caller.call("POST", "/ingest-jobs", json=INLINE, headers=headers)
    for key in [key async for key in redis_admin.scan_iter(f"{names.redis_prefix(acme.name)}idem:*")]:
        await redis_admin.delete(key)
    status, problem = await caller.call("POST", "/ingest-jobs", json={**INLINE, "force": True}, headers=headers)
    assert (status, problem["code"]) == (422, "IdempotencyMismatch")
    assert (await caller.call("POST", "/ingest-jobs", json=INLINE, headers=headers))[0] == 201
    assert len((await caller.ok("GET", "/ingest-jobs"))["items"]) == 1


async def test_a_name_that_another_request_took_is_not_ours(caller: Caller) -> None:
    body = {**INLINE, "name": "both"}
    for headers in ({}, {"Idempotency-Key": "first"}):
        await caller.call("POST", "/ingest-jobs", json=body, headers=headers)
    status, problem = await caller.call("POST", "/ingest-jobs", json=body, headers={"Idempotency-Key": "second"})
    assert (status, problem["code"]) == (409, "JobExists")


async def test_requests_that_race_under_one_key_make_one_job(caller: Caller) -> None:
    headers = {"Idempotency-Key": "race"}
    answers = await asyncio.gather(
        *(caller.call("POST", "/ingest-jobs", json=INLINE, headers=headers) for _ in range(8))
    )
    assert {status for status, _ in answers} <= {201, 409}
    assert len({job["name"] for status, job in answers if status == 201}) == 1
    assert {problem["code"] for status, problem in answers if status == 409} <= {"IdempotencyPending"}
    assert len((await caller.ok("GET", "/ingest-jobs"))["items"]) == 1


async def _job_with(caller: Caller, name: str, **fields: Any) -> Any:
    found: dict[str, Any] = {}

    async def matches() -> bool:
        found.update(await caller.ok("GET", f"/ingest-jobs/{name}"))
        return all(found[key] == value for key, value in fields.items())

    await until(matches, f"job {name} has {fields}")
    return found

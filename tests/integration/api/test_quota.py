"""The plan through the API: exactly so many in a race, refusals that tell the figures, suspension, usage."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from dreamhub import names
from dreamhub.llm.embedding import Embedder, open_embedder
from dreamhub.llm.models import BUILTIN_EMBEDDING, DEFAULT_MODELS
from dreamhub.sql.connections import Connection
from dreamhub.sql.quota import Limits, TokenUse, admit_jobs, release_jobs, set_limits, use_tokens
from dreamhub_api import context
from dreamhub_api.settings import Settings
from tests.integration.api.conftest import ready_caller
from tests.integration.api.platform import GROUP, Caller, Cluster, Tenant, run_server, until
from tests.integration.api.test_knowledge import HANDBOOK, ingest
from tests.integration.llm.provider_server import Provider, run_provider
from tests.integration.sql.support import connected

RACERS = 50
ROOM = 7
DAY_SECONDS = 24 * 3600
QUESTION = "How long is the warranty of the pump?"
INLINE = {"source": {"inline": {"name": "note.md", "text": "A note."}}}


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    return open_embedder(DEFAULT_MODELS.find("embedding", BUILTIN_EMBEDDING))


@pytest_asyncio.fixture
async def handbook(acme: Tenant, embedder: Embedder) -> str:
    return await ingest(acme, embedder, "handbook.md", HANDBOOK)


@pytest_asyncio.fixture
async def starter(
    http: aiohttp.ClientSession, settings: Settings, acme: Tenant, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Caller]:
    """Of a race: on a server that waits longer for a lock than all who race take, however busy the machine is."""
    monkeypatch.setattr(context, "LOCK_SECONDS", 60.0)
    async with run_server(settings) as url:
        yield await ready_caller(http, url, acme)


async def race(calls: Sequence[Awaitable[tuple[int, Any]]], passed: int, refused: int) -> list[Any]:
    """All at once; exactly `ROOM` pass. Returns the problems of the others."""
    outcomes = await asyncio.gather(*calls)
    assert Counter(status for status, _ in outcomes) == {passed: ROOM, refused: RACERS - ROOM}
    problems = [body for status, body in outcomes if status == refused]
    assert {problem["code"] for problem in problems} == {"QuotaExceeded"}
    return problems


async def used(caller: Caller) -> dict[str, int]:
    return {quota["quota"]: quota["used"] for quota in (await caller.ok("GET", "/usage"))["quotas"]}


@pytest.mark.parametrize("quota", ["documents", "storage"])
async def test_uploads_race_for_what_is_left(
    starter: Caller, acme: Tenant, operator_connection: Connection, quota: str
) -> None:
    limits = Limits(documents=ROOM) if quota == "documents" else Limits(storage_bytes=ROOM * 100 + 99)
    await set_limits(operator_connection, acme.name, limits, suspended=False)
    uploads = [starter.upload(f"{number}.txt", f"{number:0100}".encode()) for number in range(RACERS)]
    problem = (await race(uploads, 201, 403))[-1]
    assert (problem["status"], problem["quota"]) == (403, quota)
    assert "ask for a larger plan" in problem["detail"]
    assert "resetsAt" not in problem
    assert len((await starter.ok("GET", "/documents"))["items"]) == ROOM
    now = await used(starter)
    assert (now["documents"], now["storage"]) == (ROOM, ROOM * 100)


async def test_a_full_store_refuses_before_the_bytes_come(
    caller: Caller, acme: Tenant, operator_connection: Connection
) -> None:
    await set_limits(operator_connection, acme.name, Limits(storage_bytes=50), suspended=False)
    status, problem, headers = await caller.full("POST", "/documents?name=a.txt", data=b"x" * 51)
    assert (status, problem["limit"], problem["used"], problem["requested"]) == (403, 50, 0, 51)
    assert "Retry-After" not in headers
    status, document = await caller.upload("b.txt", b"x" * 50)
    assert status == 201
    await caller.call("DELETE", f"/documents/{document['id']}")
    assert (await caller.upload("c.txt", b"y" * 50))[0] == 201


async def test_jobs_race_for_places_on_two_servers(
    starter: Caller,
    acme: Tenant,
    settings: Settings,
    cluster: Cluster,
    operator_connection: Connection,
) -> None:
    await set_limits(operator_connection, acme.name, Limits(queued_jobs=ROOM), suspended=False)
    async with run_server(settings) as url:
        other = await ready_caller(starter.session, url, acme)
        calls = [(starter, other)[number % 2].call("POST", "/ingest-jobs", json=INLINE) for number in range(RACERS)]
        problem = (await race(calls, 201, 429))[-1]
    assert (problem["quota"], problem["limit"], problem["used"]) == ("queuedJobs", ROOM, ROOM)
    path = f"{GROUP}/namespaces/{names.namespace(acme.name)}/ingestjobs"
    jobs = (await cluster.api.ok("GET", path))["items"]
    assert len(jobs) == ROOM
    status, _, headers = await starter.full("POST", "/ingest-jobs", json=INLINE)
    assert (status, headers["Retry-After"]) == (429, "30")
    uids = {job["metadata"]["name"]: job["metadata"]["uid"] for job in jobs}
    assert await admit_jobs(operator_connection, acme.name, uids) == set(uids)
    await release_jobs(operator_connection, acme.name, [next(iter(uids))])
    assert (await starter.call("POST", "/ingest-jobs", json=INLINE))[0] == 201


async def test_a_job_that_was_not_created_holds_no_place(
    caller: Caller, acme: Tenant, operator_connection: Connection
) -> None:
    await set_limits(operator_connection, acme.name, Limits(queued_jobs=2), suspended=False)
    await caller.ok("POST", "/ingest-jobs", json={"name": "mine", **INLINE})
    assert (await caller.call("POST", "/ingest-jobs", json={"name": "mine", **INLINE}))[0] == 409
    assert (await used(caller))["queuedJobs"] == 1, "the job that is there keeps its place"
    await release_jobs(operator_connection, acme.name, ["mine"])
    assert (await caller.call("POST", "/ingest-jobs", json={"name": "mine", **INLINE}))[0] == 409
    assert (await used(caller))["queuedJobs"] == 0


async def test_questions_race_for_tokens(
    starter: Caller, acme: Tenant, handbook: str, embedder: Embedder, operator_connection: Connection
) -> None:
    tokens = sum((await embedder.embed([QUESTION])).tokens)
    await set_limits(operator_connection, acme.name, Limits(tokens_per_day=ROOM * tokens + tokens - 1), suspended=False)
    searches = [starter.call("POST", "/search", json={"query": QUESTION}) for _ in range(RACERS)]
    problem = (await race(searches, 200, 429))[-1]
    assert (problem["quota"], problem["used"], problem["requested"]) == ("tokensPerDay", ROOM * tokens, tokens)
    assert problem["resetsAt"].endswith("T00:00:00Z")
    usage = await starter.ok("GET", "/usage")
    total = {"model": BUILTIN_EMBEDDING, "purpose": "search", "today": ROOM * tokens, "month": ROOM * tokens}
    assert usage["tokens"] == [total]
    await set_limits(operator_connection, acme.name, Limits(tokens_per_month=ROOM * tokens), suspended=False)
    status, problem, headers = await starter.full("POST", "/answers", json={"question": QUESTION})
    assert (status, problem["quota"], problem["requested"]) == (429, "tokensPerMonth", 1), "refused before any work"
    assert 0 < int(headers["Retry-After"]) <= 31 * DAY_SECONDS
    await set_limits(operator_connection, acme.name, Limits(), suspended=False)
    assert (await starter.ok("POST", "/answers", json={"question": QUESTION}))["citations"][0]["documentId"] == handbook
    charged = {(entry["purpose"], entry["today"]) for entry in (await starter.ok("GET", "/usage"))["tokens"]}
    assert charged == {("search", ROOM * tokens), ("answer", tokens)}


@pytest_asyncio.fixture
async def paid_chat(
    http: aiohttp.ClientSession, settings: Settings, cluster: Cluster, acme: Tenant, tmp_path: Path
) -> AsyncIterator[tuple[Caller, Provider]]:
    """A caller whose answers are written by somebody else's model."""
    async with run_provider() as provider:
        models = tmp_path / "models.yaml"
        models.write_text(
            "models:\n"
            "  - {name: builtin/wordllama-256, kind: embedding, dimensions: 256, lexicalWeight: 0.5}\n"
            f"  - {{name: test-chat, kind: chat, endpoint: '{provider.endpoint}'}}\n"
        )
        await cluster.set_chat_model(acme.name, "test-chat")
        async with run_server(settings.model_copy(update={"models_file": models})) as url:
            yield await ready_caller(http, url, acme), provider


async def test_a_models_price_is_reserved_and_settled(paid_chat: tuple[Caller, Provider], handbook: str) -> None:
    caller, _ = paid_chat
    answer = await caller.ok("POST", "/answers", json={"question": QUESTION})
    assert answer["citations"][0]["documentId"] == handbook
    charged = {entry["model"]: entry["today"] for entry in (await caller.ok("GET", "/usage"))["tokens"]}
    assert charged["test-chat"] == 15


async def test_a_model_is_not_asked_what_could_cost_too_much(
    paid_chat: tuple[Caller, Provider], acme: Tenant, handbook: str, operator_connection: Connection
) -> None:
    caller, provider = paid_chat
    await set_limits(operator_connection, acme.name, Limits(tokens_per_day=100), suspended=False)
    status, problem = await caller.call("POST", "/answers", json={"question": QUESTION})
    assert (status, problem["quota"], provider.requests) == (429, "tokensPerDay", []), handbook
    assert [entry["model"] for entry in (await caller.ok("GET", "/usage"))["tokens"]] == [BUILTIN_EMBEDDING]


async def test_a_suspended_tenant_reads_searches_answers_and_deletes(
    caller: Caller, cluster: Cluster, acme: Tenant, handbook: str
) -> None:
    await caller.upload("other.txt", b"Some text.")
    await cluster.api.merge(f"{GROUP}/tenants/{acme.name}", {"spec": {"suspend": True}})

    async def known() -> bool:
        return bool((await caller.ok("GET", "/tenants/self"))["suspended"])

    await until(known, "the server knows of the suspension")
    for call in (caller.upload("new.txt", b"New."), caller.call("POST", "/ingest-jobs", json=INLINE)):
        status, problem = await call
        assert (status, problem["code"]) == (403, "TenantSuspended")
        assert "ask whoever runs the platform" in problem["detail"]
    assert (await caller.ok("POST", "/search", json={"query": QUESTION}))["hits"]
    assert (await caller.ok("POST", "/answers", json={"question": QUESTION}))["answered"]
    assert (await caller.ok("GET", f"/documents/{handbook}"))["state"] == "active"
    assert (await caller.call("DELETE", f"/documents/{handbook}"))[0] == 204


async def test_the_database_knows_of_a_suspension_by_itself(
    caller: Caller, acme: Tenant, operator_connection: Connection
) -> None:
    """Whatever an instance of the API has in its cache."""
    await set_limits(operator_connection, acme.name, Limits(), suspended=True)
    for call in (caller.upload("new.txt", b"New."), caller.call("POST", "/ingest-jobs", json=INLINE)):
        status, problem = await call
        assert (status, problem["code"]) == (403, "TenantSuspended")
    assert (await caller.ok("GET", "/usage"))["suspended"]


async def test_what_a_tenants_login_keeps_locked_holds_up_no_connection(
    caller: Caller, acme: Tenant, handbook: str
) -> None:
    """All tenants share them. The tenant's own questions are put off, reading goes on."""
    async with connected(acme.database_url) as thief, thief.transaction():
        await use_tokens(thief, TokenUse("stolen", "search", 1))
        status, problem = await caller.call("POST", "/search", json={"query": QUESTION})
        assert (status, problem["code"]) == (503, "DatabaseUnavailable")
        assert (await caller.ok("GET", f"/documents/{handbook}"))["state"] == "active"
    assert (await caller.ok("POST", "/search", json={"query": QUESTION}))["hits"]


async def test_usage_beside_limits(
    caller: Caller, cluster: Cluster, acme: Tenant, handbook: str, operator_connection: Connection
) -> None:
    await set_limits(operator_connection, acme.name, Limits(documents=10, concurrent_jobs=4), suspended=False)
    job = await caller.ok("POST", "/ingest-jobs", json=INLINE)
    await cluster.set_job_status(acme.name, job["name"], {"phase": "Running"})

    async def running() -> bool:
        return (await used(caller))["concurrentJobs"] == 1

    await until(running, "the server knows that the job runs")
    quotas = {quota["quota"]: quota for quota in (await caller.ok("GET", "/usage"))["quotas"]}
    assert (quotas["documents"]["used"], quotas["documents"]["limit"]) == (1, 10)
    assert (quotas["chunks"]["used"], quotas["chunks"]["limit"]) == (len(HANDBOOK), None)
    assert (quotas["concurrentJobs"]["used"], quotas["concurrentJobs"]["limit"]) == (1, 4)
    assert quotas["queuedJobs"]["used"] == 1
    assert quotas["tokensPerMonth"]["resetsAt"].endswith("-01T00:00:00Z")
    assert handbook


async def test_the_tenant_tells_its_usage_as_last_seen(caller: Caller, cluster: Cluster, acme: Tenant) -> None:
    assert (await caller.ok("GET", "/tenants/self"))["usage"] is None
    seen = {"documents": 3, "storageBytes": 70, "tokensToday": 5, "observedTime": "2026-01-02T03:04:05Z"}
    await cluster.api.merge(f"{GROUP}/tenants/{acme.name}/status", {"status": {"usage": seen}})

    async def told() -> bool:
        usage = (await caller.ok("GET", "/tenants/self"))["usage"]
        return usage is not None and {name: usage[name] for name in seen} == seen

    await until(told, "the server knows of the usage")

"""The plan of a tenant on a real API server and a real database: limits, usage, slots and places under a rush."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from dreamhub.crd.ingest_job import IngestReason
from dreamhub.sql.quota import Limits, admit_jobs, fetch_admissions, fetch_usage, set_limits
from tests.integration.conftest import Database
from tests.integration.operator.control_plane import Api
from tests.integration.operator.deployment import (
    TENANTS,
    OperatorProcess,
    condition,
    eventually,
    ready_tenant,
)
from tests.integration.operator.kubelet import Kubelet, jobs_path, succeeded
from tests.integration.operator.test_ingest_job import INLINE, create, path_of, upload, wait_for, wait_for_job

RUSH = 50
LIMIT = 3


@asynccontextmanager
async def as_operator(database: Database) -> AsyncIterator[asyncpg.Connection]:
    conn = await asyncpg.connect(database.url("dreamhub_operator"))
    try:
        yield conn
    finally:
        await conn.close()


async def fetch_tenant(api: Api, name: str) -> dict[str, Any]:
    tenant: dict[str, Any] = await api.ok("GET", f"{TENANTS}/{name}")
    return tenant


@dataclass
class Observer:
    """Every change of a tenant's Jobs, in the order in which the API server made it."""

    api: Api
    tenant: str
    running: set[str] = field(default_factory=set)
    most: int = 0
    seen: set[str] = field(default_factory=set)

    async def watch(self) -> None:
        headers = {"Authorization": f"Bearer {self.api.token}"}
        url = f"{self.api.url}{jobs_path(self.tenant)}?watch=true&resourceVersion=0"
        async with self.api.session.get(url, headers=headers, ssl=False, timeout=None) as response:
            async for line in response.content:
                event = json.loads(line)
                self.note(event["type"], event["object"])

    def note(self, kind: str, job: dict[str, Any]) -> None:
        name = job["metadata"]["name"]
        ended = any(c["type"] in {"Complete", "Failed"} for c in job["status"].get("conditions", []))
        runs = kind != "DELETED" and not ended and not job["spec"].get("suspend")
        (self.running.add if runs else self.running.discard)(name)
        self.seen.add(name)
        self.most = max(self.most, len(self.running))


async def finish_jobs(observer: Observer, kubelets: dict[str, Kubelet], done: set[str]) -> None:
    """Do the work of whatever runs, as it comes."""
    while True:
        for name in sorted(observer.running - done):
            await kubelets[name].work(succeeded(), last=True)
            await kubelets[name].complete_job()
            done.add(name)
        await asyncio.sleep(0.01)


async def find_waiting(api: Api, tenant: str) -> dict[str, Any] | None:
    """Any: which of many that are made at once comes first is the API server's business."""
    jobs: list[dict[str, Any]] = (await api.ok("GET", path_of(tenant=tenant)))["items"]
    return next((job for job in jobs if job.get("status", {}).get("reason") == IngestReason.TENANT_LIMIT), None)


async def test_a_rush_of_jobs_runs_three_at_a_time_even_when_the_operator_dies(
    api: Api, operator: OperatorProcess
) -> None:
    tenant = "rush"
    await ready_tenant(api, tenant, plan={"concurrentJobs": LIMIT})
    observer, done = Observer(api, tenant), set[str]()
    watching = asyncio.create_task(observer.watch())
    made = await asyncio.gather(*(create(api, f"r{number:02}", tenant, **INLINE) for number in range(RUSH)))
    kubelets = {kubelet.job: kubelet for kubelet in made}
    waiting = await eventually(lambda: find_waiting(api, tenant), "one of them waits for a slot")
    assert f"{LIMIT} IngestJobs of tenant {tenant} may run at once" in waiting["status"]["message"]
    assert condition(waiting, "Reconciling")["status"] == "True"
    working = asyncio.create_task(finish_jobs(observer, kubelets, done))

    async def reached(number: int) -> bool:
        for task in (watching, working):
            if task.done():
                task.result()
        return len(done) >= number

    try:
        await eventually(lambda: reached(RUSH // 3), "a third is done", 300)
        operator.kill()
        operator.start()
        await eventually(lambda: reached(RUSH), "all are done", 300)
        for number in range(RUSH):
            await wait_for(api, f"r{number:02}", IngestReason.INGESTED, tenant)
    finally:
        for task in (watching, working):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
    assert observer.most == LIMIT
    assert len(observer.seen) == RUSH


async def test_a_suspended_job_gives_its_slot_away_and_waits_for_another(api: Api, operator: OperatorProcess) -> None:
    tenant = "slots"
    await ready_tenant(api, tenant, plan={"concurrentJobs": 1})
    first = await create(api, "first", tenant, **INLINE)
    await wait_for_job(api, first)
    second = await create(api, "second", tenant, **INLINE)
    await wait_for(api, "second", IngestReason.TENANT_LIMIT, tenant)
    await api.merge(path_of("first", tenant), {"spec": {"suspend": True}})
    await wait_for_job(api, second)
    await api.merge(path_of("first", tenant), {"spec": {"suspend": False}})
    body = await wait_for(api, "first", IngestReason.TENANT_LIMIT, tenant)
    assert "place 1 in the queue: 1 IngestJob of tenant slots" in body["status"]["message"]
    await api.merge(f"{TENANTS}/{tenant}", {"spec": {"plan": {"concurrentJobs": 2}}})
    await wait_for(api, "first", IngestReason.WAITING_FOR_POD, tenant)
    assert (await api.ok("GET", jobs_path(tenant, first.job)))["spec"]["suspend"] is False


async def test_deleting_a_running_job_lets_the_next_begin(api: Api, operator: OperatorProcess) -> None:
    tenant = "deleted"
    await ready_tenant(api, tenant, plan={"concurrentJobs": 1})
    first = await create(api, "first", tenant, **INLINE)
    await wait_for_job(api, first)
    second = await create(api, "second", tenant, **INLINE)
    await wait_for(api, "second", IngestReason.TENANT_LIMIT, tenant)
    await api.ok("DELETE", path_of("first", tenant))
    await api.ok("DELETE", jobs_path(tenant, first.job) + "?propagationPolicy=Background")
    await wait_for_job(api, second)


async def test_jobs_made_with_kubectl_wait_outside_of_a_full_queue(
    api: Api, operator: OperatorProcess, database: Database
) -> None:
    tenant = "queue"
    await ready_tenant(api, tenant, plan={"queuedJobs": 2})
    first = await create(api, "a", tenant, **INLINE)
    await wait_for_job(api, first)
    second = await create(api, "b", tenant, **INLINE)
    await wait_for_job(api, second)
    third = await create(api, "c", tenant, **INLINE)
    body = await wait_for(api, "c", IngestReason.QUEUE_FULL, tenant)
    assert "2 IngestJobs may be unfinished at once" in body["status"]["message"]
    assert (await api.call("GET", jobs_path(tenant, third.job)))[0] == 404
    async with as_operator(database) as conn:
        rows = (await fetch_admissions(conn, [tenant]))[tenant]
    assert {(row.name, row.uid) for row in rows} == {("a", first.uid), ("b", second.uid)}
    await first.work(succeeded(), last=True)
    await first.complete_job()
    await wait_for_job(api, third)
    await api.ok("DELETE", path_of("b", tenant))

    async def left() -> bool:
        async with as_operator(database) as conn:
            rows = (await fetch_admissions(conn, [tenant])).get(tenant, ())
        return {row.name for row in rows} == {"c"}

    await eventually(left, "the places of the ended and the deleted one are free")


async def test_places_of_jobs_that_went_while_nobody_looked_are_taken_back(
    api: Api, operator: OperatorProcess, database: Database
) -> None:
    tenant = "forgotten"
    await ready_tenant(api, tenant, plan={"queuedJobs": 1})
    async with as_operator(database) as conn:
        assert await admit_jobs(conn, tenant, {"ghost": "no-such-uid"}) == {"ghost"}
    kubelet = await create(api, "late", tenant, **INLINE)
    await wait_for(api, "late", IngestReason.QUEUE_FULL, tenant)

    async def begun() -> bool:
        return (await api.call("GET", jobs_path(tenant, kubelet.job)))[0] == 200

    await eventually(begun, "the ghost's place is taken over", 90)


async def test_limits_reach_the_database_and_are_put_back(
    api: Api, operator: OperatorProcess, database: Database
) -> None:
    tenant = "limits"
    await ready_tenant(api, tenant, plan={"documents": 2, "storage": "1Ki", "tokensPerDay": 500, "concurrentJobs": 4})
    expected = Limits(documents=2, storage_bytes=1024, tokens_per_day=500, concurrent_jobs=4)

    async def stored(limits: Limits, *, suspended: bool) -> bool:
        async with as_operator(database) as conn:
            found = (await fetch_usage(conn, [tenant]))[tenant]
        return (found.limits, found.suspended) == (limits, suspended)

    assert await stored(expected, suspended=False)
    async with as_operator(database) as conn:
        await set_limits(conn, tenant, Limits(), suspended=False)
    await eventually(lambda: stored(expected, suspended=False), "put back", 90)
    await api.merge(f"{TENANTS}/{tenant}", {"spec": {"suspend": True, "plan": {"documents": None}}})
    expected = Limits(storage_bytes=1024, tokens_per_day=500, concurrent_jobs=4)
    await eventually(lambda: stored(expected, suspended=True), "changed with the spec")


async def test_usage_is_shown_and_a_reached_limit_is_told(api: Api, operator: OperatorProcess) -> None:
    tenant = "usage"
    await ready_tenant(api, tenant, plan={"documents": 1})
    fresh = await fetch_tenant(api, tenant)
    assert condition(fresh, "WithinQuota")["status"] == "True"
    assert fresh["status"]["usage"]["documents"] == 0
    await upload(api, tenant)

    async def reached() -> dict[str, Any] | None:
        body = await fetch_tenant(api, tenant)
        return body if condition(body, "WithinQuota")["status"] == "False" else None

    body = await eventually(reached, "the limit is reached", 90)
    told = condition(body, "WithinQuota")
    assert (told["reason"], told["message"][:40]) == ("QuotaReached", "spec.plan.documents: 1 of 1 are used; de")
    assert body["status"]["usage"]["documents"] == 1
    assert body["status"]["usage"]["storageBytes"] == 3

    async def event() -> bool:
        found = await api.ok("GET", "/api/v1/namespaces/default/events")
        return any(e["reason"] == "QuotaReached" and e["involvedObject"]["name"] == tenant for e in found["items"])

    await eventually(event, "the Event")

"""A job that costs too much, on a whole cluster: it asks, is released by somebody else, and says what it has cost."""

import json
from collections.abc import AsyncIterator

import pytest_asyncio

from tests.e2e.kube import Json, Kube, eventually, run
from tests.e2e.tenants import JOB_SECONDS, Tenant, cli_environment, open_tenant

TEXT = "# Ferry\n\n" + "The ferry leaves the northern pier at seven. " * 40


@pytest_asyncio.fixture(scope="module")
async def thrifty(kube: Kube, server: str) -> AsyncIterator[Tenant]:
    """Above 100 tokens somebody has to agree."""
    async with open_tenant(kube, server, "thrifty", approval={"tokensAbove": 100}) as opened:
        yield opened


async def wait_for(tenant: Tenant, name: str, phase: str) -> Json:
    async def seen() -> bool:
        job = await tenant.kube.get("ingestjob", name)
        return bool(job.get("status", {}).get("phase") == phase)

    await eventually(seen, JOB_SECONDS, f"{name} to be {phase}")
    return await tenant.kube.get("ingestjob", name)


async def test_a_job_waits_until_kubectl_approves_it_and_tells_what_it_took(thrifty: Tenant) -> None:
    await thrifty.kube.apply(thrifty.job("dear", inline={"name": "ferry.md", "text": TEXT}))
    waiting = await wait_for(thrifty, "dear", "AwaitingApproval")
    assert waiting["status"]["estimate"]["tokens"] > 100
    assert "jobName" not in waiting["status"]
    refused = await thrifty.kube.run(
        *("patch", "ingestjob", "dear", "--type", "merge", "--patch", '{"spec": {"approved": true}}'),
        *("--as", f"system:serviceaccount:{thrifty.kube.namespace}:owner"),
    )
    assert refused.code != 0
    assert "right to approve" in refused.err
    command = ("kubectl", "dreamhub", "--namespace", thrifty.kube.namespace, "approve", "dear")
    done = await run(*command, environment=cli_environment(thrifty.kube))
    assert done.code == 0, done
    job = await wait_for(thrifty, "dear", "Succeeded")
    approved = next(each for each in job["status"]["conditions"] if each["type"] == "Approved")
    assert approved["message"] == f"approved by {job['metadata']['annotations']['dreamhub.dev/approved-by']}"
    assert done.out == f"dear {approved['message']}\n"
    estimate, used = job["status"]["estimate"]["tokens"], job["status"]["usage"]["tokens"]
    assert used / 3 < estimate < used * 3
    told = json.loads((await thrifty.cli("jobs", "documents", "dear", "--json")).out)["items"]
    assert [(item["outcome"], item["tokens"]) for item in told] == [("Done", used)]
    assert (await thrifty.search("when does the ferry leave?"))[0].document_name == "ferry.md"


async def test_a_job_that_waits_is_cancelled_and_ordered_again(thrifty: Tenant) -> None:
    await thrifty.kube.apply(thrifty.job("doubtful", inline={"name": "doubtful.md", "text": TEXT}))
    await wait_for(thrifty, "doubtful", "AwaitingApproval")
    assert (await thrifty.cli("cancel", "doubtful")).code == 0
    await wait_for(thrifty, "doubtful", "Cancelled")
    again = json.loads((await thrifty.cli("retry", "doubtful", "--json")).out)
    await wait_for(thrifty, again["name"], "AwaitingApproval")
    assert (await thrifty.cli("approve", again["name"])).code == 0
    await wait_for(thrifty, again["name"], "Succeeded")

"""Things that die in the middle: the operator, a worker, the API server. Nothing changes but the time."""

from collections.abc import AsyncIterator

import pytest_asyncio

from dreamhub.names import job_name, namespace
from dreamhub_client.messages import JobUpdate
from dreamhub_client.models import Document, IngestJobCreate
from dreamhub_client.sources import DocumentsSource, JobSource
from tests.e2e.files import long_text
from tests.e2e.kube import SYSTEM, Kube, eventually
from tests.e2e.tenants import READY_SECONDS, Tenant, new_name, open_tenant, remove, tenant_manifest

SECONDS = 240
LONG_MEGABYTES = 5
OPERATOR = "app.kubernetes.io/component=operator"
API = "app.kubernetes.io/component=api-server"


@pytest_asyncio.fixture(scope="module")
async def patient(kube: Kube, server: str) -> AsyncIterator[Tenant]:
    async with open_tenant(kube, server, "patient") as opened:
        yield opened


async def start_long_job(tenant: Tenant, seed: int) -> tuple[Document, str, str]:
    """A job that takes long enough to be interrupted, seen running with chunks stored; its name and its UID."""
    document = await tenant.upload(f"{new_name('long')}.txt", long_text(LONG_MEGABYTES, seed))
    source = JobSource(documents=DocumentsSource(ids=(document.id,)))
    job = await tenant.client.create_ingest_job(IngestJobCreate(source=source))
    async for update in tenant.client.watch_job(job.name):
        assert update.phase not in {"Succeeded", "Failed"}, f"too fast to be interrupted: {update}"
        if update.progress.chunks > 0:
            break
    return document, job.name, job.uid


async def expect_whole(tenant: Tenant, document: Document, update: JobUpdate) -> None:
    """Every chunk once, in order, without a gap in the text."""
    assert (update.phase, update.progress.percent) == ("Succeeded", 100), update
    chunks = [chunk async for chunk in tenant.client.iterate_chunks(document.id)]
    assert [chunk.ordinal for chunk in chunks] == list(range(len(chunks)))
    assert len(chunks) == update.progress.chunks
    paragraphs = {int(word) for chunk in chunks for word in numbers_after("Paragraph ", chunk.text)}
    assert paragraphs == set(range(max(paragraphs) + 1))
    stored = await tenant.client.fetch_document(document.id)
    assert stored.active_version == document.latest_version


def numbers_after(word: str, text: str) -> list[str]:
    return [part.split(".", 1)[0] for part in text.split(word)[1:] if part.split(".", 1)[0].isdecimal()]


async def jobs_of(tenant: Tenant, name: str) -> list[str]:
    uid = (await tenant.kube.get("ingestjob", name))["metadata"]["uid"]
    jobs = await tenant.kube.items("jobs", "--selector", f"dreamhub.dev/owner-uid={uid}")
    return [job["metadata"]["uid"] for job in jobs]


async def pod_names(kube: Kube, selector: str) -> set[str]:
    return {pod["metadata"]["name"] for pod in await kube.items("pods", "--selector", selector)}


async def test_operator_killed_in_the_middle(kube: Kube, patient: Tenant) -> None:
    document, name, _ = await start_long_job(patient, seed=1)
    before = await jobs_of(patient, name)
    killed = await pod_names(kube.within(SYSTEM), OPERATOR)
    await kube.within(SYSTEM).delete_pods(OPERATOR, at_once=True)
    update = await patient.client.wait_job(name, SECONDS)
    assert await jobs_of(patient, name) == before
    assert len(before) == 1
    await expect_whole(patient, document, update)
    await patient.kube.wait_condition(f"ingestjob {name}", "Complete", seconds=60)
    assert await pod_names(kube.within(SYSTEM), OPERATOR) - killed


async def test_operator_killed_while_a_tenant_is_made(kube: Kube) -> None:
    name = new_name("second")
    try:
        await kube.apply(tenant_manifest(name))
        await kube.within(SYSTEM).delete_pods(OPERATOR, at_once=True)
        await kube.wait_condition(f"tenant {name}", "Ready", seconds=READY_SECONDS)
        made = await kube.within(namespace(name)).items("networkpolicies,serviceaccounts,secrets")
        found = {item["metadata"]["name"] for item in made}
        assert found >= {"default-deny", "worker-egress", "worker", "owner", "dreamhub-credentials"}
    finally:
        await remove(kube, name)


async def test_worker_killed_in_the_middle_goes_on_where_it_was(patient: Tenant) -> None:
    document, name, uid = await start_long_job(patient, seed=2)
    selector = f"batch.kubernetes.io/job-name={job_name(uid)}"
    killed = await patient.kube.delete_pods(selector, at_once=True)
    hidden = await patient.search("Paragraph", 50)
    assert document.id not in {hit.document_id for hit in hidden}, "a document appears only when it is whole"
    assert killed
    update = await patient.client.wait_job(name, SECONDS)
    assert await pod_names(patient.kube, selector) - killed, "another pod has gone on"
    await expect_whole(patient, document, update)
    assert len(await jobs_of(patient, name)) == 1


async def test_api_server_killed_while_a_job_is_watched(kube: Kube, patient: Tenant) -> None:
    document, name, _ = await start_long_job(patient, seed=3)
    await kube.within(SYSTEM).delete_pods(API, at_once=True)
    await expect_whole(patient, document, await patient.client.wait_job(name, SECONDS))

    async def ready() -> bool:
        deployments = await kube.within(SYSTEM).items("deployments", "--selector", API)
        return all(item["status"].get("readyReplicas", 0) == item["spec"]["replicas"] for item in deployments)

    await eventually(ready, 60, "the API server to be ready again")


async def test_deleting_a_document_stops_its_job_with_an_error(patient: Tenant) -> None:
    document, name, _ = await start_long_job(patient, seed=4)
    await patient.client.delete_document(document.id)
    update = await patient.client.wait_job(name, SECONDS)
    assert update.phase == "Failed"
    assert [error.document for error in update.errors] == [document.id]
    assert document.id not in {found.id for found in await patient.documents()}
    assert await patient.search("Paragraph", 50) == () or all(
        hit.document_id != document.id for hit in await patient.search("Paragraph", 50)
    )

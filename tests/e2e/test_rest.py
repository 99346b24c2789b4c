"""A tenant's whole life with documents, through the client: upload, ingest, read, search, ask, delete."""

from collections import Counter

import pytest

from dreamhub.names import object_key
from dreamhub_client import upload_bytes
from dreamhub_client.errors import ConflictError, NotFoundError
from dreamhub_client.models import AnswerRequest, IngestJobCreate, SearchFilters, SearchRequest
from dreamhub_client.sources import DocumentsSource, InlineSource, JobSource
from hack.demo.pdf import SAMPLES
from hack.demo.story import EXPECTED, QUESTION
from tests.e2e.kube import Kube, eventually
from tests.e2e.tenants import JOB_SECONDS, Tenant, new_name, open_tenant
from tests.e2e.traces import list_objects

MANUAL = SAMPLES / "documents" / EXPECTED.document
CHINESE = SAMPLES / "documents" / "suzhou-handbook.zh.md"


async def test_question_is_answered_from_document_page_and_section(tenant: Tenant) -> None:
    documents = [await tenant.upload(path.name, path.read_bytes(), "samples") for path in (MANUAL, CHINESE)]
    update = await tenant.ingest(*(document.id for document in documents))
    assert update.phase == "Succeeded", update
    assert (await tenant.client.fetch_document(documents[0].id)).pages == 17
    answer = await tenant.client.answer(AnswerRequest(question=QUESTION))
    assert answer.answered
    assert "eight hours" in answer.answer
    assert EXPECTED.matches(answer.citations[0]), answer
    chinese = await tenant.search("礼品总值不超过多少可以收下")
    assert chinese[0].document_name == CHINESE.name
    assert chinese[0].heading_path[-1] == "礼品"


async def test_document_is_read_back_as_it_was(tenant: Tenant) -> None:
    text = "# Ferry\n\n" + "\n\n".join(
        f"## Pier {n}\n\nThe ferry leaves pier {n} at {n}:15 sharp." for n in range(1, 9)
    )
    name = f"{new_name('ferry')}.md"
    document = await tenant.add(name, text, "travel")
    stored = await tenant.client.fetch_document(document.id)
    assert (stored.name, stored.media_type, stored.tags, stored.state) == (name, "text/markdown", ("travel",), "active")
    assert stored.active_version == stored.latest_version
    assert b"".join([piece async for piece in tenant.client.stream_content(document.id)]) == text.encode()
    chunks = [chunk async for chunk in tenant.client.iterate_chunks(document.id)]
    assert [chunk.ordinal for chunk in chunks] == list(range(len(chunks)))
    assert len(chunks) == stored.chunks
    assert "ferry leaves pier 8" in " ".join(chunk.text for chunk in chunks)
    versions = await tenant.client.fetch_versions(document.id)
    assert [(version.number, version.state) for version in versions] == [(1, "active")]


async def test_new_version_replaces_the_old_one_in_searches(tenant: Tenant) -> None:
    name = f"{new_name('menu')}.md"
    first = await tenant.add(name, "On Fridays the canteen serves pickled herring with potatoes.")
    second = await tenant.add(name, "On Fridays the canteen serves pumpkin ravioli with sage.")
    assert second.id == first.id
    texts = [hit.text for hit in await tenant.search("What does the canteen serve on Fridays?", 20)]
    assert any("ravioli" in text for text in texts)
    assert not any("herring" in text for text in texts)


async def test_same_bytes_twice_are_a_duplicate(tenant: Tenant) -> None:
    name = f"{new_name('twice')}.txt"
    first = await tenant.upload(name, b"Once is enough.")
    second = await tenant.upload(name, b"Once is enough.")
    assert (first.duplicate, second.duplicate) == (False, True)
    assert second.latest_version == first.latest_version


async def test_filters_narrow_a_search(tenant: Tenant) -> None:
    tag = new_name("tag")
    wanted = await tenant.add(f"{tag}-a.md", "The lighthouse keeper counts the gulls.", tag)
    await tenant.add(f"{tag}-b.md", "The lighthouse keeper counts the gulls again.")

    async def names(filters: SearchFilters) -> set[str]:
        found = await tenant.client.search(SearchRequest(query="lighthouse gulls", limit=20, filters=filters))
        return {hit.document_id for hit in found.hits}

    assert await names(SearchFilters(tags=(tag,))) == {wanted.id}
    assert await names(SearchFilters(documents=(wanted.id,))) == {wanted.id}
    assert await names(SearchFilters(documents=())) == set()
    assert wanted.id not in await names(SearchFilters(media_types=("application/pdf",)))


async def test_unanswerable_question_is_not_answered(kube: Kube, server: str) -> None:
    async with open_tenant(kube, server, "small") as small:
        await small.add("gulls.md", "The lighthouse keeper counts the gulls every morning.")
        answer = await small.client.answer(AnswerRequest(question="Which year was the tax reform adopted?"))
        assert not answer.answered
        assert answer.citations == ()


async def test_deleted_document_is_gone_everywhere(tenant: Tenant) -> None:
    document = await tenant.add(f"{new_name('gone')}.md", "The zeppelin museum closes at noon.")
    key = object_key(tenant.name, document.latest_version)
    assert key in await list_objects(tenant.kube, f"tenants/{tenant.name}/")
    await tenant.client.delete_document(document.id)
    with pytest.raises(NotFoundError):
        await tenant.client.fetch_document(document.id)
    with pytest.raises(NotFoundError):
        await anext(tenant.client.stream_content(document.id))
    assert document.id not in {hit.document_id for hit in await tenant.search("zeppelin museum", 20)}
    with pytest.raises(NotFoundError):
        await tenant.client.delete_document(document.id)
    assert key not in await list_objects(tenant.kube, f"tenants/{tenant.name}/")


async def test_job_made_by_rest_is_the_one_kubectl_sees(tenant: Tenant) -> None:
    name = new_name("rest")
    source = JobSource(inline=InlineSource(name=f"{name}.md", text="Made by REST."))
    made = await tenant.client.create_ingest_job(IngestJobCreate(name=name, source=source, tags=("rest",)))
    assert made.name == name
    with pytest.raises(ConflictError, match=f"an ingest job named {name} already"):
        await tenant.client.create_ingest_job(IngestJobCreate(name=name, source=source))
    assert (await tenant.client.wait_job(name, JOB_SECONDS)).phase == "Succeeded"
    seen = await tenant.kube.get("ingestjob", name)
    assert seen["metadata"]["uid"] == made.uid
    assert seen["spec"]["tags"] == ["rest"]
    assert name in {job.name async for job in tenant.client.iterate_ingest_jobs()}
    done = [item async for item in tenant.client.iterate_job_documents(name)]
    assert [item.outcome for item in done] == ["Done"]
    await tenant.client.delete_ingest_job(name)
    with pytest.raises(NotFoundError):
        await tenant.client.fetch_ingest_job(name)


async def test_task_is_polled_with_growing_pauses_until_done(tenant: Tenant) -> None:
    source = JobSource(inline=InlineSource(name=f"{new_name('task')}.md", text="Poll me."))
    job = await tenant.client.create_ingest_job(IngestJobCreate(source=source))
    task = await tenant.client.fetch_task(job.name)
    assert task.done or (task.retry_after_seconds or 0) >= 1

    async def done() -> bool:
        return (await tenant.client.fetch_task(job.name)).done

    await eventually(done, JOB_SECONDS, "the task to be done")
    task = await tenant.client.fetch_task(job.name)
    assert (task.phase, task.progress.percent, task.retry_after_seconds) == ("Succeeded", 100, None)


async def test_foreign_ids_read_like_absent_ones(tenant: Tenant, rival: Tenant) -> None:
    document = await tenant.add(f"{new_name('mine')}.md", "Only mine: the vault code hangs behind the clock.")
    jobs = [job.name async for job in tenant.client.iterate_ingest_jobs()]
    absent = "doc_" + "0" * 32

    async def problem(document_id: str, job: str) -> list[object]:
        told: list[object] = []
        source = JobSource(documents=DocumentsSource(ids=(document_id,)))
        for attempt in (
            rival.client.fetch_document(document_id),
            rival.client.delete_document(document_id),
            rival.client.create_ingest_job(IngestJobCreate(source=source)),
            rival.client.fetch_ingest_job(job),
            rival.client.fetch_task(job),
        ):
            with pytest.raises(NotFoundError) as caught:
                await attempt
            told.append((caught.value.status, caught.value.code, caught.value.message))
        return told

    assert await problem(document.id, jobs[0]) == await problem(absent, "no-such-job")
    assert document.id not in {hit.document_id for hit in await rival.search("vault code behind the clock", 20)}
    assert (await tenant.client.fetch_document(document.id)).id == document.id


async def test_many_documents_in_one_job_and_all_pages_of_the_list(tenant: Tenant) -> None:
    mark = new_name("bulk")
    documents = [
        await tenant.client.upload_document(upload_bytes(f"{mark}-{n}.txt", f"Note {n} of {mark}.".encode()))
        for n in range(12)
    ]
    update = await tenant.ingest(*(document.id for document in documents))
    assert update.progress.documents.done == 12
    counted = Counter(document.name for document in await tenant.documents() if document.name.startswith(mark))
    assert counted == Counter({f"{mark}-{n}.txt": 1 for n in range(12)})

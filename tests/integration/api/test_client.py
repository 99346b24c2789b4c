"""The typed client against the server: both sides of the wire."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from dreamhub.domain.progress import Progress
from dreamhub.storage.progress import publish
from dreamhub_client import Client, StaticToken, open_client, upload_bytes
from dreamhub_client.errors import ApiError
from dreamhub_client.models import AnswerRequest, IngestJobCreate, SearchRequest
from dreamhub_client.sources import DocumentsSource, JobSource
from tests.integration.api.platform import Caller, Cluster, Tenant


@pytest_asyncio.fixture
async def client(caller: Caller, acme: Tenant) -> AsyncIterator[Client]:
    async with open_client(caller.url, StaticToken(acme.token)) as client:
        yield client


async def test_a_callers_way(client: Client, acme: Tenant, cluster: Cluster, redis_admin: Redis) -> None:
    assert (await client.fetch_tenant()).name == acme.name
    document = await client.upload_document(upload_bytes("note.md", b"# Warranty\n\nIt lasts 24 months.", tags=("a",)))
    assert [item.id async for item in client.iterate_documents()] == [document.id]
    assert b"".join([piece async for piece in client.stream_content(document.id)]).startswith(b"# Warranty")
    source = JobSource(documents=DocumentsSource(ids=(document.id,)))
    job = await client.create_ingest_job(IngestJobCreate(source=source, tags=("b",)))
    phases = []
    async with asyncio.timeout(90), aclosing(client.watch_job(job.name)) as updates:
        async for update in updates:
            phases.append(update.phase)
            if len(phases) == 1:
                await publish(redis_admin, acme.name, job.uid, Progress(stage="Embedding", percent=50))
            elif phases[-1] == "Running":
                status = {"phase": "Succeeded", "reason": "Ingested", "progress": {"percent": 100}}
                await cluster.set_job_status(acme.name, job.name, status)
    assert phases == ["Pending", "Running", "Succeeded"]
    assert (await client.fetch_task(job.name)).done
    assert [item async for item in client.iterate_job_documents(job.name)] == []
    assert (await client.search(SearchRequest(query="warranty"))).hits == ()
    assert not (await client.answer(AnswerRequest(question="How long?"))).answered
    await client.delete_ingest_job(job.name)
    await client.delete_document(document.id)
    with pytest.raises(ApiError) as refused:
        await client.fetch_document(document.id)
    assert refused.value.code == "DocumentNotFound"
    await client.check_health()
    await client.check_ready()

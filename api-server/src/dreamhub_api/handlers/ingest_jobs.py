"""Handlers of /ingest-jobs and /tasks."""

import hashlib
from datetime import UTC, datetime

from dreamhub.sql.runs import RunFilter
from dreamhub_api.calls import Call, JobDocumentsQuery, NoBody, NoQuery, PageQuery, Reply
from dreamhub_api.handlers.idempotency import attempt_of, replay_headers
from dreamhub_api.services.idempotency import Created
from dreamhub_client.models import IngestJobCreate


async def create_ingest_job(call: Call[IngestJobCreate, NoQuery]) -> Reply:
    """Order the ingestion of uploaded documents or of a short text."""
    attempt = attempt_of(call, hashlib.sha256(call.raw_body).digest())

    async def create() -> Created:
        job = await call.services.jobs.create(call.tenant, call.body, attempt)
        return Created(job.name, 201)

    created = await call.services.idempotency.run(attempt, create)
    job = await call.services.jobs.get(call.tenant, created.ref)
    return Reply(created.status, job, replay_headers(created))


async def list_ingest_jobs(call: Call[NoBody, PageQuery]) -> Reply:
    """The tenant's jobs, newest first. Finished ones disappear after their time to live."""
    return Reply(200, await call.services.jobs.page(call.tenant, call.query.cursor, call.query.limit))


async def get_ingest_job(call: Call[NoBody, NoQuery]) -> Reply:
    """One job with its progress."""
    return Reply(200, await call.services.jobs.get(call.tenant, call.path["job_name"]))


async def delete_ingest_job(call: Call[NoBody, NoQuery]) -> Reply:
    """Delete a job; a running one is stopped. What it has made searchable stays."""
    await call.services.jobs.delete(call.tenant, call.path["job_name"])
    return Reply(204)


async def list_job_documents(call: Call[NoBody, JobDocumentsQuery]) -> Reply:
    """How each document of a job stands, in order of document ids."""
    query = call.query
    only = RunFilter(query.outcome or None, query.reason)
    name = call.path["job_name"]
    page = await call.services.jobs.documents(call.tenant, name, only, cursor=query.cursor, limit=query.limit)
    return Reply(200, page)


async def approve_ingest_job(call: Call[NoBody, NoQuery]) -> Reply:
    """Release a job whose estimate is above the tenant's threshold."""
    return Reply(200, await call.services.jobs.approve(call.tenant, call.path["job_name"], call.principal.subject))


async def cancel_ingest_job(call: Call[NoBody, NoQuery]) -> Reply:
    """Stop a job for good. What it has made searchable stays, and so does the job, to tell of it."""
    return Reply(200, await call.services.jobs.cancel(call.tenant, call.path["job_name"]))


async def retry_ingest_job(call: Call[NoBody, NoQuery]) -> Reply:
    """Order the documents that failed once more, as a new job."""
    attempt = attempt_of(call, hashlib.sha256(call.raw_body).digest())

    async def create() -> Created:
        job = await call.services.jobs.retry(call.tenant, call.path["job_name"], attempt)
        return Created(job.name, 201)

    created = await call.services.idempotency.run(attempt, create)
    job = await call.services.jobs.get(call.tenant, created.ref)
    return Reply(created.status, job, replay_headers(created))


async def get_task(call: Call[NoBody, NoQuery]) -> Reply:
    """Wait for a job: 202 with partial progress and when to ask again, then 200."""
    task = await call.services.jobs.task(call.tenant, call.path["job_name"], datetime.now(UTC))
    if task.retry_after_seconds is None:
        return Reply(200, task)
    return Reply(202, task, {"Retry-After": str(task.retry_after_seconds)})

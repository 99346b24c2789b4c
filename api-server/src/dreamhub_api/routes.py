"""Every REST route in one table: the dispatcher, the OpenAPI document and the tests read it."""

from typing import Any

from dreamhub_api.calls import NoBody, NoQuery, Outcome, PageQuery, Route, UploadQuery
from dreamhub_api.handlers import documents, ingest_jobs, knowledge, tenants
from dreamhub_client import models
from dreamhub_client.tenants import TenantSelf, Usage
from dreamhub_client.wire import Wire


def _one(model: type[Wire], description: str) -> dict[int, Outcome]:
    return {200: Outcome(model, description)}


_GONE = {204: Outcome(None, "Deleted.")}

ROUTES: tuple[Route[Any, Any], ...] = (
    Route("GET", "/tenants/self", tenants.get_own_tenant, "read", _one(TenantSelf, "The tenant."), NoQuery, NoBody),
    Route(
        "GET",
        "/usage",
        tenants.get_usage,
        "read",
        _one(Usage, "Limits and usage."),
        NoQuery,
        NoBody,
    ),
    Route(
        "POST",
        "/ws-tickets",
        tenants.create_ws_ticket,
        "read",
        {201: Outcome(models.WsTicket, "A ticket.")},
        NoQuery,
        NoBody,
    ),
    Route(
        "POST",
        "/documents",
        documents.upload_document,
        "write",
        {
            201: Outcome(models.Document, "A new document, or a new version of a known one."),
            200: Outcome(models.Document, "The document had these very bytes already."),
        },
        UploadQuery,
        NoBody,
        body_kind="upload",
        idempotent_by_key=True,
        begins_work=True,
    ),
    Route(
        "GET",
        "/documents",
        documents.list_documents,
        "read",
        _one(models.DocumentPage, "A page of documents."),
        PageQuery,
        NoBody,
    ),
    Route(
        "GET",
        "/documents/{document_id}",
        documents.get_document,
        "read",
        _one(models.Document, "The document."),
        NoQuery,
        NoBody,
    ),
    Route("DELETE", "/documents/{document_id}", documents.delete_document, "write", _GONE, NoQuery, NoBody),
    Route(
        "GET",
        "/documents/{document_id}/content",
        documents.get_content,
        "read",
        {200: Outcome(None, "The original bytes.", content="*/*", headers=("Content-Disposition",))},
        NoQuery,
        NoBody,
    ),
    Route(
        "GET",
        "/documents/{document_id}/chunks",
        documents.list_chunks,
        "read",
        _one(models.ChunkPage, "A page of chunks."),
        PageQuery,
        NoBody,
    ),
    Route(
        "GET",
        "/documents/{document_id}/versions",
        documents.list_versions,
        "read",
        _one(models.DocumentVersionPage, "All versions."),
        NoQuery,
        NoBody,
    ),
    Route(
        "POST",
        "/ingest-jobs",
        ingest_jobs.create_ingest_job,
        "write",
        {201: Outcome(models.IngestJob, "The job.")},
        NoQuery,
        models.IngestJobCreate,
        body_kind="json",
        idempotent_by_key=True,
        begins_work=True,
    ),
    Route(
        "GET",
        "/ingest-jobs",
        ingest_jobs.list_ingest_jobs,
        "read",
        _one(models.IngestJobPage, "A page of jobs."),
        PageQuery,
        NoBody,
    ),
    Route(
        "GET",
        "/ingest-jobs/{job_name}",
        ingest_jobs.get_ingest_job,
        "read",
        _one(models.IngestJob, "The job."),
        NoQuery,
        NoBody,
    ),
    Route("DELETE", "/ingest-jobs/{job_name}", ingest_jobs.delete_ingest_job, "write", _GONE, NoQuery, NoBody),
    Route(
        "GET",
        "/ingest-jobs/{job_name}/documents",
        ingest_jobs.list_job_documents,
        "read",
        _one(models.JobDocumentPage, "A page of documents."),
        PageQuery,
        NoBody,
    ),
    Route(
        "GET",
        "/tasks/{job_name}",
        ingest_jobs.get_task,
        "read",
        {
            200: Outcome(models.Task, "The job has ended."),
            202: Outcome(models.Task, "The job goes on.", headers=("Retry-After",)),
        },
        NoQuery,
        NoBody,
    ),
    Route(
        "POST",
        "/search",
        knowledge.search_documents,
        "read",
        _one(models.SearchResponse, "The hits."),
        NoQuery,
        models.SearchRequest,
        body_kind="json",
    ),
    Route(
        "POST",
        "/answers",
        knowledge.answer_question,
        "read",
        _one(models.AnswerResponse, "The answer."),
        NoQuery,
        models.AnswerRequest,
        body_kind="json",
    ),
)

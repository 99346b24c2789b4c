"""The orders of a worker: which documents, by which URLs, with which model. Written as the Job's input Secret."""

import hashlib
import json
from collections.abc import Mapping

from dreamhub.crd.ingest_job import IngestJob, InlineSource
from dreamhub.domain.job_input import Build, InputDocument, InputText, JobInput
from dreamhub.errors import ConflictError
from dreamhub.llm.models import ModelSettings
from dreamhub.sql.runs import ResolvedDocument
from dreamhub_operator.context import Context
from dreamhub_operator.desired.job import API_KEY_FILE, JOB_DIRECTORY, URL_SECONDS, build_input
from dreamhub_operator.reconcile.ingest_plan import TenantView


def inline_version(uid: str) -> str:
    """The version id of an inline text: from the IngestJob's UID, so that every try writes the same version."""
    return f"ver_{hashlib.sha256(uid.encode()).hexdigest()[:32]}"


async def write_input(
    context: Context, job: IngestJob, tenant: TenantView, documents: Mapping[str, ResolvedDocument]
) -> None:
    model = context.models.find("embedding", tenant.embedding_model)
    source = job.spec.source
    order = JobInput(
        tenant=tenant.name,
        job=job.metadata.name,
        uid=job.metadata.uid,
        build=Build(name=context.settings.worker_build),
        embedding_model=model.name,
        force=job.spec.force,
        tags=job.spec.tags,
        documents=await _sign_documents(
            context, tenant.name, source.documents.ids if source.documents else (), documents
        ),
        texts=(await _sign_text(context, tenant.name, job, source.inline),) if source.inline else (),
    )
    secret = build_input(tenant.name, job, order, render_models(model), read_api_key(model))
    try:
        await context.cluster.create(secret)
    except ConflictError:
        await context.cluster.apply(secret)


async def _sign_documents(
    context: Context, tenant: str, ids: tuple[str, ...], found: Mapping[str, ResolvedDocument]
) -> tuple[InputDocument, ...]:
    """In the order of the spec. A document that was deleted meanwhile is left out; its absence was judged before."""
    return tuple(
        [
            InputDocument(
                document_id=document,
                version_id=found[document].version_id,
                url=await context.objects.presign_get(tenant, found[document].version_id, URL_SECONDS),
            )
            for document in ids
            if document in found
        ]
    )


async def _sign_text(context: Context, tenant: str, job: IngestJob, inline: InlineSource) -> InputText:
    version = inline_version(job.metadata.uid)
    url = await context.objects.presign_put(tenant, version, URL_SECONDS)
    return InputText(name=inline.name, text=inline.text, version_id=version, put_url=url)


def render_models(model: ModelSettings) -> str:
    """The model list of one worker: its own model only, with the key where the worker finds it. JSON, which is YAML."""
    entry = model.model_dump(mode="json", by_alias=True, exclude_none=True)
    if model.api_key_file is not None:
        entry["apiKeyFile"] = f"{JOB_DIRECTORY}/{API_KEY_FILE}"
    return json.dumps({"models": [entry]})


def read_api_key(model: ModelSettings) -> str | None:
    return model.read_api_key() if model.api_key_file is not None else None

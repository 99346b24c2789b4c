"""The orders of a worker: which documents, by which URLs, with which model. Written as the Job's input Secret."""

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from dreamhub import ids
from dreamhub.crd.ingest_job import IngestJob, InlineSource
from dreamhub.domain.cost import weigh
from dreamhub.domain.job_input import Build, Hold, InputDocument, InputLinks, InputSource, InputText, JobInput
from dreamhub.domain.job_token import JobClaims, sign_token
from dreamhub.errors import ConflictError, InvalidInputError
from dreamhub.names import job_input_secret
from dreamhub.sql.runs import ResolvedDocument
from dreamhub_operator.cluster import ObjectKey
from dreamhub_operator.context import Context
from dreamhub_operator.desired.job import JOB_DIRECTORY, JOB_FILE, URL_SECONDS, build_input, count_workers
from dreamhub_operator.desired.model_keys import read_keys, render_models
from dreamhub_operator.desired.source import describe_source
from dreamhub_operator.kinds import SECRET
from dreamhub_operator.reconcile.appraisal import find_price, is_known_before
from dreamhub_operator.reconcile.ingest_plan import TenantView
from dreamhub_operator.watched import owner_uid


class Chosen(NamedTuple):
    """A version that the worker is to ingest, and the tokens it is thought to take."""

    document_id: str
    version_id: str
    tokens: int | None


def inline_version(uid: str) -> str:
    """The version id of an inline text: from the IngestJob's UID, so that every try writes the same version."""
    return f"ver_{hashlib.sha256(uid.encode()).hexdigest()[:32]}"


async def choose_versions(
    context: Context, job: IngestJob, tenant: TenantView, found: Mapping[str, ResolvedDocument]
) -> tuple[Chosen, ...]:
    """In the order of the spec. A document that was deleted meanwhile is left out; its absence was judged before."""
    ratios = await context.ratios.find(tenant.name)
    wanted = job.spec.source.documents.ids if job.spec.source.documents else ()
    return tuple(
        Chosen(name, known.version_id, weigh(known.size, known.media_type, ratios))
        for name in wanted
        if (known := found.get(name)) is not None
    )


async def recall_versions(context: Context, job: IngestJob) -> tuple[Chosen, ...]:
    """As its input names them: what was estimated and agreed to stays, whatever was uploaded since.

    Raises InvalidInputError when the input is gone.
    """
    if job.spec.source.documents is None:
        return ()
    secret = await context.cluster.get(
        ObjectKey(SECRET, job_input_secret(job.metadata.uid), job.metadata.namespace),
    )
    if secret is None or owner_uid(secret) != job.metadata.uid:
        raise InvalidInputError(
            "the Secret with the job's order is gone, and with it which versions were estimated; create it once more: "
            "dreamhub retry"
        )
    order = json.loads(base64.b64decode(secret["data"][JOB_FILE]))
    return tuple(
        Chosen(entry["documentId"], entry["versionId"], entry.get("tokens"))
        for entry in order["documents"]
        if ids.is_id("ver", entry["versionId"])
    )


async def write_input(context: Context, job: IngestJob, tenant: TenantView, versions: Iterable[Chosen]) -> None:
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
        documents=await _sign_documents(context, tenant.name, versions),
        texts=(await _sign_text(context, tenant.name, job, source.inline),) if source.inline else (),
        source=(described := _describe_source(context, job)),
        hold=await _find_hold(context, job, tenant),
        parallelism=count_workers(job),
        links=_sign_run(context, tenant.name, job.metadata.uid) if described is not None else None,
    )
    secret = build_input(tenant.name, job, order, render_models(model, JOB_DIRECTORY), read_keys(model))
    try:
        await context.cluster.create(secret)
    except ConflictError:
        await context.cluster.apply(secret)


async def _find_hold(context: Context, job: IngestJob, tenant: TenantView) -> Hold | None:
    """What a person has to agree to once it is known; None where that was judged before, or need not be."""
    most = tenant.approval.most_tokens(find_price(context.models, tenant.embedding_model))
    if most is None or job.spec.approved or is_known_before(job):
        return None
    ratios = await context.ratios.find(tenant.name)
    return Hold(tokens_above=most, seen={kind: (seen.bytes, seen.tokens) for kind, seen in ratios.seen.items()})


def _describe_source(context: Context, job: IngestJob) -> InputSource | None:
    tenant = context.watched.tenant_of(job)
    egress = tenant.spec.network.egress if tenant is not None else ()
    return describe_source(job.spec.source, egress, context.settings.private_networks)


def _sign_run(context: Context, tenant: str, run: str) -> InputLinks:
    """Its documents are not known yet, so the worker asks for their links one by one."""
    claims = JobClaims(tenant, run, int(context.now().timestamp()) + URL_SECONDS)
    return InputLinks(url=context.settings.links_url, token=sign_token(claims, context.settings.read_job_token_keys()))


async def _sign_documents(context: Context, tenant: str, versions: Iterable[Chosen]) -> tuple[InputDocument, ...]:
    return tuple(
        [
            InputDocument(
                document_id=chosen.document_id,
                version_id=chosen.version_id,
                url=await context.objects.presign_get(tenant, chosen.version_id, URL_SECONDS),
                tokens=chosen.tokens,
            )
            for chosen in versions
        ]
    )


async def _sign_text(context: Context, tenant: str, job: IngestJob, inline: InlineSource) -> InputText:
    version = inline_version(job.metadata.uid)
    url = await context.objects.presign_put(tenant, version, URL_SECONDS)
    return InputText(name=inline.name, text=inline.text, version_id=version, put_url=url)

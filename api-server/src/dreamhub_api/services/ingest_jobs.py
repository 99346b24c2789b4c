"""A tenant's ingest jobs: created as custom resources, read from the watch cache."""

import base64
import binascii
import re
import secrets
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import structlog
from redis.asyncio import Redis

from dreamhub import ids, names
from dreamhub.crd.ingest_job import FINAL_PHASES, MAX_DOCUMENTS
from dreamhub.crd.ingest_job import IngestJob as Resource
from dreamhub.errors import ConflictError, DreamHubError, InvalidInputError, NotFoundError, UnavailableError
from dreamhub.sql import documents as documents_sql
from dreamhub.sql import runs
from dreamhub.sql.bodies import open_name
from dreamhub.sql.document_names import fetch_names
from dreamhub.sql.quota import give_up_place, reserve_place
from dreamhub.storage.progress import forget
from dreamhub_api.cluster.resources import Cluster
from dreamhub_api.cluster.watch_cache import WatchCache
from dreamhub_api.services.documents import missing_document
from dreamhub_api.services.idempotency import Attempt, other_request
from dreamhub_api.services.sessions import Sessions
from dreamhub_api.views import created_at, job_view, run_document_view
from dreamhub_client.models import FINISHED_PHASES, IngestJob, IngestJobCreate, IngestJobPage, JobDocumentPage, Task
from dreamhub_client.wire import MAX_PAGE

GENERATED_PREFIX = "ingest-"

_log = structlog.get_logger(__name__)

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


class IngestJobsService:
    def __init__(self, cluster: Cluster, cache: WatchCache[Resource], sessions: Sessions, redis: Redis) -> None:
        self._cluster = cluster
        self._cache = cache
        self._sessions = sessions
        self._redis = redis

    async def create(self, tenant: str, wanted: IngestJobCreate, attempt: Attempt | None = None) -> IngestJob:
        """With an attempt, what it made before is found again, even when nobody heard the answer.

        Raises NotFoundError for a document that is not there, ConflictError when the name is taken, UnprocessableError
        when the attempt's key has made another job.
        """
        if wanted.source.documents is not None:
            await self._check_documents(tenant, wanted.source.documents.ids)
        return await self._order(tenant, build_manifest(tenant, wanted, attempt), attempt)

    async def _order(self, tenant: str, manifest: dict[str, Any], attempt: Attempt | None) -> IngestJob:
        try:
            async with self._place(tenant, manifest["metadata"]["name"]):
                item = await self._create(tenant, manifest, attempt)
        except NotFoundError as error:
            raise UnavailableError(
                f"tenant {tenant} is still being set up; try again", code="TenantNotReady"
            ) from error
        return job_view(self._take(item))

    @asynccontextmanager
    async def _place(self, tenant: str, name: str) -> AsyncIterator[None]:
        """A place in the queue, taken before the job is created; given up when it certainly was not.

        Where nobody knows, the place stays: the operator finds the job and takes it up, or finds none and releases it.
        Raises QuotaExceededError when the queue is full.
        """
        async with self._sessions.open(tenant) as session:
            reserved = await reserve_place(session.conn, name)
        try:
            yield
        except UnavailableError:
            raise
        except DreamHubError:
            if reserved:
                await self._give_up(tenant, name)
            raise

    async def _give_up(self, tenant: str, name: str) -> None:
        try:
            async with self._sessions.open(tenant) as session:
                await give_up_place(session.conn, name)
        except DreamHubError as error:
            _log.warning("a place in the queue is released later", tenant=tenant, error=error.message)

    async def _create(self, tenant: str, manifest: dict[str, Any], attempt: Attempt | None) -> dict[str, Any]:
        """Raises NotFoundError when the namespace, or a job that was in the way, is gone."""
        namespace, name = names.namespace(tenant), manifest["metadata"]["name"]
        try:
            return await self._cluster.create_ingest_job(namespace, manifest)
        except ConflictError as error:
            taken = ConflictError(f"there is an ingest job named {name} already; choose another name", code="JobExists")
            if attempt is None:
                raise taken from error
            found = await self._cluster.fetch_ingest_job(namespace, name)
            if not is_made_by(found, attempt):
                raise taken from error
            return found

    async def page(self, tenant: str, cursor: str | None, limit: int) -> IngestJobPage:
        """Newest first."""
        after = parse_cursor(cursor) if cursor is not None else None
        jobs = sorted(self._present(tenant), key=_order, reverse=True)
        rest = [job for job in jobs if after is None or _order(job) < after]
        page = rest[:limit]
        more = build_cursor(page[-1]) if len(rest) > limit else None
        return IngestJobPage(items=tuple(job_view(job) for job in page), next_cursor=more)

    async def get(self, tenant: str, name: str) -> IngestJob:
        return job_view(await self.find(tenant, name))

    async def delete(self, tenant: str, name: str) -> None:
        """Delete the resource; Kubernetes then stops and deletes its Job. Documents that are searchable stay so."""
        job = await self.find(tenant, name)
        try:
            await self._cluster.delete_ingest_job(names.namespace(tenant), name, job.metadata.uid)
        except (NotFoundError, ConflictError) as error:
            raise missing_job() from error
        self._cache.forget((names.namespace(tenant), name))
        try:
            await forget(self._redis, tenant, job.metadata.uid)
        except DreamHubError as error:
            _log.info("progress of a deleted job is left to expire", error=error.message)

    async def approve(self, tenant: str, name: str, subject: str) -> IngestJob:
        """Release it, whatever it costs; `subject` is remembered as who did. Again is no error."""
        job = await self.find(tenant, name)
        if job.spec.approved:
            return job_view(job)
        notes = {"annotations": {names.APPROVED_BY_ANNOTATION: subject}}
        return await self._change(tenant, job, {"approved": True}, notes)

    async def cancel(self, tenant: str, name: str) -> IngestJob:
        """Stop it for good; the resource stays to tell of it. Again is no error."""
        job = await self.find(tenant, name)
        if job.spec.cancel and job.status.phase not in {"Succeeded", "Failed"}:
            return job_view(job)
        return await self._change(tenant, job, {"cancel": True})

    async def _change(
        self, tenant: str, job: Resource, spec: dict[str, Any], metadata: dict[str, Any] | None = None
    ) -> IngestJob:
        """Raises ConflictError `JobFinished`, and NotFoundError when another has taken its name."""
        if job.status.phase in FINAL_PHASES:
            raise ConflictError(f"ingest job {job.metadata.name} has ended: {job.status.phase}", code="JobFinished")
        changes = {"metadata": {**(metadata or {}), "uid": job.metadata.uid}, "spec": spec}
        try:
            item = await self._cluster.patch_ingest_job(names.namespace(tenant), job.metadata.name, changes)
        except (NotFoundError, ConflictError) as error:
            raise missing_job() from error
        return job_view(self._take(item))

    async def retry(self, tenant: str, name: str, attempt: Attempt | None = None) -> IngestJob:
        """A new job for what has not become searchable: its failed documents, or all of it where nothing was recorded.

        Raises ConflictError `JobNotFinished` and `NothingToRetry`, QuotaExceededError when the queue is full.
        """
        job = await self.find(tenant, name)
        if job.status.phase not in FINAL_PHASES:
            raise ConflictError(f"ingest job {name} has not ended: wait for it, or cancel it", code="JobNotFinished")
        try:
            item = await self._cluster.fetch_ingest_job(names.namespace(tenant), name)
        except NotFoundError as error:
            raise missing_job() from error
        left = await self._find_left(tenant, job)
        return await self._order(tenant, build_retry(tenant, item, left, attempt), attempt)

    async def _find_left(self, tenant: str, job: Resource) -> tuple[str, ...] | None:
        """Documents to try again; None: whatever the source holds."""
        failed, settled = [], set()
        cursor: str | None = None
        async with self._sessions.open(tenant, readonly=True) as session:
            while True:
                page = await runs.list_run_documents(session.conn, job.metadata.uid, cursor=cursor, limit=MAX_PAGE)
                for item in page.items:
                    if item.outcome in {"Done", "Skipped"}:
                        settled.add(item.document_id)
                    elif item.outcome == "Failed":
                        failed.append(item.document_id)
                cursor = page.next_cursor
                if cursor is None or len(failed) > MAX_DOCUMENTS:
                    break
        return choose_left(job, failed, settled)

    async def documents(
        self, tenant: str, name: str, only: runs.RunFilter, *, cursor: str | None, limit: int
    ) -> JobDocumentPage:
        job = await self.find(tenant, name)
        async with self._sessions.open(tenant, readonly=True) as session:
            page = await runs.list_run_documents(session.conn, job.metadata.uid, cursor=cursor, limit=limit, only=only)
            called = await fetch_names(session.conn, session.keys, [item.document_id for item in page.items])
            named = {
                item.document_id: open_name(session.keys, job.metadata.uid, item.document_id, item.name_ct)
                for item in page.items
                if item.name_ct is not None
            }
        items = tuple(run_document_view(item, {**named, **called}.get(item.document_id)) for item in page.items)
        return JobDocumentPage(items=items, next_cursor=page.next_cursor)

    async def task(self, tenant: str, name: str, now: datetime) -> Task:
        return build_task(job_view(await self.find(tenant, name)), now)

    async def find(self, tenant: str, name: str) -> Resource:
        """From the cache; one that is not there may have been made through another instance just now, so ask once."""
        if not _NAME.fullmatch(name):
            raise missing_job()
        job = self._cache.get((names.namespace(tenant), name))
        if job is None:
            try:
                job = self._take(await self._cluster.fetch_ingest_job(names.namespace(tenant), name))
            except NotFoundError as error:
                raise missing_job() from error
        if job.metadata.deletion_timestamp is not None:
            raise missing_job()
        return job

    async def is_over(self, tenant: str, name: str) -> bool:
        """Whether it has ended, or is gone: it takes up no document any more. Raises UnavailableError."""
        try:
            return (await self.find(tenant, name)).status.phase in FINAL_PHASES
        except NotFoundError:
            return True

    def watched(self, tenant: str) -> list[Resource]:
        """The tenant's jobs as the cache has them, in no order."""
        return list(self._present(tenant))

    def listen(self, listener: Callable[[tuple[str, str], Resource | None], None]) -> None:
        self._cache.listen(listener)

    def _present(self, tenant: str) -> list[Resource]:
        jobs = self._cache.namespace(names.namespace(tenant)).values()
        return [job for job in jobs if job.metadata.deletion_timestamp is None]

    def _take(self, item: dict[str, Any]) -> Resource:
        stored = self._cache.store(item)
        return stored if stored is not None else Resource.model_validate(item)

    async def _check_documents(self, tenant: str, ids: tuple[str, ...]) -> None:
        """Early and in the caller's words; the operator checks again when the job starts."""
        async with self._sessions.open(tenant, readonly=True) as session:
            for document_id in ids:
                try:
                    await documents_sql.fetch_document(session.conn, session.keys, document_id)
                except NotFoundError as error:
                    raise missing_document() from error


def missing_job() -> NotFoundError:
    """The one answer for absent, deleted and foreign jobs."""
    return NotFoundError("there is no such ingest job", code="JobNotFound")


def build_manifest(tenant: str, wanted: IngestJobCreate, attempt: Attempt | None = None) -> dict[str, Any]:
    """The custom resource. Without a name, the attempt's key makes one, the same at each repetition.

    Without either, chance does: the name holds a place in the queue before Kubernetes hears of it.
    """
    spec = wanted.model_dump(mode="json", by_alias=True, exclude={"name"}, exclude_none=True)
    return {**_frame(tenant, wanted.name, attempt), "spec": spec}


def _frame(tenant: str, name: str | None, attempt: Attempt | None) -> dict[str, Any]:
    metadata: dict[str, Any] = {"namespace": names.namespace(tenant), "labels": {names.TENANT_LABEL: tenant}}
    if attempt is not None:
        metadata |= {"annotations": {names.REQUEST_ANNOTATION: f"{attempt.digest}.{attempt.fingerprint}"}}
    if name:
        metadata |= {"name": name}
    elif attempt is not None:
        metadata |= {"name": f"{GENERATED_PREFIX}{attempt.digest[:20]}"}
    else:
        metadata |= {"name": f"{GENERATED_PREFIX}{secrets.token_hex(8)}"}
    return {"apiVersion": f"{names.API_GROUP}/{names.API_VERSION}", "kind": "IngestJob", "metadata": metadata}


def choose_left(job: Resource, failed: Sequence[str], settled: Collection[str]) -> tuple[str, ...] | None:
    """Raises ConflictError `NothingToRetry` and `TooManyToRetry`."""
    source = job.spec.source.documents
    if source is None and not all(ids.is_id("doc", each) for each in failed):
        return None  # what never became a document is found by reading the source again, and the rest unchanged
    left = tuple(failed) if source is None else tuple(each for each in source.ids if each not in settled)
    if len(left) > MAX_DOCUMENTS:
        raise ConflictError(
            f"more than {MAX_DOCUMENTS} documents of {job.metadata.name} have failed: replay its dead letters",
            code="TooManyToRetry",
        )
    if left:
        return left
    if source is not None or settled or job.status.phase == "Succeeded":
        raise ConflictError(f"all documents of ingest job {job.metadata.name} are searchable", code="NothingToRetry")
    return None


def build_retry(
    tenant: str, item: dict[str, Any], documents: tuple[str, ...] | None, attempt: Attempt | None = None
) -> dict[str, Any]:
    """The custom resource of a second try, under a name of its own. It asks for approval anew."""
    spec = {key: value for key, value in item["spec"].items() if key not in {"approved", "cancel", "suspend"}}
    if documents is not None:
        spec["source"] = {"documents": {"ids": list(documents)}}
    manifest = _frame(tenant, None, attempt)
    annotations = {**manifest["metadata"].get("annotations", {}), names.RETRY_OF_ANNOTATION: item["metadata"]["name"]}
    return {**manifest, "metadata": {**manifest["metadata"], "annotations": annotations}, "spec": spec}


def is_made_by(item: dict[str, Any], attempt: Attempt) -> bool:
    """Whether this very request has made the job, and it stands. Raises UnprocessableError for another request's."""
    metadata = item["metadata"]
    key, _, fingerprint = (metadata.get("annotations") or {}).get(names.REQUEST_ANNOTATION, "").partition(".")
    if key != attempt.digest or metadata.get("deletionTimestamp") is not None:
        return False
    if fingerprint != attempt.fingerprint:
        raise other_request()
    return True


def build_task(job: IngestJob, now: datetime) -> Task:
    done = job.phase in FINISHED_PHASES
    return Task(
        name=job.name,
        done=done,
        phase=job.phase,
        reason=job.reason,
        message=job.message,
        progress=job.progress,
        errors=job.errors,
        retry_after_seconds=None if done else retry_after((now - job.created_at).total_seconds()),
    )


def retry_after(age_seconds: float) -> int:
    """When to ask again: at once for young jobs, after a tenth of its age for older ones, a minute at most."""
    return max(1, min(60, int(age_seconds / 10) + 1))


def build_cursor(job: Resource) -> str:
    return base64.urlsafe_b64encode("|".join(_order(job)).encode()).decode().rstrip("=")


def parse_cursor(cursor: str) -> tuple[str, str]:
    """Raises InvalidInputError `InvalidCursor`."""
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
        created, name = text.split("|")
        datetime.fromisoformat(created)
    except (binascii.Error, ValueError) as error:
        raise InvalidInputError(
            "the cursor is not one of ours; start again without it", code="InvalidCursor"
        ) from error
    return created, name


def _order(job: Resource) -> tuple[str, str]:
    return created_at(job).isoformat(), job.metadata.name

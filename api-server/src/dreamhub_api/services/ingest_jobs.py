"""A tenant's ingest jobs: created as custom resources, read from the watch cache."""

import base64
import binascii
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

import structlog
from redis.asyncio import Redis

from dreamhub import names
from dreamhub.crd.ingest_job import IngestJob as Resource
from dreamhub.errors import ConflictError, DreamHubError, InvalidInputError, NotFoundError, UnavailableError
from dreamhub.sql import documents as documents_sql
from dreamhub.sql import runs
from dreamhub.storage.progress import forget
from dreamhub_api.cluster.resources import Cluster
from dreamhub_api.cluster.watch_cache import WatchCache
from dreamhub_api.services.documents import missing_document
from dreamhub_api.services.sessions import Sessions
from dreamhub_api.views import created_at, job_view, run_document_view
from dreamhub_client.models import IngestJob, IngestJobCreate, IngestJobPage, JobDocumentPage, Task

GENERATED_PREFIX = "ingest-"

_log = structlog.get_logger(__name__)

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


class IngestJobsService:
    def __init__(self, cluster: Cluster, cache: WatchCache[Resource], sessions: Sessions, redis: Redis) -> None:
        self._cluster = cluster
        self._cache = cache
        self._sessions = sessions
        self._redis = redis

    async def create(self, tenant: str, wanted: IngestJobCreate) -> IngestJob:
        """Raises NotFoundError for a document that is not there, ConflictError when the name is taken."""
        if wanted.source.documents is not None:
            await self._check_documents(tenant, wanted.source.documents.ids)
        try:
            item = await self._cluster.create_ingest_job(names.namespace(tenant), build_manifest(tenant, wanted))
        except ConflictError as error:
            raise ConflictError(
                f"there is an ingest job named {wanted.name} already; choose another name", code="JobExists"
            ) from error
        except NotFoundError as error:
            raise UnavailableError(
                f"tenant {tenant} is still being set up; try again", code="TenantNotReady"
            ) from error
        return job_view(self._take(item))

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

    async def documents(self, tenant: str, name: str, cursor: str | None, limit: int) -> JobDocumentPage:
        job = await self.find(tenant, name)
        async with self._sessions.open(tenant, readonly=True) as session:
            page = await runs.list_run_documents(session.conn, job.metadata.uid, cursor=cursor, limit=limit)
        return JobDocumentPage(
            items=tuple(run_document_view(item) for item in page.items), next_cursor=page.next_cursor
        )

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


def build_manifest(tenant: str, wanted: IngestJobCreate) -> dict[str, Any]:
    """The custom resource. Without a name, Kubernetes makes one: two instances never make the same."""
    name = {"name": wanted.name} if wanted.name else {"generateName": GENERATED_PREFIX}
    spec = wanted.model_dump(mode="json", by_alias=True, exclude={"name"}, exclude_none=True)
    return {
        "apiVersion": f"{names.API_GROUP}/{names.API_VERSION}",
        "kind": "IngestJob",
        "metadata": {**name, "namespace": names.namespace(tenant), "labels": {names.TENANT_LABEL: tenant}},
        "spec": spec,
    }


def build_task(job: IngestJob, now: datetime) -> Task:
    done = job.phase in {"Succeeded", "Failed"}
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

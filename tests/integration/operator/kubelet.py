"""What the Job controller, the kubelet and a worker would do, done by hand."""

from dataclasses import dataclass
from typing import Any

import asyncpg

from dreamhub.domain.progress import DocumentCounts, DocumentError, Progress
from dreamhub.names import job_name
from dreamhub.sql.ingest import NewRun, start_run
from dreamhub.sql.queries import load_queries
from dreamhub_operator.desired.credentials import read_entry
from tests.integration.operator.control_plane import Api

NOW = "2026-01-01T00:00:00Z"


def jobs_path(tenant: str, name: str = "") -> str:
    return f"/apis/batch/v1/namespaces/dh-{tenant}/jobs/{name}".rstrip("/")


@dataclass(frozen=True)
class Kubelet:
    api: Api
    tenant: str
    uid: str
    """UID of the IngestJob."""

    @property
    def job(self) -> str:
        return job_name(self.uid)

    async def set_job(self, **status: Any) -> None:
        path = jobs_path(self.tenant, self.job) + "/status"
        await self.api.merge(path, {"status": {"startTime": NOW, **status}})

    async def complete_job(self) -> None:
        kinds = ("SuccessCriteriaMet", "Complete")
        conditions = [{"type": kind, "status": "True", "lastTransitionTime": NOW} for kind in kinds]
        await self.set_job(active=None, succeeded=1, completionTime=NOW, conditions=conditions)

    async def fail_job(self, reason: str, message: str) -> None:
        conditions = [
            {"type": kind, "status": "True", "reason": reason, "message": message, "lastTransitionTime": NOW}
            for kind in ("FailureTarget", "Failed")
        ]
        await self.set_job(active=None, failed=1, conditions=conditions)

    async def add_pod(self, name: str, **status: Any) -> None:
        """A pod from the Job's template, with this status."""
        job = await self.api.ok("GET", jobs_path(self.tenant, self.job))
        template = job["spec"]["template"]
        pods = f"/api/v1/namespaces/dh-{self.tenant}/pods"
        metadata = {"name": name, "labels": template["metadata"]["labels"]}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
        await self.api.ok("POST", pods, pod)
        await self.set_pod(name, **status)

    async def set_pod(self, name: str, **status: Any) -> None:
        await self.api.merge(f"/api/v1/namespaces/dh-{self.tenant}/pods/{name}/status", {"status": status})

    async def work(self, progress: Progress, *, last: bool = False) -> None:
        """What a worker writes to the database."""
        conn = await self.connect()
        await self.record(conn, progress, last=last)
        await conn.close()

    async def connect(self) -> asyncpg.Connection:
        """With the login from the tenant's Secret."""
        secret = await self.api.ok("GET", f"/api/v1/namespaces/dh-{self.tenant}/secrets/dreamhub-credentials")
        return await asyncpg.connect(read_entry(secret, "database-url"))

    async def record(self, conn: asyncpg.Connection, progress: Progress, *, last: bool) -> None:
        run = NewRun(self.uid, "job", "test", "pod-1", progress.documents.total)
        await start_run(conn, run)
        document = progress.model_dump_json(by_alias=True)
        await conn.execute(load_queries("ingest")["save_progress"], self.uid, document, last)


def embedding(chunks: int = 10) -> Progress:
    counts = DocumentCounts(total=1)
    return Progress(stage="Embedding", documents=counts, chunks=chunks, percent=40, eta_seconds=3)


def succeeded() -> Progress:
    counts = DocumentCounts(total=1, done=1)
    return Progress(state="Succeeded", stage="Finished", documents=counts, chunks=25, tokens=900, percent=100)


def failed() -> Progress:
    error = DocumentError(
        document="doc_1", error_class="Permanent", reason="EncryptedPDF", message="the PDF is encrypted"
    )
    return Progress(state="Failed", stage="Finished", documents=DocumentCounts(total=1, failed=1), errors=(error,))


def container(**state: Any) -> list[dict[str, Any]]:
    status = {"name": "worker", "image": "x", "imageID": "", "ready": False, "restartCount": 0, "state": state}
    return [status]

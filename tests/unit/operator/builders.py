"""Objects for table tests, each with only what the test is about."""

from datetime import UTC, datetime, timedelta
from typing import Any

from dreamhub.crd.ingest_job import IngestJob
from dreamhub.crd.tenant import Tenant
from dreamhub.domain.progress import DocumentCounts, DocumentError, Progress, RunState, Stage
from dreamhub.sql.runs import ResolvedDocument, RunStatus
from dreamhub_operator.desired.job import spec_hash
from dreamhub_operator.reconcile.ingest_plan import IngestObserved, TenantView
from dreamhub_operator.reconcile.job_state import JobState, PodState

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
DOCUMENT = "doc_" + "0" * 32
FOUND = {DOCUMENT: ResolvedDocument("ver_" + "1" * 32, active=False)}

ACME = TenantView("acme", ready=True, suspended=False, message="", embedding_model="builtin/wordllama-256")


def tenant(status: dict[str, Any] | None = None, metadata: dict[str, Any] | None = None, **spec: Any) -> Tenant:
    return Tenant.model_validate(
        {
            "metadata": {
                "name": "acme",
                "uid": "tenant-uid",
                "generation": 1,
                "resourceVersion": "7",
                "finalizers": ["dreamhub.dev/operator"],
                **(metadata or {}),
            },
            "spec": spec,
            "status": status or {},
        }
    )


def ingest_job(status: dict[str, Any] | None = None, **spec: Any) -> IngestJob:
    return IngestJob.model_validate(
        {
            "metadata": {
                "name": "handbook",
                "namespace": "dh-acme",
                "uid": "job-uid",
                "generation": 1,
                "creationTimestamp": "2026-03-01T11:59:00Z",
            },
            "spec": {"source": {"documents": {"ids": [DOCUMENT]}}, **spec},
            "status": status or {},
        }
    )


def job_state(job: IngestJob | None = None, **changes: Any) -> JobState:
    values: dict[str, Any] = {
        "name": "ij-1",
        "uid": "k8s-job-uid",
        "spec_hash": spec_hash(job or ingest_job()),
        "signed_at": int(NOW.timestamp()),
        "suspended": False,
        "active": 1,
        "failed": 0,
        "failed_indexes": "",
        "complete": False,
        "failure": None,
        "failure_message": "",
        "created_at": (NOW - timedelta(seconds=10)).isoformat(),
        "expires": False,
    }
    return JobState(**{**values, **changes})


def pod(**changes: Any) -> PodState:
    values: dict[str, Any] = {
        "name": "ij-1-x",
        "phase": "Running",
        "trouble": None,
        "ended": None,
        "exit_code": None,
        "message": "",
    }
    return PodState(**{**values, **changes})


def run_status(state: RunState = "Running", stage: Stage = "Embedding", **changes: Any) -> RunStatus:
    counts = changes.pop("documents", DocumentCounts(total=4, done=1))
    collected = changes.pop("collected", True)
    return RunStatus(Progress(state=state, stage=stage, documents=counts, **changes), 1, "0.1.0", collected)


def failed_run() -> RunStatus:
    error = DocumentError(
        document=DOCUMENT, error_class="Permanent", reason="EncryptedPDF", message="the PDF is encrypted"
    )
    return run_status("Failed", documents=DocumentCounts(total=2, done=1, failed=1), errors=(error,))


def observed(**changes: Any) -> IngestObserved:
    return IngestObserved(**{"tenant": ACME, "documents": FOUND, **changes})

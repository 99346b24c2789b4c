"""The operator's metrics. One object, made in `__main__` and handed down, so that a test has its own registry."""

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from dreamhub.errors import DreamHubError
from dreamhub.telemetry.metrics import SECONDS
from dreamhub_operator.duties.budget_metrics import ModelMetrics
from dreamhub_operator.isolation.metrics import IsolationMetrics
from dreamhub_operator.kinds import resource_of


class Metrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.reconcile_seconds = Histogram(
            "dreamhub_reconcile_seconds", "Duration of one reconcile.", ["kind"], buckets=SECONDS, registry=registry
        )
        self.reconcile_errors = Counter(
            "dreamhub_reconcile_errors",
            "Reconciles that failed and will be repeated.",
            ["kind", "reason"],
            registry=registry,
        )
        self.watch_age = Gauge(
            "dreamhub_watch_age_seconds", "Time since a watch last proved that it lives.", ["kind"], registry=registry
        )
        self.requests = Counter(
            "dreamhub_kubernetes_requests",
            "Requests to the Kubernetes API, kopf's own left out.",
            ["method", "resource"],
            registry=registry,
        )
        self.leader = Gauge("dreamhub_leader", "1 while this replica is the active one.", registry=registry)
        self.event_loop_wait = Histogram(
            "dreamhub_event_loop_wait_seconds",
            "How late what was due came to its turn in the operator's process.",
            buckets=SECONDS,
            registry=registry,
        )
        self._add_tenants(registry)
        self._add_jobs(registry)
        self.isolation = IsolationMetrics(registry)
        self.models = ModelMetrics(registry)

    def _add_tenants(self, registry: CollectorRegistry) -> None:
        self.tenants_reconciled = Gauge(
            "dreamhub_tenants_reconciled", "Tenants that this process has looked at since it leads.", registry=registry
        )
        self.foreign_objects = Gauge(
            "dreamhub_foreign_objects",
            "Objects of others in tenants' namespaces that widen what the operator's own keep closed.",
            ["kind"],
            registry=registry,
        )
        self.drift_corrected = Counter(
            "dreamhub_drift_corrected",
            "Objects of tenants that others had changed and that were set back.",
            ["kind"],
            registry=registry,
        )
        self.vector_indexes = Counter(
            "dreamhub_vector_index_changes",
            "Vector indexes built and dropped, statistics gathered, and failures.",
            ["change"],
            registry=registry,
        )

    def _add_jobs(self, registry: CollectorRegistry) -> None:
        self.jobs = Gauge("dreamhub_jobs", "IngestJobs by phase.", ["phase"], registry=registry)
        self.jobs_waiting = Gauge(
            "dreamhub_jobs_waiting", "IngestJobs that have not begun, by why not.", ["reason"], registry=registry
        )
        self.queue_wait = Histogram(
            "dreamhub_job_queue_wait_seconds",
            "From the creation of an IngestJob to the first work on it.",
            buckets=SECONDS,
            registry=registry,
        )

    def count_request(self, method: str, path: str) -> None:
        self.requests.labels(method, resource_of(path)).inc()

    @contextmanager
    def reconcile(self, kind: str) -> Iterator[None]:
        """Time a reconcile and count its failure by the error's stable name."""
        with self.reconcile_seconds.labels(kind).time():
            try:
                yield
            except DreamHubError as error:
                self.reconcile_errors.labels(kind, error.code).inc()
                raise
            except Exception:
                self.reconcile_errors.labels(kind, "Internal").inc()
                raise

"""Everything that reconciles share, made once at start."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from dreamhub.llm.models import ModelList
from dreamhub_operator.children import Children
from dreamhub_operator.cluster import Cluster
from dreamhub_operator.desired.credentials import Addresses
from dreamhub_operator.desired.job import WorkerTemplate
from dreamhub_operator.desired.namespace import Subject
from dreamhub_operator.metrics import Metrics
from dreamhub_operator.ports import Cache, Database, Ledger, Objects, Quotas, Vectors
from dreamhub_operator.reconcile.appraisal import RatioBoard
from dreamhub_operator.reconcile.quota_check import RoomBoard
from dreamhub_operator.reconcile.status_pace import StatusPace
from dreamhub_operator.settings import Settings
from dreamhub_operator.watched import Watched


@dataclass(frozen=True)
class Context:
    settings: Settings
    cluster: Cluster
    database: Database
    quotas: Quotas
    ledger: Ledger
    vectors: Vectors
    cache: Cache
    objects: Objects
    models: ModelList
    metrics: Metrics
    watched: Watched
    children: Children
    now: Callable[[], datetime]
    subject: Subject
    """Who the operator is: bound to its role in each tenant's namespace."""

    @cached_property
    def ratios(self) -> RatioBoard:
        return RatioBoard(self.database)

    @cached_property
    def room(self) -> RoomBoard:
        return RoomBoard(self.cluster)

    @cached_property
    def status_pace(self) -> StatusPace:
        return StatusPace()

    @property
    def addresses(self) -> Addresses:
        settings = self.settings
        return Addresses(settings.tenant_database_address, settings.tenant_redis_address, settings.tenant_redis_scheme)

    @property
    def worker(self) -> WorkerTemplate:
        settings = self.settings
        return WorkerTemplate(
            image=settings.worker_image,
            build=settings.worker_build,
            resources=settings.worker_resources.model_dump(),
            pull_policy=settings.image_pull_policy,
            pull_secrets=settings.image_pull_secrets,
            size_limit=settings.upload_limit_bytes,
            scanner=settings.scanner,
            log_level=settings.log_level,
            deadline_seconds=settings.job_deadline_seconds,
        )

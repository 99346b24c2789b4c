"""All services of one server, as handlers get them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from dreamhub.crd.tenant import Tenant
from dreamhub_api.auth.authenticator import Authenticator
from dreamhub_api.hub.hub import Hub
from dreamhub_api.metrics import Metrics
from dreamhub_api.services.answers import AnswerService
from dreamhub_api.services.dead_letters import DeadLettersService
from dreamhub_api.services.documents import DocumentsService
from dreamhub_api.services.idempotency import IdempotencyService
from dreamhub_api.services.ingest_jobs import IngestJobsService
from dreamhub_api.services.links import LinksService
from dreamhub_api.services.readiness import Check
from dreamhub_api.services.search import SearchService
from dreamhub_api.services.sessions import Sessions
from dreamhub_api.services.tickets import TicketService
from dreamhub_api.services.uploads import UploadService
from dreamhub_api.services.usage import UsageService


@dataclass(frozen=True)
class Services:
    authenticator: Authenticator
    documents: DocumentsService
    uploads: UploadService
    jobs: IngestJobsService
    dead_letters: DeadLettersService
    search: SearchService
    answers: AnswerService
    tickets: TicketService
    usage: UsageService
    idempotency: IdempotencyService
    links: LinksService
    sessions: Sessions
    hub: Hub
    metrics: Metrics
    checks: Mapping[str, Check]
    find_tenant: Callable[[str], Tenant | None]

"""An IngestJob in the terms of fair share: what it asks for, what its tenant may have, and why it has to wait. Pure."""

import math
from dataclasses import dataclass
from datetime import datetime

from dreamhub.crd.ingest_job import IngestJob, IngestReason
from dreamhub.crd.ingest_status import IngestEstimate, IngestQueue
from dreamhub.crd.tenant import Tenant
from dreamhub.domain.fair_books import Charge
from dreamhub.domain.fair_share import URGENT_FACTOR, Hold, Order, Terms
from dreamhub.names import KUEUE_LABEL, tenant_of_namespace
from dreamhub.sql.runs import RunStatus
from dreamhub_operator.reconcile.ingest_status import Finding, queue

BASE_TOKENS = 1_000
"""What starting a worker is worth: about the time in which one embeds so many tokens. A job costs no less."""
DOCUMENT_TOKENS = 2_000
"""Of a document that nobody has estimated."""
CHARACTERS_PER_TOKEN = 4
LEAST_PART = 4
"""One that has begun has cost at least this part of what it was charged, whatever its run says: the tenant's own login
writes that. Estimates of what is done as ordered are seldom further off."""

_REASONS: dict[Hold, IngestReason] = {
    "TenantLimit": IngestReason.TENANT_LIMIT,
    "GlobalLimit": IngestReason.GLOBAL_LIMIT,
    "ColdHeldBack": IngestReason.COLD_HELD_BACK,
}


@dataclass(frozen=True, slots=True)
class Standing:
    """Where one that wants a slot stands."""

    place: int
    """Among the waiting of its tenant, 1 goes first. 0: it has a slot."""
    hold: Hold = "GlobalLimit"
    share: float = 1.0
    """Of the workers, by its tenant's weight. 0 to 1."""
    eta_seconds: float | None = None
    error_seconds: float | None = None
    look_seconds: float | None = None
    """It should look again so soon: there is no forecast yet, and will be one."""


GRANTED = Standing(place=0)


def build_order(job: IngestJob, estimate: IngestEstimate | None = None) -> Order:
    """`estimate`: one that the status does not tell yet."""
    created = job.metadata.creation_timestamp
    return Order(
        uid=job.metadata.uid,
        tenant=tenant_of_namespace(job.metadata.namespace or "") or "",
        created_at=datetime.fromisoformat(created).timestamp() if created is not None else 0.0,
        cost=BASE_TOKENS + _expect_tokens(job, estimate or job.status.estimate),
        priority=job.spec.priority,
        elsewhere=KUEUE_LABEL in job.metadata.labels,
    )


def _expect_tokens(job: IngestJob, estimate: IngestEstimate | None) -> int:
    if estimate is not None:
        return estimate.tokens
    if job.spec.source.inline is not None:
        return len(job.spec.source.inline.text) // CHARACTERS_PER_TOKEN
    documents = job.spec.source.documents
    return DOCUMENT_TOKENS * (len(documents.ids) if documents is not None else 1)


def build_terms(tenant: Tenant) -> Terms:
    return Terms(weight=tenant.spec.weight, limit=tenant.spec.plan.concurrent_jobs)


def find_used(job: IngestJob | None, run: RunStatus | None, charge: Charge | None = None) -> int | None:
    """What it has cost, as orders and charges count; None when nobody knows. `charge`: of one that has ended."""
    if run is not None:
        tokens = run.progress.tokens
    elif job is not None and job.status.usage is not None:
        tokens = job.status.usage.tokens
    else:
        return None
    urgent = job is not None and job.spec.priority == "Urgent"
    told = (BASE_TOKENS + tokens) * (URGENT_FACTOR if urgent else 1)
    began = run is not None or (job is not None and job.status.job_name is not None)
    return max(told, (charge.cost + charge.settled) // LEAST_PART) if charge is not None and began else told


def explain_wait(tenant: str, limit: int | None, standing: Standing, run: RunStatus | None) -> Finding:
    """Why it waits for a slot, and where it stands."""
    if standing.hold == "ColdHeldBack":
        why = "cold jobs wait while the embedding model is slow; a higher spec.priority waits for less"
    elif standing.hold == "TenantLimit":
        why = f"{_jobs(limit)} of tenant {tenant} may run at once (spec.plan.concurrentJobs)"
    else:
        why = f"all workers are taken; tenant {tenant} gets {standing.share:.0%} of them while others want some, too"
    told = IngestQueue(
        position=standing.place,
        share_percent=round(standing.share * 100),
        eta_seconds=_whole(standing.eta_seconds),
        eta_error_seconds=_whole(standing.error_seconds),
    )
    return queue(_REASONS[standing.hold], f"place {standing.place} in the queue: {why}", run, told)


def explain_outside(limit: int | None) -> Finding:
    """Why it has no place among the tenant's unfinished IngestJobs."""
    if limit is None:
        message = "the database lets no IngestJob of this tenant in yet; it enters once the tenant's limits are set"
    else:
        message = (
            f"the queue is full: {_jobs(limit)} may be unfinished at once (spec.plan.queuedJobs); "
            "it enters when others have ended"
        )
    return queue(IngestReason.QUEUE_FULL, message)


def explain_kueue(name: str, run: RunStatus | None) -> Finding:
    message = f"its Job waits for Kueue, in the queue {name}; see: kubectl get workloads"
    return queue(IngestReason.WAITING_FOR_KUEUE, message, run)


def _jobs(number: int | None) -> str:
    return "1 IngestJob" if number == 1 else f"{number} IngestJobs"


def _whole(seconds: float | None) -> int | None:
    return math.ceil(seconds) if seconds is not None else None

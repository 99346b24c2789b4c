"""What an IngestJob will use: found out before it waits for a slot, kept for it once it has one."""

from dataclasses import replace

from dreamhub.crd.ingest_job import IngestEstimate, IngestJob
from dreamhub.sql.reservations import Shortage
from dreamhub_operator.context import Context
from dreamhub_operator.reconcile.appraisal import appraise, appraise_collected, is_known_before, needs_approval
from dreamhub_operator.reconcile.ingest_plan import IngestObserved, TenantView, find_missing, wants_slot
from dreamhub_operator.reconcile.ingest_status import Costs
from dreamhub_operator.reconcile.queues import Queues
from dreamhub_operator.reconcile.quota_pause import find_pause, is_short


async def appraise_job(context: Context, job: IngestJob, observed: IngestObserved) -> IngestObserved:
    """Estimate once, and again from the documents that were asked for, or that the worker has collected.

    Raises TransientError.
    """
    tenant = observed.tenant
    if tenant is None or not tenant.takes_jobs:
        return observed
    if not is_known_before(job):
        return replace(observed, estimate=await _collected(context, observed) or observed.estimate)
    source = job.spec.source.documents
    if observed.documents is None and source is not None and observed.estimate is None and observed.job is None:
        documents = await context.database.resolve(tenant.name, source.ids)
        observed = replace(observed, documents=documents)
    if observed.documents is None and (source is not None or observed.estimate is not None):
        return observed
    ratios = await context.ratios.find(tenant.name)
    return replace(observed, estimate=appraise(job, observed.documents or {}, ratios, observed.price))


async def look_at_tokens(context: Context, observed: IngestObserved) -> IngestObserved:
    """Of a run that lacked tokens: whether it lacks them still. Raises TransientError."""
    tenant = observed.tenant
    if tenant is None or not is_short(observed.run):
        return observed
    usage = (await context.quotas.fetch_usage([tenant.name])).get(tenant.name)
    return replace(observed, pause=find_pause(observed.run, usage))


async def _collected(context: Context, observed: IngestObserved) -> IngestEstimate | None:
    if observed.tenant is None or observed.run is None or observed.run.progress.estimated_tokens is None:
        return None
    ratios = await context.ratios.find(observed.tenant.name)
    return appraise_collected(observed.run.progress, observed.price, ratios)


async def secure_tokens(context: Context, queues: Queues, job: IngestJob, observed: IngestObserved) -> IngestObserved:
    """Keep its tokens, now that it may start. One that may not, after all, gives its slot back.

    One that goes on after a pause has its tokens still, and is not asked to fit into a day at once.
    """
    tenant = observed.tenant
    if is_short(observed.run):
        return observed
    if tenant is None or observed.estimate is None or observed.standing.place or not _has_slot(job, observed):
        return observed
    if not needs_approval(job, observed.estimate, tenant.approval, observed.price):
        shortage = await _reserve(context, job, tenant, observed.estimate.tokens)
        if shortage is None:
            return observed
        observed = replace(observed, shortage=shortage)
    queues.slots.settle(job.metadata.uid)
    queues.slots.set_aside(job)
    return observed


def _has_slot(job: IngestJob, observed: IngestObserved) -> bool:
    """Whether it would start now, whatever it costs."""
    return wants_slot(job, replace(observed, estimate=None)) and not (
        observed.job is None and find_missing(job, observed)
    )


async def _reserve(context: Context, job: IngestJob, tenant: TenantView, tokens: int) -> Shortage | None:
    """Where there is no limit there is nothing to keep: one that is set later holds at each use."""
    if not tenant.limits_tokens:
        return None
    return await context.quotas.reserve_tokens(tenant.name, job.metadata.uid, tokens)


def find_costs(observed: IngestObserved) -> Costs:
    tenant = observed.tenant
    if tenant is None or observed.estimate is None:
        return Costs(observed.price, observed.estimate)
    most = tenant.approval.most_tokens(observed.price)
    required = most is not None and observed.estimate.tokens > most
    return Costs(observed.price, observed.estimate, required)

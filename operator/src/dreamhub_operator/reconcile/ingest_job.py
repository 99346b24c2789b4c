"""One reconcile of an IngestJob: observe, plan, apply, write the status."""

from dataclasses import replace

import structlog

from dreamhub.crd.ingest_job import WAITING_PHASES, IngestJob, IngestJobStatus, IngestReason
from dreamhub.domain.conditions import is_true
from dreamhub.domain.cost import NO_PRICE
from dreamhub.errors import ConflictError, ForbiddenError, InvalidInputError, NotFoundError, TransientError
from dreamhub.names import KUEUE_LABEL, job_input_secret
from dreamhub.sql.runs import RunStatus
from dreamhub_operator import events
from dreamhub_operator.cluster import ObjectKey
from dreamhub_operator.context import Context
from dreamhub_operator.desired.job import SIGNED_AT, build_job, build_suspension, spec_hash
from dreamhub_operator.kinds import INGEST_JOB, JOB, SECRET
from dreamhub_operator.reconcile.appraisal import find_agreed, find_price
from dreamhub_operator.reconcile.ingest_costs import appraise_job, find_costs, look_at_tokens, secure_tokens
from dreamhub_operator.reconcile.ingest_plan import (
    RETRY_SECONDS,
    IngestObserved,
    IngestPlan,
    is_final,
    is_overdue,
    plan_ingest,
    wants_documents,
    wants_queueing,
    wants_slot,
)
from dreamhub_operator.reconcile.ingest_status import Costs, Finding, build_status, fail, find_approval, pend
from dreamhub_operator.reconcile.job_order import choose_versions, recall_versions, write_input
from dreamhub_operator.reconcile.job_state import JobState, has_ended, read_job
from dreamhub_operator.reconcile.queues import Queues
from dreamhub_operator.reconcile.quota_check import explain_refusal
from dreamhub_operator.reconcile.statuses import build_patch, fence
from dreamhub_operator.reconcile.tenant_view import view_tenant
from dreamhub_operator.watched import owner_uid

LOOKS_PER_SECOND = 20
"""Of all of a tenant's IngestJobs that cannot begin, for whatever reason, and are not woken."""

log = structlog.get_logger()


async def reconcile_ingest_job(context: Context, queues: Queues, uid: str) -> float | None:
    """Seconds until it should run again, or None; 0 when its Job turned out to be gone.

    Raises DreamHubError to be run again after a backoff; a slot that was kept for it stays kept until then.
    """
    job = context.watched.ingest_jobs.get(uid)
    if job is None or job.metadata.deletion_timestamp is not None:
        return None
    observed = await observe(context, queues, job)
    plan = plan_ingest(job, observed, context.now())
    if "CreateJob" in plan.actions or "Resume" in plan.actions:
        await queues.charge(uid)
    finding = await apply_plan(context, job, observed, plan)
    queues.slots.settle(uid)
    if observed.job is not None and uid not in context.watched.jobs:
        return 0
    delay = await write_status(context, job, finding, find_costs(observed)) if finding is not None else 0.0
    if delay:
        return delay
    again = RETRY_SECONDS if finding is not plan.finding else plan.again_seconds
    waits = observed.job is None and not plan.actions and finding is not None and finding.phase in WAITING_PHASES
    if again is None or not waits or observed.tenant is None:
        return again
    return max(again, queues.places.count_unfinished(observed.tenant.name) / LOOKS_PER_SECOND)


async def observe(context: Context, queues: Queues, job: IngestJob) -> IngestObserved:
    observed = _recall(context, job)
    if observed.tenant is None or is_final(job.status):
        queues.slots.set_aside(job)
        return observed
    try:
        observed = await _ask_queues(queues, job, observed)
        observed = _decide(queues, job, await _ask_database(context, job, observed))
        observed = await secure_tokens(context, queues, job, await _find_documents(context, job, observed))
    except TransientError as error:
        observed = replace(observed, unavailable=(IngestReason.DATABASE_UNAVAILABLE, error.message))
    else:
        state = observed.job
        refused = await _refusal(context, job, state) if state is not None else None
        observed = replace(observed, refused=refused)
    return observed


def _recall(context: Context, job: IngestJob) -> IngestObserved:
    """What the watches have told."""
    watched, uid = context.watched, job.metadata.uid
    tenant = watched.tenant_of(job)
    return IngestObserved(
        tenant=view_tenant(tenant) if tenant is not None else None,
        job=watched.jobs.get(uid),
        pods=tuple(watched.pods.get(uid, {}).values()),
        run=watched.runs.get(uid),
        price=find_price(context.models, tenant.spec.models.embedding) if tenant is not None else NO_PRICE,
        estimate=job.status.estimate,
    )


async def _ask_queues(queues: Queues, job: IngestJob, observed: IngestObserved) -> IngestObserved:
    tenant, uid = observed.tenant, job.metadata.uid
    await queues.open()
    if tenant is None or not wants_queueing(job, observed) or await queues.places.has_place(tenant.name, uid):
        return observed
    return replace(observed, queued=False, place_outside=queues.places.place_outside(tenant.name, uid))


def _decide(queues: Queues, job: IngestJob, observed: IngestObserved) -> IngestObserved:
    """Where it stands among all that want a slot, decided and kept in one step."""
    if observed.tenant is None or not wants_slot(job, observed):
        queues.slots.set_aside(job)
        return observed
    return replace(observed, standing=queues.slots.claim(job, observed.estimate))


async def _ask_database(context: Context, job: IngestJob, observed: IngestObserved) -> IngestObserved:
    tenant, state, uid = observed.tenant, observed.job, job.metadata.uid
    if tenant is None:
        return observed
    if state is not None and has_ended(state, observed.pods):
        observed = replace(observed, run=await _last_word(context, tenant.name, uid) or observed.run)
    return await appraise_job(context, job, await look_at_tokens(context, observed))


async def _find_documents(context: Context, job: IngestJob, observed: IngestObserved) -> IngestObserved:
    """Of one that may begin; those that wait are not asked about."""
    tenant, source = observed.tenant, job.spec.source.documents
    if tenant is None or source is None or observed.documents is not None:
        return observed
    if observed.standing.place or not wants_documents(job, observed):
        return observed
    found = await context.database.resolve(tenant.name, source.ids, find_agreed(job))
    return await appraise_job(context, job, replace(observed, documents=found))


async def _last_word(context: Context, tenant: str, uid: str) -> RunStatus | None:
    """The run as it is now, when a worker is over: the poll may not have seen its last write yet."""
    try:
        return (await context.database.fetch_runs(tenant, [uid])).get(uid)
    except NotFoundError:
        return None


async def _refusal(context: Context, job: IngestJob, state: JobState) -> str | None:
    pods = context.watched.pods.get(job.metadata.uid, {}).values()
    if any(pod.phase != "Failed" for pod in pods) or not is_overdue(state, context.now()):
        return None
    quota = await context.room.find(job.metadata.namespace or "")
    return explain_refusal(quota, context.settings.worker_resources) if quota is not None else None


async def apply_plan(context: Context, job: IngestJob, observed: IngestObserved, plan: IngestPlan) -> Finding | None:
    """Do what the plan says; the finding is the plan's, or why an action was not possible."""
    try:
        for action in plan.actions:
            match action:
                case "CreateJob":
                    await _create_job(context, job, observed)
                case "RenewInput":
                    await _renew_input(context, job, observed)
                case "Suspend" | "Resume":
                    await _patch_job(context, job, build_suspension(job, suspend=action == "Suspend"))
                case "Finish":
                    await _finish(context, job, plan.keep_job_seconds)
                case "Discard":
                    await _discard(context, job)
                case "Delete":
                    await _delete(context, job)
    except ConflictError as error:
        return fail(IngestReason.JOB_NAME_TAKEN, error.message, None)
    except (ForbiddenError, InvalidInputError) as error:
        return pend(IngestReason.CLUSTER_REFUSED, error.message, observed.run)
    return plan.finding


async def _delete(context: Context, job: IngestJob) -> None:
    """What was gone already is a ghost: no watch will tell of it any more."""
    if not await context.cluster.delete(_key(job), job.metadata.uid):
        context.watched.drop_ingest_job(job.metadata.uid)


def _key(job: IngestJob) -> ObjectKey:
    return ObjectKey(INGEST_JOB, job.metadata.name, job.metadata.namespace)


async def _create_job(context: Context, job: IngestJob, observed: IngestObserved) -> None:
    """Write the input, then the Job, so that a pod never waits for its input.

    Adopts a Job that is provably this one: another replica or an earlier life of this one may have created it.
    """
    if observed.tenant is None:
        return
    signed_at = int(context.now().timestamp())
    versions = await choose_versions(context, job, observed.tenant, observed.documents or {})
    await write_input(context, job, observed.tenant, versions)
    manifest = build_job(observed.tenant.name, job, context.worker, signed_at)
    try:
        created = await context.cluster.create(manifest)
    except ConflictError:
        found = await context.cluster.get(
            ObjectKey(JOB, manifest["metadata"]["name"], manifest["metadata"]["namespace"])
        )
        if found is None:
            raise TransientError("the Job was there and is gone again; trying once more") from None
        if owner_uid(found) != job.metadata.uid or read_job(found).spec_hash != spec_hash(job):
            name = manifest["metadata"]["name"]
            raise ConflictError(
                f"the Job {name} exists but was not made for this IngestJob; delete it, then create another IngestJob"
            ) from None
        created = found
    context.watched.put_job(created)


async def _renew_input(context: Context, job: IngestJob, observed: IngestObserved) -> None:
    """Presigned URLs age; a pod that starts late, or again, must find fresh ones."""
    if observed.tenant is None:
        return
    await write_input(context, job, observed.tenant, await recall_versions(context, job))
    signed_at = str(int(context.now().timestamp()))
    await _patch_job(context, job, {"metadata": {"annotations": {SIGNED_AT: signed_at}}})


async def _patch_job(context: Context, job: IngestJob, changes: dict[str, object]) -> None:
    state = context.watched.jobs.get(job.metadata.uid)
    if state is None:
        return
    try:
        answer = await context.cluster.patch(ObjectKey(JOB, state.name, job.metadata.namespace), changes)
    except NotFoundError:
        log.info("the Job is gone", job=state.name)
        context.watched.forget_job(job.metadata.uid)
        return
    context.watched.put_job(answer)


async def _finish(context: Context, job: IngestJob, keep_seconds: int) -> None:
    """The input holds URLs and perhaps a model's key: it goes at once. The Job stays a while for its logs."""
    await _delete_input(context, job)
    end = {"ttlSecondsAfterFinished": keep_seconds}
    await _patch_job(context, job, {"spec": end if KUEUE_LABEL in job.metadata.labels else {**end, "suspend": False}})


async def _delete_input(context: Context, job: IngestJob) -> None:
    key = ObjectKey(SECRET, job_input_secret(job.metadata.uid), job.metadata.namespace)
    found = await context.cluster.get(key)
    if found is not None and owner_uid(found) == job.metadata.uid:
        await context.cluster.delete(key, found["metadata"]["uid"])


async def _discard(context: Context, job: IngestJob) -> None:
    """Stop the pods for good: their Job goes, with what it was told."""
    await _delete_input(context, job)
    state = context.watched.jobs.get(job.metadata.uid)
    if state is not None and not await context.cluster.delete(
        ObjectKey(JOB, state.name, job.metadata.namespace), state.uid
    ):
        context.watched.forget_job(job.metadata.uid)


async def write_status(context: Context, job: IngestJob, finding: Finding, costs: Costs) -> float:
    """Write what changed; tell a change of phase, or a new reason to worry, by an Event.

    Returns 0, or after how many seconds to come again because it was written just now.
    """
    state = context.watched.jobs.get(job.metadata.uid)
    status = build_status(job, finding, state.name if state is not None else None, context.now(), costs)
    patch = build_patch(job.status, status)
    if not patch:
        return 0.0
    uid = job.metadata.uid
    delay = context.status_pace.delay(uid) if status.phase == job.status.phase else 0.0
    if delay:
        return delay
    body = {"metadata": fence(job.metadata), "status": patch}
    try:
        answer = await context.cluster.patch(_key(job), body, subresource="status")
    except NotFoundError:
        context.watched.drop_ingest_job(uid)
        return 0.0
    finally:
        context.status_pace.note(uid, last=is_final(status))
    context.watched.put_ingest_job(answer)
    await _announce(context, job, status)
    return 0.0


async def _announce(context: Context, job: IngestJob, status: IngestJobStatus) -> None:
    approval = find_approval(job.status, status)
    if approval is not None:
        await events.emit(context.cluster, job, "Normal", approval.reason.value, approval.message)
    stalled = is_true(status.conditions, "Stalled")
    worrying = stalled and job.status.reason != status.reason
    if job.status.phase == status.phase and not worrying and job.status.observed_generation != 0:
        return
    if status.phase == "Running" and job.status.phase != "Running" and status.timing is not None:
        context.metrics.queue_wait.observe(status.timing.queued_seconds)
    log.info(
        "ingest job",
        name=job.metadata.name,
        namespace=job.metadata.namespace,
        phase=status.phase,
        reason=status.reason.value,
    )
    await events.emit(context.cluster, job, "Warning" if stalled else "Normal", status.reason.value, status.message)

"""The running operator: queues, watches, poll and probes of one process, and their common end."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

import kopf
import structlog

from dreamhub.cancelling import cancel_all
from dreamhub.crd.tenant import Tenant
from dreamhub.domain.conditions import is_true
from dreamhub.errors import ConflictError, DreamHubError, NotFoundError
from dreamhub.names import KEYS_SECRET, tenant_of_namespace
from dreamhub_operator.cluster import ObjectKey
from dreamhub_operator.connection import Connection
from dreamhub_operator.context import Context
from dreamhub_operator.duties.budget import ModelBudgets
from dreamhub_operator.duties.isolation import IsolationDuty
from dreamhub_operator.duties.rotation import RotationDuty
from dreamhub_operator.duties.usage import UsageBoard, UsageDuty
from dreamhub_operator.duties.vectors import IndexKeeper, VectorDuty
from dreamhub_operator.election import Election
from dreamhub_operator.freshness import Freshness
from dreamhub_operator.handlers import Handlers, build_settings
from dreamhub_operator.isolation.round import RoundRunner
from dreamhub_operator.isolation.verifier import Verifier
from dreamhub_operator.kinds import REFLECTED, SECRET
from dreamhub_operator.loops import Heartbeat, Persistent
from dreamhub_operator.master_keys import MasterKeyStore
from dreamhub_operator.progress import ProgressPoll
from dreamhub_operator.queue import WorkQueue
from dreamhub_operator.queue_sweep import QueueSweep
from dreamhub_operator.reconcile.foreign import ForeignObjects
from dreamhub_operator.reconcile.ingest_job import reconcile_ingest_job
from dreamhub_operator.reconcile.queues import Queues
from dreamhub_operator.reconcile.tenant import TenantReconciler
from dreamhub_operator.reconcile.tenant_deletion import delete_tenant
from dreamhub_operator.reconcile.tenant_look import TenantLook
from dreamhub_operator.reconcile.tenant_stores import TenantStores
from dreamhub_operator.reflector import Reflector
from dreamhub_operator.shared_secret import SharedSecret
from dreamhub_operator.sole import check_sole, stay_sole
from dreamhub_operator.vault import KeyVault

TENANT_WORKERS = 16
INGEST_WORKERS = 12
"""Enough to keep a small API server busy: more make each request wait for the others, the Lease's among them."""

log = structlog.get_logger()


@dataclass(frozen=True)
class StopSignal:
    """SIGINT and SIGTERM as an event."""

    event: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self) -> None:
        """Handle the signals in this loop, whoever did before."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.event.set)


@dataclass
class Service:
    context: Context
    connection: Connection
    freshness: Freshness
    election: Election
    leading: bool = False
    _tenants: WorkQueue[str] = field(init=False)
    _ingest_jobs: WorkQueue[str] = field(init=False)
    _reconciler: TenantReconciler = field(init=False)
    _queues: Queues = field(init=False)
    _verifier: Verifier = field(init=False)
    _index_keeper: IndexKeeper = field(init=False)
    _reflectors: tuple[Reflector, ...] = field(init=False)

    def __post_init__(self) -> None:
        vault = open_vault(self.context)
        context = self.context
        self._queues = Queues(context.watched, context.quotas, context.ledger, context.settings.admission)
        board = UsageBoard(self.context.watched, self.context.quotas)
        runner = RoundRunner(self.context, self.connection.url)
        self._verifier = Verifier(self.context, runner.run, self._look_again)
        self._index_keeper = IndexKeeper(self.context, self._look_again)
        duties = (
            UsageDuty(self.context, self._queues, board, self._wake),
            RotationDuty(self.context, vault),
            IsolationDuty(self.context, self._verifier),
            VectorDuty(self._index_keeper),
        )
        look = TenantLook(self.context, vault, TenantStores(self.context))
        self._reconciler = TenantReconciler(self.context, vault, look, ForeignObjects(self.context), duties=duties)
        self._tenants = WorkQueue(self._reconcile_tenant, TENANT_WORKERS)
        self._ingest_jobs = WorkQueue(self._reconcile_ingest_job, INGEST_WORKERS, self._lane_of)
        self._reflectors = tuple(
            Reflector(kind, context.cluster, context.children, self.freshness, self._see_space) for kind in REFLECTED
        )

    def is_ready(self) -> bool:
        """Standing by, or leading with every kind listed and watched."""
        listed = all(reflector.listed.is_set() for reflector in self._reflectors)
        return not self.leading or (listed and self.freshness.all_opened())

    async def run(self, stop: StopSignal) -> None:
        """Stand by until elected, then work until `stop` or the loss of the Lease, which raises LeaseLostError."""
        acquired = asyncio.create_task(self.election.acquire())
        if not await _first(acquired, stop.event):
            return
        username = await self.context.cluster.fetch_username()
        await check_sole(self.context.cluster, username)
        self._lead()
        tasks = [
            asyncio.create_task(self.election.hold()),
            asyncio.create_task(stay_sole(self.context.cluster, username)),
        ]
        tasks += [asyncio.create_task(Persistent(name, start).run()) for name, start in self._loops()]
        watches = asyncio.create_task(self._watch(stop))
        try:
            done, _ = await asyncio.wait([*tasks, watches], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            await asyncio.gather(_cancel([watches]), cancel_all(tasks))
            self.context.metrics.leader.set(0)
        await self.election.release()

    def _loops(self) -> Iterator[tuple[str, Callable[[], Awaitable[None]]]]:
        """By name. They run beside what may end the process: the election, and the look at who is the operator."""
        for reflector in self._reflectors:
            yield f"watch of {reflector.kind.plural}", reflector.run
        yield "tenants", self._work_on_tenants
        yield "ingest jobs", self._ingest_jobs.run
        yield "isolation", self._verifier.run
        yield "vector indexes", self._index_keeper.run
        yield "heartbeat", Heartbeat(self.context.metrics.event_loop_wait.observe).run
        yield "models", ModelBudgets(self.context).run
        yield "progress", self._poll().run
        sweep = QueueSweep(self._queues, self.freshness.all_opened, self._ingest_jobs.add)
        yield "queues", sweep.run
        yield "queues by models", sweep.run_models

    def _lead(self) -> None:
        self.leading = True
        self.freshness.start()
        self.context.metrics.leader.set(1)

    async def _work_on_tenants(self) -> None:
        """Once all their objects are known: what seems to be missing is missing."""
        for reflector in self._reflectors:
            await reflector.listed.wait()
        await self._tenants.run()

    def _lane_of(self, uid: str) -> tuple[str | None, bool]:
        """Namespaces take turns, and within them those with a slot, for which others wait, with those without."""
        job = self.context.watched.ingest_jobs.get(uid)
        return job.metadata.namespace if job is not None else None, self._queues.slots.has_slot(uid)

    def _look_again(self, uid: str) -> None:
        self._tenants.add(uid)

    def _see_space(self, space: str) -> None:
        """Something has changed in a tenant's namespace."""
        uid = self.context.watched.tenant_uids.get(tenant_of_namespace(space) or "")
        if uid is not None:
            self._tenants.add(uid)

    def _poll(self) -> ProgressPoll:
        return ProgressPoll(self.context.watched, self.context.database, self._ingest_jobs.add)

    async def _watch(self, stop: StopSignal) -> None:
        registry = kopf.OperatorRegistry()
        Handlers(
            watched=self.context.watched,
            tenants=self._tenants,
            ingest_jobs=self._ingest_jobs,
            freshness=self.freshness,
            connection=self.connection,
        ).register(registry)
        others = asyncio.all_tasks()
        tasks = await kopf.spawn_tasks(
            registry=registry, settings=build_settings(), clusterwide=True, standalone=True, stop_flag=stop.event
        )
        stop.take()
        await kopf.run_tasks(tasks, ignored=others)

    async def _reconcile_tenant(self, uid: str) -> float | None:
        return await self._guarded("Tenant", uid, self._tenant_step)

    async def _tenant_step(self, uid: str) -> float | None:
        tenant = self.context.watched.tenants.get(uid)
        if tenant is None:
            return None
        if tenant.metadata.deletion_timestamp is not None:
            again = await delete_tenant(self.context, self._reconciler.vault, tenant)
            if again is None:
                self._reconciler.forget(tenant)
            return again
        again = await self._reconciler.reconcile(tenant)
        self._wake_jobs(tenant)
        return again

    def _wake_jobs(self, before: Tenant) -> None:
        """A tenant that became ready: the watch shows our own status write as an echo, which wakes nobody."""
        tenant = self.context.watched.tenants.get(before.metadata.uid)
        if tenant is None or is_true(before.status.conditions, "Ready"):
            return
        if is_true(tenant.status.conditions, "Ready"):
            for uid in self.context.watched.waiting_jobs_of(tenant.metadata.name):
                self._ingest_jobs.add(uid)

    async def _reconcile_ingest_job(self, uid: str) -> float | None:
        try:
            return await self._guarded("IngestJob", uid, partial(reconcile_ingest_job, self.context, self._queues))
        finally:
            await self._hand_on(uid)

    async def _hand_on(self, uid: str) -> None:
        """What this IngestJob needs no more lets others begin, at once."""
        try:
            self._wake(await self._queues.give_back(uid))
        except DreamHubError as error:
            log.warning("place in the queue not given back yet", uid=uid, error=error.message)

    def _wake(self, uids: Iterable[str]) -> None:
        for uid in uids:
            self._ingest_jobs.add(uid)

    async def _guarded(self, kind: str, uid: str, step: Callable[[str], Awaitable[float | None]]) -> float | None:
        """Time it, and log what it raises: expected errors as a line, others with their traceback."""
        with self.context.metrics.reconcile(kind):
            try:
                return await step(uid)
            except (NotFoundError, ConflictError) as error:
                log.info("changed meanwhile, looking again", kind=kind, uid=uid, error=error.message)
                raise
            except DreamHubError as error:
                log.warning("reconcile failed", kind=kind, uid=uid, code=error.code, error=error.message)
                raise
            except Exception:
                log.exception("reconcile failed", kind=kind, uid=uid)
                raise


def open_vault(context: Context) -> KeyVault:
    settings = context.settings
    masters = MasterKeyStore(context.cluster, settings.system_namespace, settings.rotation, context.now)
    secret = SharedSecret(context.cluster, ObjectKey(SECRET, KEYS_SECRET, settings.system_namespace))
    return KeyVault(secret, masters)


async def _first(work: asyncio.Task[None], stop: asyncio.Event) -> bool:
    """Wait for either; True when the work is done, False when it was stopped."""
    stopped = asyncio.create_task(_wait(stop))
    await asyncio.wait([work, stopped], return_when=asyncio.FIRST_COMPLETED)
    await _cancel([stopped])
    if not work.done():
        await _cancel([work])
        return False
    work.result()
    return True


async def _wait(event: asyncio.Event) -> None:
    await event.wait()


async def _cancel(tasks: Sequence[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    for task in tasks:
        with suppress(asyncio.CancelledError, Exception):
            await task

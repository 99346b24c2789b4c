"""What IngestJobs contend for: places among their tenant's unfinished ones, slots among all that run."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from dreamhub.crd.ingest_job import IngestReason
from dreamhub.domain.fair_books import Entry, plan_corrections
from dreamhub.errors import TransientError
from dreamhub.names import namespace
from dreamhub.sql.fair_books import Moment
from dreamhub_operator.admission_settings import Admission
from dreamhub_operator.ports import Ledger, Quotas
from dreamhub_operator.reconcile.admission import find_used
from dreamhub_operator.reconcile.ingest_plan import is_final
from dreamhub_operator.reconcile.places import Places
from dreamhub_operator.reconcile.slots import Slots
from dreamhub_operator.watched import Watched

_SHORT = frozenset({IngestReason.OVER_BUDGET, IngestReason.QUOTA_EXHAUSTED, IngestReason.LARGER_THAN_PLAN})

log = structlog.get_logger()


@dataclass
class Queues:
    watched: Watched
    quotas: Quotas
    ledger: Ledger
    settings: Admission = field(default_factory=Admission)
    now: Callable[[], float] = time.time
    slots: Slots = field(init=False)
    places: Places = field(init=False)
    _opening: asyncio.Lock = field(default_factory=asyncio.Lock)

    def __post_init__(self) -> None:
        self.slots = Slots(self.watched, self.settings, self.now)
        self.places = Places(self.watched, self.quotas)

    async def open(self) -> None:
        """Before the first decision. Raises TransientError."""
        async with self._opening:
            if not self.slots.is_open:
                self.slots.open(await self.ledger.fetch_books(self._moment().half_life))

    async def charge(self, uid: str) -> None:
        """Before its worker may begin: whoever dies then, it is known what was given. Raises TransientError."""
        entry = self.slots.find_charge(uid)
        if entry is not None:
            await self._enter(entry)

    async def give_back(self, uid: str) -> list[str]:
        """What an IngestJob needs no more goes to others: the UIDs of those that should look again.

        Raises TransientError when something could not be written; the sweep does it then.
        """
        entry = self.slots.note(uid)
        woken = self.grant()
        if entry is not None:
            await self._enter(entry)
        tenant = await self.places.leave(uid)
        short = self._find_short(tenant) if tenant is not None else []
        return woken + self.places.take_entered() + short

    def _find_short(self, tenant: str) -> list[str]:
        """UIDs of those that wait for tokens: used up, or kept for others."""
        jobs = self.watched.ingest_jobs
        return [uid for uid in self.watched.ingest_jobs_in(namespace(tenant)) if jobs[uid].status.reason in _SHORT]

    def grant(self) -> list[str]:
        """Those that have got a slot."""
        if self.slots.is_open:
            self.slots.grant()
        return self.slots.take_granted()

    def look_at_models(self) -> list[str]:
        """Whose cold jobs wait is seen anew; as `grant`."""
        self.slots.look_at_models()
        return self.grant()

    def reconsider(self, tenant: str) -> list[str]:
        """Its limits have changed: the UIDs of those that should look again."""
        self.places.reconsider(tenant)
        self.slots.set_terms(tenant)
        return self.grant() + self.places.find_outside(tenant, 1) + self._find_short(tenant)

    async def sweep(self) -> list[str]:
        """As `give_back`, for the rows of IngestJobs that are gone without a word."""
        freed = await self.places.sweep(self.watched.tenant_uids)
        await self._correct_books()
        first = [uid for tenant in freed for uid in self.places.find_outside(tenant, 1)]
        return first + self.places.take_entered()

    async def _correct_books(self) -> None:
        """What an earlier life of this process, or a database that was away, has left undone."""
        await self.open()
        stored = await self.ledger.fetch_books(self._moment().half_life)
        jobs = self.watched.ingest_jobs
        unfinished = {uid for uid, job in jobs.items() if not is_final(job.status)}
        running = {order.uid: (order.tenant, order.charge) for order in self.slots.share.running()}
        known = {
            uid: find_used(jobs.get(uid), self.watched.runs.get(uid), None if uid in unfinished else charge)
            for uid, charge in stored.charges.items()
        }
        used = {uid: amount for uid, amount in known.items() if amount is not None}
        for entry in plan_corrections(stored.charges, running, unfinished | running.keys(), used):
            await self._correct(entry)
        if not self.watched.tenant_uids.keys() >= stored.balances.keys():
            self.slots.share.books.forget(self.watched.tenant_uids)
            await self.ledger.forget_balances(self.watched.tenant_uids)
        self.slots.share.forget_tenants(self.watched.tenant_uids.__contains__)

    async def _correct(self, entry: Entry) -> None:
        """By itself: one that the database does not take keeps no other from its turn. The next sweep tries again."""
        self.slots.share.books.enter(entry, self.now())
        try:
            await self._enter(entry)
        except TransientError:
            raise
        except Exception:
            log.exception("the books are corrected later", tenant=entry.tenant, uid=entry.uid)

    async def _enter(self, entry: Entry) -> None:
        await self.ledger.enter(entry, self._moment())

    def _moment(self) -> Moment:
        return Moment(self.now(), self.settings.half_life.total_seconds())

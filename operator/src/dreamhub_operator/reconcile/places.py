"""Places among a tenant's unfinished IngestJobs (spec.plan.queuedJobs), as rows of the database hold them.

The API takes a row before it creates an IngestJob, so that two of its instances never let in one too many. IngestJobs
made with kubectl have none: they enter here, the oldest first, and wait outside while there is no room. One call enters
all of a tenant that want to, whoever asked.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import structlog

from dreamhub.crd.ingest_job import IngestJob
from dreamhub.errors import TransientError
from dreamhub.names import namespace
from dreamhub.sql.quota import Admission
from dreamhub_operator.ports import Quotas
from dreamhub_operator.reconcile.ingest_plan import is_final
from dreamhub_operator.watched import Watched

FULL_SECONDS = 5.0
"""For so long "no room" is believed without asking again, unless a row goes."""
UNCLAIMED_SECONDS = 120.0
"""A row that the API took and whose IngestJob does not come is let go after so long."""

log = structlog.get_logger()


def find_dead_rows(rows: Iterable[Admission], jobs: Mapping[str, IngestJob]) -> list[str]:
    """Names of the rows whose IngestJob has ended, or is absent. Pure.

    A row that the API took may be ahead of its IngestJob, so it gets time. One with the UID of an earlier IngestJob of
    the same name stands for the present one.
    """
    alive = {name for name, job in jobs.items() if not is_final(job.status)}
    return [
        row.name
        for row in rows
        if row.name not in alive and (row.uid is not None or row.age_seconds > UNCLAIMED_SECONDS)
    ]


@dataclass(frozen=True, slots=True)
class _Place:
    tenant: str
    name: str


@dataclass
class Places:
    watched: Watched
    quotas: Quotas
    clock: Callable[[], float] = time.monotonic
    _held: dict[str, _Place] = field(default_factory=dict)
    """By the UID of the IngestJob."""
    _full_until: dict[str, float] = field(default_factory=dict)
    _suspects: set[tuple[str, str]] = field(default_factory=set)
    """Tenant and name of rows that looked dead at the last sweep."""
    _locks: defaultdict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))

    async def has_place(self, tenant: str, uid: str) -> bool:
        """Whether it is in. Asks the database when that is not known. Raises TransientError."""
        if uid in self._held:
            return True
        async with self._locks[tenant]:
            if uid not in self._held and self.clock() >= self._full_until.get(tenant, 0):
                await self._enter(tenant)
        return uid in self._held

    async def leave(self, uid: str) -> str | None:
        """Give up the place of an IngestJob that is over; the tenant that has room by it, or None.

        Raises TransientError when the row stays; the sweep removes it then.
        """
        place, job = self._held.get(uid), self.watched.ingest_jobs.get(uid)
        if place is None or (job is not None and not is_final(job.status)):
            return None
        del self._held[uid]
        successor = self._by_name(place.tenant).get(place.name)
        if successor is None or successor.metadata.uid == uid:
            await self.quotas.release_jobs(place.tenant, [place.name])
        self._full_until.pop(place.tenant, None)
        return place.tenant

    async def sweep(self, tenants: Iterable[str]) -> list[str]:
        """Remove the rows that nobody else removes; the tenants that have room by it. Raises TransientError.

        Only those that were dead at the sweep before, too: the watches may be behind the database.
        """
        wanted, freed = list(tenants), []
        found = await self.quotas.fetch_admissions(wanted)
        before, self._suspects = self._suspects, set()
        for tenant in wanted:
            rows = found.get(tenant, ())
            self._forget_lost(tenant, {row.uid for row in rows})
            suspects = {(tenant, name) for name in find_dead_rows(rows, self._by_name(tenant))}
            dead = sorted(name for _, name in suspects & before)
            self._suspects |= suspects - before
            if dead and await self._release(tenant, dead):
                freed.append(tenant)
        return freed

    async def _release(self, tenant: str, dead: list[str]) -> bool:
        """Whether the rows went. A tenant's own login can lock them, which must not stop the sweep for others."""
        try:
            await self.quotas.release_jobs(tenant, dead)
        except TransientError as error:
            log.warning("places in a queue are released later", tenant=tenant, error=error.message)
            self._suspects |= {(tenant, name) for name in dead}
            return False
        self._full_until.pop(tenant, None)
        return True

    def reconsider(self, tenant: str) -> None:
        """Its limits have changed: "no room" may not hold any more."""
        self._full_until.pop(tenant, None)

    def find_outside(self, tenant: str) -> list[str]:
        """UIDs of unfinished IngestJobs without a place, the oldest first."""
        jobs = [job for job in self._by_name(tenant).values() if not is_final(job.status)]
        jobs.sort(key=lambda job: (job.metadata.creation_timestamp or "", job.metadata.uid))
        return [job.metadata.uid for job in jobs if job.metadata.uid not in self._held]

    async def _enter(self, tenant: str) -> None:
        wanting = [self.watched.ingest_jobs[uid] for uid in self.find_outside(tenant)]
        if not wanting:
            return
        names = {job.metadata.name: job.metadata.uid for job in wanting}
        admitted = await self.quotas.admit_jobs(tenant, names)
        for name in admitted:
            self._held[names[name]] = _Place(tenant, name)
        if len(admitted) < len(names):
            self._full_until[tenant] = self.clock() + FULL_SECONDS

    def _forget_lost(self, tenant: str, uids: set[str | None]) -> None:
        """Places whose row somebody has removed: they have to be asked for again."""
        for uid in [uid for uid, place in self._held.items() if place.tenant == tenant and uid not in uids]:
            del self._held[uid]

    def _by_name(self, tenant: str) -> dict[str, IngestJob]:
        jobs = (self.watched.ingest_jobs[uid] for uid in self.watched.ingest_jobs_in(namespace(tenant)))
        return {job.metadata.name: job for job in jobs if job.metadata.deletion_timestamp is None}

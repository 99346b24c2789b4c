"""Places among a tenant's unfinished IngestJobs (spec.plan.queuedJobs), as rows of the database hold them.

The API takes a row before it creates an IngestJob, so that two of its instances never let in one too many. IngestJobs
made with kubectl have none: they enter here, the oldest first, and wait outside while there is no room. One call enters
many of a tenant that want to, whoever asked.

Who waits outside is kept in order as the watches tell of it, so that thousands there make no event dearer.
"""

import asyncio
import time
from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import structlog

from dreamhub.crd.ingest_job import IngestJob
from dreamhub.errors import TransientError
from dreamhub.names import tenant_of_namespace
from dreamhub.sql.quota import Admission
from dreamhub_operator.ports import Quotas
from dreamhub_operator.reconcile.ingest_plan import is_final
from dreamhub_operator.watched import Watched

FULL_SECONDS = 5.0
"""For so long "no room" is believed without asking again, unless a row goes."""
AT_ONCE = 500
"""So many are entered by one call to the database."""
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


Key = tuple[str, str]
"""Creation time and UID: the order in which IngestJobs enter."""


@dataclass
class _Line:
    """A tenant's IngestJobs that have not ended."""

    names: dict[str, str] = field(default_factory=dict)
    """UIDs by name."""
    keys: dict[str, Key] = field(default_factory=dict)
    """By UID, of those outside."""
    outside: list[Key] = field(default_factory=list)
    """Of those without a place, sorted."""

    def enter(self, uid: str) -> None:
        key = self.keys.pop(uid, None)
        if key is not None:
            del self.outside[bisect_left(self.outside, key)]

    def wait(self, key: Key) -> None:
        if key[1] not in self.keys:
            self.keys[key[1]] = key
            insort(self.outside, key)


@dataclass
class Places:
    watched: Watched
    quotas: Quotas
    clock: Callable[[], float] = time.monotonic
    _held: dict[str, _Place] = field(default_factory=dict)
    """By the UID of the IngestJob."""
    _lines: defaultdict[str, _Line] = field(default_factory=lambda: defaultdict(_Line))
    """By tenant."""
    _known: dict[str, _Place] = field(default_factory=dict)
    """Of all that have not ended, by UID."""
    _entered: dict[str, None] = field(default_factory=dict)
    """UIDs of those that got a place and were not told."""
    _full_until: dict[str, float] = field(default_factory=dict)
    _suspects: set[tuple[str, str]] = field(default_factory=set)
    """Tenant and name of rows that looked dead at the last sweep."""
    _locks: defaultdict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))

    def __post_init__(self) -> None:
        self.watched.listen(self._see)

    def _see(self, uid: str) -> None:
        """An IngestJob has come, changed or gone."""
        job = self.watched.ingest_jobs.get(uid)
        if job is None or is_final(job.status) or job.metadata.deletion_timestamp is not None:
            self._forget(uid)
            return
        tenant = tenant_of_namespace(job.metadata.namespace or "")
        if tenant is None or uid in self._known:
            return
        self._known[uid] = _Place(tenant, job.metadata.name)
        self._lines[tenant].names[job.metadata.name] = uid
        self._wait_outside(uid)

    def _wait_outside(self, uid: str) -> None:
        known, job = self._known.get(uid), self.watched.ingest_jobs.get(uid)
        if known is not None and job is not None:
            self._lines[known.tenant].wait((job.metadata.creation_timestamp or "", uid))

    def _forget(self, uid: str) -> None:
        self._entered.pop(uid, None)
        known = self._known.pop(uid, None)
        if known is None:
            return
        line = self._lines[known.tenant]
        line.enter(uid)
        if line.names.get(known.name) == uid:
            del line.names[known.name]
        if not line.names:
            del self._lines[known.tenant]

    async def has_place(self, tenant: str, uid: str) -> bool:
        """Whether it is in. Asks the database when that is not known. Raises TransientError."""
        if uid in self._held:
            return True
        async with self._locks[tenant]:
            if uid not in self._held and self.clock() >= self._full_until.get(tenant, 0):
                await self._enter(tenant)
        self._entered.pop(uid, None)
        return uid in self._held

    async def leave(self, uid: str) -> str | None:
        """Give up the place of an IngestJob that is over, and let others in; `take_entered` names them.

        Returns the tenant whose place it was, or None when it had none. Raises TransientError when the row stays; the
        sweep removes it then.
        """
        place, job = self._held.get(uid), self.watched.ingest_jobs.get(uid)
        if place is None or (job is not None and not is_final(job.status)):
            return None
        del self._held[uid]
        line = self._lines.get(place.tenant)
        if line is None or line.names.get(place.name, uid) == uid:
            await self.quotas.release_jobs(place.tenant, [place.name])
        self._full_until.pop(place.tenant, None)
        if line is not None and line.outside:
            async with self._locks[place.tenant]:
                await self._enter(place.tenant)
        return place.tenant

    def take_entered(self) -> list[str]:
        """UIDs of those that have got a place since the last call."""
        entered, self._entered = self._entered, {}
        return list(entered)

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

    def find_outside(self, tenant: str, most: int) -> list[str]:
        """UIDs of unfinished IngestJobs without a place, the oldest first."""
        line = self._lines.get(tenant)
        return [uid for _, uid in line.outside[:most]] if line is not None else []

    def place_outside(self, tenant: str, uid: str) -> int:
        """Its place among those outside; 1 goes first."""
        line = self._lines.get(tenant)
        key = line.keys.get(uid) if line is not None else None
        return 1 + bisect_left(line.outside, key) if line is not None and key is not None else 1

    def count_unfinished(self, tenant: str) -> int:
        line = self._lines.get(tenant)
        return len(line.names) if line is not None else 0

    async def _enter(self, tenant: str) -> None:
        """As many as there is room for, the oldest first."""
        while wanting := self.find_outside(tenant, AT_ONCE):
            names = {self._known[uid].name: uid for uid in wanting}
            admitted = await self.quotas.admit_jobs(tenant, names)
            for name in names.keys() & admitted:
                self._hold(names[name], _Place(tenant, name))
            if len(admitted) < len(names):
                self._full_until[tenant] = self.clock() + FULL_SECONDS
                return

    def _hold(self, uid: str, place: _Place) -> None:
        self._held[uid] = place
        self._entered[uid] = None
        if place.tenant in self._lines:
            self._lines[place.tenant].enter(uid)

    def _forget_lost(self, tenant: str, uids: set[str | None]) -> None:
        """Places whose row somebody has removed: they have to be asked for again."""
        for uid in [uid for uid, place in self._held.items() if place.tenant == tenant and uid not in uids]:
            del self._held[uid]
            self._wait_outside(uid)

    def _by_name(self, tenant: str) -> dict[str, IngestJob]:
        line = self._lines.get(tenant)
        return {name: self.watched.ingest_jobs[uid] for name, uid in line.names.items()} if line is not None else {}

"""What a tenant's IngestJobs contend for: places among its unfinished ones, slots among its running ones."""

from dataclasses import dataclass, field

from dreamhub.names import tenant_of_namespace
from dreamhub_operator.ports import Quotas
from dreamhub_operator.reconcile.places import Places
from dreamhub_operator.reconcile.slots import Slots
from dreamhub_operator.watched import Watched


@dataclass
class Queues:
    watched: Watched
    quotas: Quotas
    slots: Slots = field(init=False)
    places: Places = field(init=False)

    def __post_init__(self) -> None:
        self.slots = Slots(self.watched)
        self.places = Places(self.watched, self.quotas)

    async def give_back(self, uid: str) -> list[str]:
        """What an IngestJob needs no more goes to others: the UIDs of those that should look again.

        Raises TransientError when its row could not be removed; the sweep does it then.
        """
        space = self.slots.note(uid)
        woken = self._find_next(space) if space is not None else []
        tenant = await self.places.leave(uid)
        return woken + (self.places.find_outside(tenant) if tenant is not None else [])

    def reconsider(self, tenant: str) -> list[str]:
        """Its limits have changed: the UIDs of those that should look again."""
        self.places.reconsider(tenant)
        return self.watched.waiting_jobs_of(tenant)

    async def sweep(self) -> list[str]:
        """As `give_back`, for the rows of IngestJobs that are gone without a word."""
        freed = await self.places.sweep(self.watched.tenant_uids)
        return [uid for tenant in freed for uid in self.places.find_outside(tenant)]

    def _find_next(self, space: str) -> list[str]:
        tenant = self.watched.tenants.get(self.watched.tenant_uids.get(tenant_of_namespace(space) or "", ""))
        limit = tenant.spec.plan.concurrent_jobs if tenant is not None else None
        return self.slots.find_next(space, limit) if limit is not None else []

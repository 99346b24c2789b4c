"""Why a Job gets no pod: the Job itself does not say it, but the quota's numbers do."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from dreamhub_operator.cluster import Cluster, ObjectKey
from dreamhub_operator.desired.quota import QUOTA_NAME
from dreamhub_operator.kinds import RESOURCE_QUOTA, Manifest
from dreamhub_operator.recent import Recent
from dreamhub_operator.reconcile.quantities import parse_quantity
from dreamhub_operator.settings import WorkerResources

QUOTA_SECONDS = 2.0
"""For so long a quota's numbers are not read again: where they keep pods away, all of a tenant's Jobs ask for them."""


@dataclass
class RoomBoard:
    """Tenants' ResourceQuotas, read for all their Jobs together."""

    cluster: Cluster
    clock: Callable[[], float] = time.monotonic
    _found: dict[str, Recent[Manifest | None]] = field(default_factory=dict)
    """By namespace; those that nobody has asked for lately are left out."""

    async def find(self, namespace: str) -> Manifest | None:
        """As it is, or was a moment ago; None when there is none. Raises TransientError."""
        if namespace not in self._found:
            self._forget_old()
            read = partial(self.cluster.get, ObjectKey(RESOURCE_QUOTA, QUOTA_NAME, namespace))
            self._found[namespace] = Recent(read, QUOTA_SECONDS, self.clock)
        return (await self._found[namespace].get())[0]

    def _forget_old(self) -> None:
        """But those that are being read for the first time."""
        since = self.clock() - QUOTA_SECONDS
        for namespace in [name for name, each in self._found.items() if -math.inf < each.read_at < since]:
            del self._found[namespace]


def explain_refusal(quota: Manifest, worker: WorkerResources) -> str | None:
    """The first resource of which one more worker would take too much, as a sentence; None when it would fit."""
    status = quota.get("status", {})
    hard, used = status.get("hard", {}), status.get("used", {})
    wanted = {f"requests.{name}": amount for name, amount in worker.requests.items()}
    wanted |= {f"limits.{name}": amount for name, amount in worker.limits.items()}
    for name, amount in wanted.items():
        limit, taken, more = (parse_quantity(str(text)) for text in (hard.get(name, ""), used.get(name, "0"), amount))
        if limit is not None and taken is not None and more is not None and taken + more > limit:
            return (
                f"the tenant's quota of {name} is {hard[name]}, {used.get(name, '0')} of it is in use and a worker "
                f"takes {amount}; it starts when other jobs have ended, or raise spec.resources of the Tenant"
            )
    return None

"""Objects of others in tenants' namespaces that widen what the operator's own keep closed.

NetworkPolicies and RoleBindings add up, so one more of them opens a namespace however intact ours are. An admission
policy lets nobody but platform administrators make them there. So one that is there was put there on purpose, by
somebody who may do anything anyway: it is told and counted, and not deleted.
"""

from collections import Counter
from dataclasses import dataclass, field

from dreamhub.crd.tenant import Tenant
from dreamhub_operator import events
from dreamhub_operator.context import Context
from dreamhub_operator.kinds import OPENING
from dreamhub_operator.reconcile.tenant_plan import namespace_name

REPORTED = 10
"""How many the status names, in the order of their names."""


@dataclass
class ForeignObjects:
    context: Context
    _known: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Kind/name, by the Tenant's UID."""

    def find(self, tenant: Tenant) -> tuple[str, ...]:
        found = self.context.children.foreign(namespace_name(tenant), tenant.metadata.uid)
        self._remember(tenant.metadata.uid, found)
        return found[:REPORTED]

    async def tell(self, tenant: Tenant, found: tuple[str, ...]) -> None:
        """An Event for each that the Tenant's status does not name yet."""
        told = tenant.status.drift.foreign if tenant.status.drift is not None else ()
        for label in sorted(set(found) - set(told)):
            message = (
                f"{label} in namespace {namespace_name(tenant)} is not the operator's and may open what its own keep "
                f"closed; it is left alone, because only a platform administrator can have made it. Delete it unless "
                f"it is meant"
            )
            await events.emit(self.context.cluster, tenant, "Warning", "ForeignObject", message)

    def forget(self, uid: str) -> None:
        self._remember(uid, ())

    def _remember(self, uid: str, found: tuple[str, ...]) -> None:
        if self._known.get(uid, ()) == found:
            return
        self._known[uid] = found
        if not found:
            del self._known[uid]
        counts = Counter(label.partition("/")[0] for labels in self._known.values() for label in labels)
        for kind in {kind.name for kind in OPENING} | counts.keys():
            self.context.metrics.foreign_objects.labels(kind).set(counts[kind])

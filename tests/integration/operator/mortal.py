"""An operator that dies: real servers behind it, and a process that ends right before its n-th change of anything.

Reads are not counted: a process that dies at a read has done what one has done that dies before its next change.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from prometheus_client import CollectorRegistry

from dreamhub.errors import DreamHubError
from dreamhub_operator.children import Children
from dreamhub_operator.context import Context
from dreamhub_operator.metrics import Metrics
from dreamhub_operator.reconcile.foreign import ForeignObjects
from dreamhub_operator.reconcile.tenant import TenantReconciler
from dreamhub_operator.reconcile.tenant_deletion import delete_tenant
from dreamhub_operator.reconcile.tenant_look import TenantLook
from dreamhub_operator.reconcile.tenant_stores import TenantStores
from dreamhub_operator.service import open_vault
from dreamhub_operator.watched import Watched
from tests.integration.operator.control_plane import Api
from tests.integration.operator.deployment import TENANTS, condition
from tests.integration.operator.test_deletion import CONTENT

CHANGES = frozenset(
    {
        *("apply", "create", "patch", "replace", "delete"),
        *("claim", "provision", "set_login", "end_login", "erase", "release"),
        *("set_user", "delete_user", "delete_keys", "delete_all"),
    }
)
STEPS = 60
"""More than any life takes: a test that reaches it goes round in circles."""


class DeathError(BaseException):
    """The process is gone. Nobody catches it, as nobody catches SIGKILL."""


@dataclass
class Fate:
    """Counts changes, and ends the process at one of them."""

    at: int = 0
    """0 for never."""
    changes: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    """What was refused or did not answer, and was tried again."""

    def wrap(self, target: Any) -> Any:
        return _Mortal(target, self)

    def meet(self, change: str) -> None:
        self.changes.append(change)
        if len(self.changes) == self.at:
            raise DeathError(f"before change {self.at}: {change}")


class _Mortal:
    def __init__(self, target: Any, fate: Fate) -> None:
        self._target = target
        self._fate = fate

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._target, name)
        return self._mortal(name, attribute) if name in CHANGES else attribute

    def _mortal(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        async def call(*arguments: Any, **options: Any) -> Any:
            self._fate.meet(f"{type(self._target).__name__}.{name}")
            return await method(*arguments, **options)

        return call


@dataclass(frozen=True)
class World:
    """The servers, and what a process opens at its start."""

    api: Api
    context: Context

    async def live(self, name: str, fate: Fate) -> None:
        """One process, from its start until the Tenant is as it should be, or gone. Raises DeathError."""
        context = replace(
            self.context,
            cluster=fate.wrap(self.context.cluster),
            database=fate.wrap(self.context.database),
            cache=fate.wrap(self.context.cache),
            objects=fate.wrap(self.context.objects),
            metrics=Metrics(CollectorRegistry()),
            watched=Watched(),
            children=Children(),
        )
        vault = open_vault(context)
        look = TenantLook(context, vault, TenantStores(context))
        reconciler = TenantReconciler(context, vault, look, ForeignObjects(context))
        for _ in range(STEPS):
            status, body = await self.api.call("GET", f"{TENANTS}/{name}")
            if status == 404 or await self._is_done(body):
                return
            context.watched.put_tenant(body)
            tenant = context.watched.tenants[body["metadata"]["uid"]]
            try:
                if tenant.metadata.deletion_timestamp is None:
                    await reconciler.reconcile(tenant)
                else:
                    await delete_tenant(context, vault, tenant)
                    await self.control_namespace(name)
            except DreamHubError as error:
                fate.failures.append(error.message)
        raise AssertionError(f"tenant {name} is not done after {STEPS} steps: {fate} {body.get('status')}")

    async def _is_done(self, body: dict[str, Any]) -> bool:
        ready = condition(body, "Ready")
        is_current = body.get("status", {}).get("observedGeneration") == body["metadata"]["generation"]
        return "deletionTimestamp" not in body["metadata"] and is_current and ready.get("status") == "True"

    async def outlive(self, name: str, at: int) -> bool:
        """A process that dies there, and one after it that does not. False: it was done before that."""
        fate = Fate(at)
        try:
            await self.live(name, fate)
        except DeathError:
            await self.live(name, Fate())
            return True
        return False

    async def control_namespace(self, name: str) -> None:
        """The namespace controller's part: content, then the namespace itself."""
        path = f"/api/v1/namespaces/dh-{name}"
        status, body = await self.api.call("GET", path)
        if status == 200 and body["metadata"].get("deletionTimestamp"):
            for collection in CONTENT:
                await self.api.ok("DELETE", collection.format(f"dh-{name}"))
            body["spec"]["finalizers"] = []
            await self.api.ok("PUT", f"{path}/finalize", body)

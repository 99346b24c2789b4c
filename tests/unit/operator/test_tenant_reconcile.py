"""What one reconcile of a Tenant tells, when somebody else writes to the Tenant at the same moment."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from prometheus_client import CollectorRegistry

from dreamhub.crd.tenant import Tenant
from dreamhub.errors import ConflictError
from dreamhub_operator.metrics import Metrics
from dreamhub_operator.reconcile.tenant import TenantReconciler
from dreamhub_operator.reconcile.tenant_status import Correction, Report
from dreamhub_operator.watched import Watched
from tests.unit.operator.builders import NOW
from tests.unit.operator.test_watched import tenant as tenant_body

SET_BACK = Correction("ServiceAccount/worker", ("the whole object",), None)


class Cluster:
    """Refuses the first status, as one that was read before somebody changed the Tenant."""

    def __init__(self) -> None:
        self.statuses: list[dict[str, Any]] = []
        self.told: list[str] = []

    async def patch(self, _key: object, changes: dict[str, Any], *, subresource: str) -> dict[str, Any]:
        self.statuses.append(changes[subresource])
        if len(self.statuses) == 1:
            raise ConflictError("the object has been modified")
        return tenant_body("9")

    async def create(self, manifest: dict[str, Any]) -> None:
        self.told.append(manifest["reason"])


class Peaceful:
    """Nobody else's objects."""

    def find(self, _tenant: Tenant) -> tuple[str, ...]:
        return ()

    async def tell(self, _tenant: Tenant, _found: tuple[str, ...]) -> None:
        """Nothing to tell."""


async def test_what_was_set_back_is_told_with_the_next_status(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster, found = Cluster(), [[SET_BACK], []]
    context = SimpleNamespace(
        cluster=cluster,
        metrics=Metrics(CollectorRegistry()),
        watched=Watched(),
        now=lambda: NOW,
        settings=SimpleNamespace(drift_seconds=1),
    )

    async def converge(_self: object, tenant: Tenant, report: Report) -> Tenant:
        report.corrections += found.pop(0)
        return tenant

    monkeypatch.setattr(TenantReconciler, "_converge", converge)
    look = SimpleNamespace(known=1)
    reconciler = TenantReconciler(cast("Any", context), cast("Any", None), cast("Any", look), cast("Any", Peaceful()))
    tenant = Tenant.model_validate(tenant_body())
    with pytest.raises(ConflictError):
        await reconciler.reconcile(tenant)
    assert "DriftCorrected" not in cluster.told
    await reconciler.reconcile(tenant)
    assert cluster.statuses[1]["drift"]["lastObject"] == SET_BACK.label
    assert cluster.told.count("DriftCorrected") == 1
    assert reconciler.untold == {}

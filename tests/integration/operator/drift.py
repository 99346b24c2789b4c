"""What is told of drift: in a Tenant's status, in metrics, by Events."""

from dataclasses import dataclass
from typing import Any

from tests.integration.operator.control_plane import Api
from tests.integration.operator.deployment import TENANTS, OperatorProcess, condition, eventually, ready_tenant

TENANT = "adrift"


async def ensure_tenant(api: Api) -> None:
    """One for all modules."""
    status, _ = await api.call("GET", f"{TENANTS}/{TENANT}")
    if status != 200:
        await ready_tenant(api, TENANT)


@dataclass(frozen=True)
class Witness:
    """What was told of drift before, to see what is told of the next."""

    api: Api
    operator: OperatorProcess
    counted: float
    events: int

    async def expect(self, label: str, *fields: str) -> None:
        """Counted in the status and the metrics, with an Event that names the object and the fields."""

        async def told() -> bool:
            drift = await read_drift(self.api)
            new = [text for text in (await _read_events(self.api))[self.events :] if text.startswith(f"{label}: ")]
            metric = await _count_corrections(self.operator, label.partition("/")[0])
            named = any(all(field in text for field in fields) for text in new)
            return bool(drift.get("corrected", 0) > 0 and named and metric > self.counted)

        await eventually(told, f"drift of {label} told with {fields}", 60)


async def read_drift(api: Api) -> dict[str, Any]:
    drift: dict[str, Any] = (await api.ok("GET", f"{TENANTS}/{TENANT}"))["status"].get("drift", {})
    return drift


async def _read_events(api: Api) -> list[str]:
    """Messages about drift of the tenant, the oldest first."""
    items = (await api.ok("GET", "/api/v1/namespaces/default/events"))["items"]
    ours = [e for e in items if e["reason"] == "DriftCorrected" and e["involvedObject"]["name"] == TENANT]
    return [event["message"] for event in sorted(ours, key=lambda e: int(e["metadata"]["resourceVersion"]))]


async def _count_corrections(operator: OperatorProcess, kind: str) -> float:
    wanted = f'dreamhub_drift_corrected_total{{kind="{kind}"}}'
    lines = (await operator.fetch("/metrics")).splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(wanted))


async def watch_drift(api: Api, operator: OperatorProcess, kind: str) -> Witness:
    """Once the Tenant is whole: what is missing of one that is being mended still is made, and not told as drift."""

    async def whole() -> bool:
        return condition(await api.ok("GET", f"{TENANTS}/{TENANT}"), "Ready").get("status") == "True"

    await eventually(whole, f"tenant {TENANT} Ready")
    return Witness(api, operator, await _count_corrections(operator, kind), len(await _read_events(api)))

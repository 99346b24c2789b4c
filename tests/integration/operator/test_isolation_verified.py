"""The operator with verification switched on makes the canary by its own rights and says what it cannot prove yet."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dreamhub.crd.ingest_job import IngestReason
from dreamhub.names import CANARY_TENANT
from tests.integration.operator.control_plane import Api
from tests.integration.operator.deployment import (
    TENANTS,
    OperatorProcess,
    condition,
    eventually,
    ready_tenant,
    tenant_manifest,
)
from tests.integration.operator.kubelet import NOW, jobs_path
from tests.integration.operator.test_ingest_job import INLINE, create, path_of, wait_for, wait_for_job
from tests.integration.servers import pick_port


@pytest.fixture
def verifying(
    operator_process: OperatorProcess, operator_environment: dict[str, str], tmp_path: Path
) -> Iterator[OperatorProcess]:
    """In place of the one that other tests share."""
    if operator_process.is_running():
        operator_process.stop()
    port = pick_port()
    isolation = '{"enabled": true, "apiUrl": "http://127.0.0.1:1"}'
    settings = {"DREAMHUB_METRICS_PORT": str(port), "DREAMHUB_ISOLATION": isolation}
    process = OperatorProcess({**operator_environment, **settings}, tmp_path / "operator.log", port)
    process.start()
    yield process
    assert process.stop() == 0
    assert "Traceback" not in process.log.read_text()


async def test_canary_is_made_and_an_api_that_is_away_proves_nothing(api: Api, verifying: OperatorProcess) -> None:
    await ready_tenant(api, "probed")

    async def stated() -> dict[str, Any] | None:
        body = await api.ok("GET", f"{TENANTS}/probed")
        found = condition(body, "IsolationVerified")
        return found if found.get("reason") == "ProbesInconclusive" else None

    found = await eventually(stated, "tried without an API", 120)
    assert found["status"] == "Unknown"
    assert "the API does not answer" in found["message"]

    async def canary() -> bool:
        body = await api.ok("GET", f"{TENANTS}/{CANARY_TENANT}")
        told = condition(body, "IsolationVerified").get("message", "")
        return condition(body, "Ready").get("status") == "True" and "holds nobody's data" in told

    await eventually(canary, "the canary is ready and told as such")
    metrics = await verifying.fetch("/metrics")
    assert 'dreamhub_isolation_tenants{status="False"} 0.0' in metrics
    assert 'dreamhub_isolation_probe_failures_total{probe="sql"} 0.0' in metrics
    status, answer = await api.call("POST", f"{TENANTS}?dryRun=All", tenant_manifest(CANARY_TENANT))
    assert status in {403, 422}, "nobody else makes a Tenant of that name"
    assert "reserved for the operator" in answer["message"]
    await wait_for_job(api, await create(api, "unproven", "probed", **INLINE))
    await let_breach_stop_jobs(api, "probed")


async def let_breach_stop_jobs(api: Api, tenant: str) -> None:
    """An earlier round found a leak, and one that proves nothing takes that not back."""
    await eventually(lambda: tell_breach(api, tenant), "the breach is told")
    kubelet = await create(api, "held", tenant, **INLINE, suspend=True)
    body = await wait_for(api, "held", IngestReason.ISOLATION_FAILED, tenant)
    assert "SELECT on documents got through" in body["status"]["message"]
    order = await api.merge(path_of("held", tenant), {"spec": {"suspend": False}})

    async def looked() -> dict[str, Any] | None:
        found: dict[str, Any] = (await api.ok("GET", path_of("held", tenant)))["status"]
        return found if found["observedGeneration"] == order["metadata"]["generation"] else None

    status = await eventually(looked, "the operator knows that it may begin as far as its author goes")
    assert (status["reason"], status.get("jobName")) == ("IsolationFailed", None)
    assert (await api.call("GET", jobs_path(tenant, kubelet.job)))[0] == 404


async def tell_breach(api: Api, tenant: str) -> bool:
    """Whether it could be written: the operator writes the same status."""
    body = await api.ok("GET", f"{TENANTS}/{tenant}")
    told = {**condition(body, "IsolationVerified"), "status": "False", "reason": "ProbeFailed"}
    told["message"] = "SELECT on documents got through"
    others = [one for one in body["status"]["conditions"] if one["type"] != told["type"]]
    isolation = {"checkedTime": NOW, "peer": CANARY_TENANT, "probes": 1, "failed": 1}
    patch = {
        "metadata": {"resourceVersion": body["metadata"]["resourceVersion"]},
        "status": {"conditions": [*others, told], "isolation": isolation},
    }
    path = f"{TENANTS}/{tenant}/status"
    return (await api.call("PATCH", path, patch, "application/merge-patch+json"))[0] == 200

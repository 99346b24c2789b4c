"""The operator with verification switched on makes the canary by its own rights and says what it cannot prove yet."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

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
    canary = await api.ok("GET", f"{TENANTS}/{CANARY_TENANT}")
    assert condition(canary, "Ready")["status"] == "True"
    assert "holds nobody's data" in condition(canary, "IsolationVerified")["message"]
    metrics = await verifying.fetch("/metrics")
    assert 'dreamhub_isolation_tenants{status="False"} 0.0' in metrics
    assert 'dreamhub_isolation_probe_failures_total{probe="sql"} 0.0' in metrics
    status, answer = await api.call("POST", f"{TENANTS}?dryRun=All", tenant_manifest(CANARY_TENANT))
    assert status in {403, 422}, "nobody else makes a Tenant of that name"
    assert "reserved for the operator" in answer["message"]

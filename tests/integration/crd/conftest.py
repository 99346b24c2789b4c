"""The API server of the operator's tests."""

import pytest_asyncio

from dreamhub.names import TENANT_LABEL
from tests.integration.operator.conftest import api, control_plane
from tests.integration.operator.control_plane import Api

__all__ = ["api", "control_plane"]


@pytest_asyncio.fixture(scope="session")
async def orders(api: Api) -> str:
    """Where IngestJobs may be made: they are refused outside of tenants' namespaces."""
    metadata = {"name": "dh-orders", "labels": {TENANT_LABEL: "orders"}}
    await api.ok("POST", "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    return "/apis/dreamhub.dev/v1alpha1/namespaces/dh-orders/ingestjobs"

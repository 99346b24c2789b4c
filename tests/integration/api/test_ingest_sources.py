"""Every source through HTTP: what a caller orders is what the cluster holds."""

from typing import Any

import pytest

from tests.integration.api.platform import Caller, Cluster, Tenant
from tests.integration.ingest_sources import REFUSED, SOURCES


def _part(wanted: Any, held: Any) -> bool:
    """Whether `held` says all that `wanted` does; it may hold defaults beside."""
    if isinstance(wanted, dict):
        return isinstance(held, dict) and all(_part(value, held.get(name)) for name, value in wanted.items())
    return bool(wanted == held)


@pytest.mark.parametrize("name", SOURCES)
async def test_a_source_becomes_a_resource(caller: Caller, cluster: Cluster, acme: Tenant, name: str) -> None:
    status, job = await caller.call("POST", "/ingest-jobs", json={"name": name, "source": SOURCES[name]})
    assert status == 201, job
    held = (await cluster.fetch_job(acme.name, name))["spec"]["source"]
    assert list(held) == list(SOURCES[name])
    assert _part(SOURCES[name], held)
    assert _part(SOURCES[name], job["source"])


@pytest.mark.parametrize("case", REFUSED)
async def test_what_makes_no_sense_is_refused(caller: Caller, case: str) -> None:
    source, word = REFUSED[case]
    status, problem = await caller.call("POST", "/ingest-jobs", json={"source": source})
    assert status == 400, problem
    assert word in str(problem)

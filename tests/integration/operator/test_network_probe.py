"""Probe Jobs on a real API server under the operator's own rights; the kubelet's part is played here.

The connectors' program is the real one: what it reaches from this process decides the verdict.
"""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from dreamhub.crd.tenant import Tenant
from dreamhub.names import OWNER_UID_LABEL, TENANT_LABEL, namespace
from dreamhub_operator.cluster import Cluster
from dreamhub_operator.desired.job import WorkerTemplate
from dreamhub_operator.desired.namespace import build_operator_binding
from dreamhub_operator.isolation import network
from dreamhub_operator.isolation.network import NetworkProbe
from dreamhub_operator.isolation.network_jobs import PORT, PROBE_LABEL, Target
from dreamhub_operator.isolation.outcome import Probe, tally
from dreamhub_worker import probe
from tests.integration.operator.control_plane import Api, ControlPlane
from tests.integration.operator.deployment import ACCOUNT, SYSTEM, Stores
from tests.integration.probes.sides import leaks

WORKER = WorkerTemplate("dreamhub/worker:test", "test", {}, "IfNotPresent", (), 1, "INFO", 60)
POD_IP = "127.0.0.77"
"""Of every pod: an address of this machine where nobody listens unless a test does."""
CLOSED = "127.0.0.78"

Tenants = tuple[Tenant, Tenant]


@pytest_asyncio.fixture
async def cluster(control_plane: ControlPlane, operator_token: str) -> AsyncIterator[Cluster]:
    """Requests as the operator's service account."""
    headers = {"Authorization": f"Bearer {operator_token}"}
    connector = aiohttp.TCPConnector(ssl=False)
    async with aiohttp.ClientSession(headers=headers, connector=connector) as session:
        yield Cluster(control_plane.url, session)


@pytest_asyncio.fixture
async def tenants(api: Api) -> Tenants:
    """Two, as far as namespaces and the operator's rights in them go."""
    made = [Tenant.model_validate({"metadata": {"name": f"n-{secrets.token_hex(4)}", "uid": "u"}}) for _ in range(2)]
    for tenant in made:
        name = tenant.metadata.name
        labels = {TENANT_LABEL: name, OWNER_UID_LABEL: "u"}
        space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace(name), "labels": labels}}
        await api.apply(f"/api/v1/namespaces/{namespace(name)}", space)
        subject = {"kind": "ServiceAccount", "name": ACCOUNT, "namespace": SYSTEM}
        binding = build_operator_binding(tenant, subject)
        path = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace(name)}/rolebindings"
        await api.apply(f"{path}/{binding['metadata']['name']}", binding)
    return made[0], made[1]


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine takes its time; a wall of this network refuses at once."""
    monkeypatch.setattr(network, "STAGE_SECONDS", 300.0)
    monkeypatch.setattr(network, "CONNECT_SECONDS", 60.0)
    monkeypatch.setattr(probe, "TRY_SECONDS", 60.0)


@asynccontextmanager
async def kubelet(api: Api, tenants: Tenants) -> AsyncIterator[None]:
    """Makes the pods of probe Jobs: listeners become ready, connectors run."""
    task = asyncio.create_task(_run_pods(api, tenants))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _run_pods(api: Api, tenants: Tenants) -> None:
    known: set[str] = set()
    while True:
        for tenant in tenants:
            for job in await jobs_of(api, tenant):
                if job["metadata"]["uid"] not in known:
                    known.add(job["metadata"]["uid"])
                    await _run_pod(api, job)
        await asyncio.sleep(0.05)


async def _run_pod(api: Api, job: dict[str, Any]) -> None:
    space, name = job["metadata"]["namespace"], f"{job['metadata']['name']}-x"
    template = job["spec"]["template"]
    metadata = {"name": name, "labels": template["metadata"]["labels"]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}
    await api.ok("POST", f"/api/v1/namespaces/{space}/pods", pod)
    role, *arguments = template["spec"]["containers"][0]["args"]
    state: dict[str, Any] = {"running": {}}
    if role == "connect":
        found = await asyncio.to_thread(probe.connect, arguments[0], arguments[1:])
        state = {"terminated": {"exitCode": 0, "message": json.dumps(found)}}
    container = {"name": "probe", "image": "x", "imageID": "", "restartCount": 0}
    status = {"phase": "Running", "podIP": POD_IP, "podIPs": [{"ip": POD_IP}]}
    status |= {"containerStatuses": [{**container, "ready": role == "listen", "state": state}]}
    await api.merge(f"/api/v1/namespaces/{space}/pods/{name}/status", {"status": status})


async def jobs_of(api: Api, tenant: Tenant) -> list[dict[str, Any]]:
    path = f"/apis/batch/v1/namespaces/{namespace(tenant.metadata.name)}/jobs"
    found: list[dict[str, Any]] = (await api.ok("GET", f"{path}?labelSelector={PROBE_LABEL}"))["items"]
    return [job for job in found if "deletionTimestamp" not in job["metadata"]]


def build(cluster: Cluster, stores: Stores, *, control: int | None = None) -> NetworkProbe:
    database = Target("the database", "127.0.0.1", control or stores.database.server.port)
    return NetworkProbe(cluster, WORKER, database, [Target("the operator", CLOSED, 9090)])


def names(probes: list[Probe]) -> set[str]:
    return {item.name for item in probes}


async def test_closed_network_passes_and_no_job_stays(
    api: Api, cluster: Cluster, stores: Stores, tenants: Tenants
) -> None:
    async with kubelet(api, tenants):
        probes = await build(cluster, stores).run(tenants)
    found = tally(probes)
    assert (found.verdict, found.detail) == ("Verified", "")
    one, two = (tenant.metadata.name for tenant in tenants)
    assert names(probes) == {
        f"operator to a pod of {one}",
        f"operator to a pod of {two}",
        f"pod of {one} to a pod of {two}",
        f"pod of {two} to a pod of {one}",
        f"pod of {one} to the operator",
        f"pod of {two} to the operator",
    }
    assert [await jobs_of(api, tenant) for tenant in tenants] == [[], []]


async def test_open_network_is_reported(api: Api, cluster: Cluster, stores: Stores, tenants: Tenants) -> None:
    listener = await asyncio.start_server(lambda _, writer: writer.close(), POD_IP, PORT)
    async with listener, kubelet(api, tenants):
        found = leaks(await build(cluster, stores).run(tenants))
    one, two = (tenant.metadata.name for tenant in tenants)
    assert f"pod of {one} to a pod of {two}" in found
    assert f"operator to a pod of {one}" in found
    assert f"pod of {one} to the operator" not in found
    assert [await jobs_of(api, tenant) for tenant in tenants] == [[], []]


async def test_pods_that_reach_nothing_prove_nothing(
    api: Api, cluster: Cluster, stores: Stores, tenants: Tenants, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "CONTROL_SECONDS", 0.0)
    async with kubelet(api, tenants):
        found = tally(await build(cluster, stores, control=1).run(tenants))
    assert found.verdict == "Inconclusive"
    assert "could not reach the database either" in found.detail


async def test_pods_that_do_not_come_prove_nothing_and_no_job_stays(
    api: Api, cluster: Cluster, stores: Stores, tenants: Tenants, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network, "STAGE_SECONDS", 1.0)
    found = tally(await build(cluster, stores).run(tenants))
    assert found.verdict == "Inconclusive"
    assert "the namespace's quota may be used up" in found.detail
    assert [await jobs_of(api, tenant) for tenant in tenants] == [[], []]


async def test_operator_gets_tokens_of_owners_alone(api: Api, cluster: Cluster, tenants: Tenants) -> None:
    space = namespace(tenants[0].metadata.name)
    for account in ("owner", "worker"):
        body = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": account}}
        await api.apply(f"/api/v1/namespaces/{space}/serviceaccounts/{account}", body)
    assert (await cluster.create_token("owner", space, "dreamhub", 600)).count(".") == 2
    with pytest.raises(Exception, match="forbidden"):
        await cluster.create_token("worker", space, "dreamhub", 600)

"""A tenant's pods reach what workers need and nothing else; a tenant's database login sees no other's schema."""

import base64
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest
import pytest_asyncio

from dreamhub.names import CREDENTIALS_SECRET, database_role
from tests.e2e.kube import SYSTEM, Json, eventually
from tests.e2e.tenants import Tenant

CONNECT = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=3).close()
    print("open")
except OSError as error:
    print("closed", error)
"""
QUERY = """
import asyncio, asyncpg, json, sys
async def main():
    try:
        connection = await asyncpg.connect(sys.argv[1])
        print(json.dumps([list(row) for row in await connection.fetch(sys.argv[2])], default=str))
    except asyncpg.PostgresError as error:
        print(json.dumps(type(error).__name__))
asyncio.run(main())
"""


@dataclass(frozen=True)
class Pod:
    """A pod of a tenant's namespace that runs the worker's image and waits."""

    tenant: Tenant
    name: str

    async def python(self, program: str, *arguments: str) -> str:
        return await self.tenant.kube.ask("exec", self.name, "--", "python3", "-c", program, *arguments)

    async def reaches(self, host: str, port: int) -> bool:
        return (await self.python(CONNECT, host, str(port))).startswith("open")


def pod_manifest(name: str, image: str, labels: dict[str, str]) -> Json:
    container = {
        "name": "probe",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-c", "import time; time.sleep(3600)"],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "containers": [container],
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 0,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 65532,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
        },
    }


async def start_pod(tenant: Tenant, name: str, labels: dict[str, str]) -> Pod:
    operator = await tenant.kube.within(SYSTEM).get("deployment", "dreamhub-operator")
    environment = operator["spec"]["template"]["spec"]["containers"][0]["env"]
    image = next(item["value"] for item in environment if item["name"] == "DREAMHUB_WORKER_IMAGE")
    await tenant.kube.apply(pod_manifest(name, image, labels))
    await tenant.kube.wait_condition(f"pod {name}", "Ready", seconds=60)
    return Pod(tenant, name)


@pytest_asyncio.fixture(scope="module")
async def worker(tenant: Tenant) -> AsyncIterator[Pod]:
    pod = await start_pod(tenant, "probe-worker", {"app.kubernetes.io/component": "worker"})
    yield pod
    await tenant.kube.ask("delete", "pod", pod.name, "--wait=false")


@pytest_asyncio.fixture(scope="module")
async def stranger(tenant: Tenant) -> AsyncIterator[Pod]:
    pod = await start_pod(tenant, "probe-stranger", {})
    yield pod
    await tenant.kube.ask("delete", "pod", pod.name, "--wait=false")


async def address(tenant: Tenant, namespace: str, service: str) -> tuple[str, int]:
    """A service's address without DNS, so that a closed port cannot hide behind an unresolved name."""
    found = (await tenant.kube.within(namespace).get("service", service))["spec"]
    return found["clusterIP"], found["ports"][0]["port"]


@pytest.mark.parametrize("service", ["dreamhub-postgres", "dreamhub-redis", "dreamhub-s3"])
async def test_worker_reaches_the_stores_and_a_stranger_does_not(worker: Pod, stranger: Pod, service: str) -> None:
    host, port = await address(worker.tenant, SYSTEM, service)

    async def opened() -> bool:
        return await worker.reaches(host, port)

    await eventually(opened, 90, f"the worker to reach {service}")
    assert not await stranger.reaches(host, port)


async def test_nobody_reaches_the_kubernetes_api(worker: Pod, stranger: Pod) -> None:
    host, port = await address(worker.tenant, "default", "kubernetes")
    assert not await worker.reaches(host, port)
    assert not await stranger.reaches(host, port)


async def test_nobody_reaches_our_api_server_or_another_tenant(worker: Pod, stranger: Pod, rival: Tenant) -> None:
    host, port = await address(worker.tenant, SYSTEM, "dreamhub-api")
    assert not await worker.reaches(host, port)
    neighbour = await start_pod(rival, "probe-neighbour", {"app.kubernetes.io/component": "worker"})
    found = await rival.kube.get("pod", neighbour.name)
    for pod in (worker, stranger):
        assert not await pod.reaches(found["status"]["podIP"], 8000)
    await rival.kube.ask("delete", "pod", neighbour.name, "--wait=false")


async def test_privileged_pod_is_refused(tenant: Tenant) -> None:
    manifest = pod_manifest("root", "x", {})
    manifest["spec"]["securityContext"]["runAsUser"] = 0
    manifest["spec"]["containers"][0]["securityContext"] = {"privileged": True}
    words = await tenant.kube.refuse(manifest)
    assert "violates PodSecurity" in words


async def test_database_login_of_a_tenant_sees_its_own_rows_only(worker: Pod, tenant: Tenant, rival: Tenant) -> None:
    await tenant.add("mine.txt", "A text of the first tenant.")
    await rival.add("theirs.txt", "A text of the second tenant.")
    secret = await tenant.kube.get("secret", CREDENTIALS_SECRET)
    url = base64.b64decode(secret["data"]["database-url"]).decode()

    async def query(statement: str) -> object:
        return json.loads(await worker.python(QUERY, url, statement))

    assert await query("select count(*) > 0 from chunks") == [[True]]
    assert await query("select distinct tenant_id from chunks") == [[tenant.name]]
    schema = database_role(rival.name)
    assert await query(f'select count(*) from "{schema}".chunks') == "InsufficientPrivilegeError"
    assert await query("select count(*) from dreamhub.chunks") == "InsufficientPrivilegeError"
    assert await query(f'set role "{schema}"') == "InsufficientPrivilegeError"


async def test_no_other_database_of_the_server_is_open_to_a_tenant(worker: Pod, tenant: Tenant) -> None:
    secret = await tenant.kube.get("secret", CREDENTIALS_SECRET)
    own = base64.b64decode(secret["data"]["database-url"]).decode()
    assert json.loads(await worker.python(QUERY, own, "select current_database()")) == [["dreamhub"]]
    for other in ("postgres", "template1"):
        url = urlsplit(own)._replace(path=f"/{other}").geturl()
        answer = await worker.python(QUERY, url, "select current_database()")
        assert json.loads(answer) == "InvalidAuthorizationSpecificationError", other


async def test_credentials_are_not_for_owners_and_hold_no_foreign_key(tenant: Tenant, rival: Tenant) -> None:
    secrets = [await item.kube.get("secret", CREDENTIALS_SECRET) for item in (tenant, rival)]
    first, second = ({key: base64.b64decode(value) for key, value in item["data"].items()} for item in secrets)
    assert set(first) == {"database-url", "redis-url", "keys.json"}
    assert all(first[key] != second[key] for key in first)

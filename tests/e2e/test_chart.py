"""The release as a platform engineer meets it: ready, confined, tested, upgraded, rolled back, removed, made again."""

import base64
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.e2e.kube import SYSTEM, Kube, eventually
from tests.e2e.releases import BESIDE, Release, images_of
from tests.e2e.tenants import new_name

NAME = "second"
PREFIX = f"{NAME}-dreamhub"
POSTGRES = f"{PREFIX}-postgres"
COMPONENT = "app.kubernetes.io/component"
CONNECT = "import socket,sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=2)"


async def remove_namespace(kube: Kube, name: str) -> None:
    await kube.ask("delete", "namespace", name, "--wait=false")


async def make_namespace(kube: Kube, name: str, **labels: str) -> Kube:
    metadata = {"name": name, "labels": {"pod-security.kubernetes.io/enforce": "restricted", **labels}}
    await kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    return kube.within(name)


@pytest_asyncio.fixture
async def installed(kube: Kube, server: str) -> Release:
    """The release that all other tests use."""
    return Release(kube.within(SYSTEM), "dreamhub")


@pytest_asyncio.fixture
async def second(kube: Kube, installed: Release) -> AsyncIterator[Release]:
    """A release of its own with the same images, in a namespace where "restricted" is enforced."""
    name = new_name("chart")
    within = await make_namespace(kube, name)
    yield Release(within, NAME, BESIDE | images_of(await installed.user_values()))
    await Release(within, NAME).helm("uninstall", NAME)
    await remove_namespace(kube, name)


async def pod_uid(kube: Kube, component: str) -> str:
    """UID of the one ready pod of a component."""

    async def only() -> str | None:
        pods = await kube.items("pods", "--selector", f"{COMPONENT}={component}")
        living = [pod["metadata"] for pod in pods if "deletionTimestamp" not in pod["metadata"]]
        return living[0]["uid"] if len(living) == 1 else None

    return await eventually(only, 60, f"one pod of {component}")


async def password(kube: Kube) -> str:
    secret = await kube.get("secret", POSTGRES)
    return base64.b64decode(secret["data"]["api-password"]).decode()


async def migrated_at(kube: Kube) -> str:
    """When the first migration was applied: tells one database from another."""
    sql = "select applied_at from dreamhub.schema_migrations order by version limit 1"
    return await kube.ask("exec", f"{POSTGRES}-0", "--", "psql", "--tuples-only", "--command", sql)


async def test_every_pod_of_the_release_is_ready_where_restricted_is_enforced(kube: Kube, installed: Release) -> None:
    namespace = await kube.get("namespace", installed.kube.namespace)
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    selector = f"app.kubernetes.io/instance={installed.name},{COMPONENT}!=migrate"
    await installed.kube.ask("wait", "pods", "--selector", selector, "--for=condition=Ready", "--timeout=60s")
    pods = await installed.kube.items("pods", "--selector", selector)
    assert {pod["metadata"]["labels"][COMPONENT] for pod in pods} == {
        "operator", "api-server", "postgres", "redis", "s3",
    }  # fmt: skip


async def test_helm_test_passes(installed: Release) -> None:
    out = await installed.ask("test", installed.name, "--timeout", "120s")
    assert "Phase:          Succeeded" in out


def prober(image: str) -> dict[str, Any]:
    security = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    container = {
        "name": "prober",
        "image": image,
        "command": ["/opt/venv/bin/python", "-c", "import time; time.sleep(600)"],
        "securityContext": security,
    }
    pod_security = {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}}
    spec = {"containers": [container], "securityContext": pod_security, "terminationGracePeriodSeconds": 0}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "prober"}, "spec": spec}


async def reachable(kube: Kube, port: int, host: str) -> bool:
    command = ("/opt/venv/bin/python", "-c", CONNECT, f"{host}.{SYSTEM}.svc", str(port))
    return (await kube.run("exec", "prober", "--", *command)).code == 0


async def test_servers_let_tenants_in_and_nobody_else(kube: Kube, installed: Release) -> None:
    image = (await installed.kube.get("deployment", "dreamhub-api-server"))["spec"]["template"]["spec"]["containers"]
    servers = (("dreamhub-postgres", 5432), ("dreamhub-redis", 6379), ("dreamhub-s3", 8333))
    name = new_name("prober")
    try:
        stranger = await make_namespace(kube, name)
        await stranger.apply(prober(image[0]["image"]))
        await stranger.ask("wait", "pod/prober", "--for=condition=Ready", "--timeout=60s")

        async def reaches_api() -> bool:
            return await reachable(stranger, 80, "dreamhub-api")

        await eventually(reaches_api, 60, "the API to answer: it is for everyone")
        for host, port in servers:
            assert not await reachable(stranger, port, host), host
        await make_namespace(kube, name, **{"dreamhub.dev/tenant": "prober"})
        for host, port in servers:

            async def let_in(host: str = host, port: int = port) -> bool:
                return await reachable(stranger, port, host)

            await eventually(let_in, 60, f"{host} to let a tenant's pod in")
    finally:
        await remove_namespace(kube, name)


@pytest.mark.timeout(900)
async def test_a_release_lives_through_upgrade_rollback_rotation_and_removal(second: Release) -> None:
    kube = second.kube
    await second.upgrade()
    database, api, secret = await pod_uid(kube, "postgres"), await pod_uid(kube, "api-server"), await password(kube)

    await second.upgrade(logLevel="DEBUG")
    assert await pod_uid(kube, "api-server") != api, "the pod was not replaced"
    assert await pod_uid(kube, "postgres") == database, "the database was restarted for nothing"
    assert await password(kube) == secret

    await second.rollback()
    deployment = await kube.get("deployment", f"{PREFIX}-api-server")
    environment = deployment["spec"]["template"]["spec"]["containers"][0]["env"]
    assert {"name": "DREAMHUB_LOG_LEVEL", "value": "INFO"} in environment

    await kube.ask("delete", "secret", POSTGRES)
    await second.upgrade()
    assert await password(kube) != secret
    assert await pod_uid(kube, "postgres") != database, "the database runs with the old passwords"
    first_migration = await migrated_at(kube)

    await second.ask("uninstall", second.name, "--wait")
    claims = {claim["metadata"]["name"] for claim in await kube.items("pvc")}
    assert claims == {f"data-{PREFIX}-{part}-0" for part in ("postgres", "redis", "s3")}

    await second.upgrade()
    assert await migrated_at(kube) == first_migration, "another database"

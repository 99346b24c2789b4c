"""A tenant's network, each direction alone: the other side is a namespace that no policy closes.

Between two tenants' pods both walls stand, the one's way out and the other's way in, so that one of them could be gone
without anybody noticing.
"""

import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio

from tests.e2e.kube import Json, Kube, eventually
from tests.e2e.tenants import Tenant
from tests.e2e.test_isolation import CONNECT, pod_manifest, start_pod

SERVE = "import http.server as h; h.ThreadingHTTPServer(('', 8000), h.SimpleHTTPRequestHandler).serve_forever()"
WORKER = {"app.kubernetes.io/component": "worker"}


@dataclass(frozen=True)
class Place:
    """A pod that answers on port 8000 and tries others."""

    kube: Kube
    pod: str

    async def address(self) -> str:
        ip: str = (await self.kube.get("pod", self.pod))["status"]["podIP"]
        return ip

    async def reaches(self, host: str) -> bool:
        words = await self.kube.ask("exec", self.pod, "--", "python3", "-c", CONNECT, host, "8000")
        return words.startswith("open")


async def serve(kube: Kube, name: str, image: str) -> Place:
    manifest: Json = pod_manifest(name, image, WORKER)
    manifest["spec"]["containers"][0]["command"] = ["python3", "-c", SERVE]
    await kube.apply(manifest)
    await kube.wait_condition(f"pod {name}", "Ready", seconds=60)
    return Place(kube, name)


@pytest_asyncio.fixture(scope="module")
async def inside(tenant: Tenant) -> AsyncIterator[Place]:
    probe = await start_pod(tenant, "walls-image", {})
    image = (await tenant.kube.get("pod", probe.name))["spec"]["containers"][0]["image"]
    await tenant.kube.ask("delete", "pod", probe.name, "--wait=false")
    yield await serve(tenant.kube, "walls-inside", image)
    await tenant.kube.ask("delete", "pod", "walls-inside", "--wait=false")


@pytest_asyncio.fixture(scope="module")
async def outside(kube: Kube, inside: Place) -> AsyncIterator[tuple[Place, Place]]:
    """Two pods of an open namespace: they reach each other, so a closed port is a wall and no broken pod."""
    name = f"e2e-open-{uuid.uuid4().hex[:6]}"
    await kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    image = (await inside.kube.get("pod", inside.pod))["spec"]["containers"][0]["image"]
    space = kube.within(name)
    first, second = await serve(space, "first", image), await serve(space, "second", image)

    async def meet() -> bool:
        return await first.reaches(await second.address())

    await eventually(meet, 30, "two pods of an open namespace to meet")
    yield first, second
    await kube.ask("delete", "namespace", name, "--wait=false")


@pytest.mark.timeout(180)
async def test_nobody_gets_into_a_tenants_pod(inside: Place, outside: tuple[Place, Place]) -> None:
    """Ingress alone: the caller's way out is open."""
    assert not await outside[0].reaches(await inside.address())


@pytest.mark.timeout(180)
async def test_a_tenants_pod_gets_out_to_nobody(inside: Place, outside: tuple[Place, Place]) -> None:
    """Egress alone: the other's way in is open."""
    assert not await inside.reaches(await outside[1].address())

"""The published incident elsewhere: definitions deleted and made again, and every tenant's namespace went with them.

On a control plane of its own, because a definition takes all Tenants along.
"""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from functools import partial

import aiohttp
import pytest
import pytest_asyncio

from dreamhub.crd.definitions import DEFINITIONS, build_crd
from dreamhub.names import object_key
from dreamhub.storage.objects import ObjectStore
from tests.integration.operator.control_plane import (
    Api,
    ControlPlane,
    install_crds,
    start_control_plane,
    wait_ready,
)
from tests.integration.operator.deployment import (
    TENANTS,
    OperatorProcess,
    Stores,
    build_environment,
    create_token,
    eventually,
    install_rights,
    ready_tenant,
    tenant_manifest,
)
from tests.integration.operator.test_deletion import (
    count_documents,
    has_object,
    has_role,
    read_vault,
    wait_gone,
    wait_orphaned,
    wait_ready_again,
)
from tests.integration.operator.test_ingest_job import upload
from tests.integration.operator.test_tenant import read_credentials
from tests.integration.servers import pick_port

DEFINITION = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/tenants.dreamhub.dev"
PAIR = ("cut", "cut-2")


@pytest.fixture(scope="module")
def other_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    plane = start_control_plane(tmp_path_factory.mktemp("definition-plane"))
    yield plane
    plane.stop()


@pytest_asyncio.fixture(scope="module")
async def other_api(other_plane: ControlPlane) -> AsyncIterator[Api]:
    async with aiohttp.ClientSession() as session:
        api = Api(session, other_plane.url)
        await wait_ready(api, other_plane)
        await install_crds(api, [build_crd(definition) for definition in DEFINITIONS])
        await install_rights(api)
        yield api


@pytest_asyncio.fixture(scope="module")
async def other_operator(
    other_api: Api, other_plane: ControlPlane, stores: Stores, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[OperatorProcess]:
    folder, port = tmp_path_factory.mktemp("definition-operator"), pick_port()
    environment = build_environment(await create_token(other_api), other_plane, stores, folder)
    process = OperatorProcess({**environment, "DREAMHUB_METRICS_PORT": str(port)}, folder / "operator.log", port)
    process.start()
    yield process
    if process.is_running():
        process.stop()
    print(process.log.read_text()[-10000:])  # noqa: T201 - pytest shows it when a test has failed


@dataclass(frozen=True)
class Belongings:
    """What a tenant had before, and what must still be there."""

    api: Api
    stores: Stores
    objects: ObjectStore
    name: str
    uid: str
    namespace: str
    keys: dict[str, str]
    login: str

    async def check(self) -> None:
        namespace = (await self.api.ok("GET", f"/api/v1/namespaces/dh-{self.name}"))["metadata"]
        assert namespace["uid"] == self.namespace
        assert "deletionTimestamp" not in namespace
        assert namespace["labels"]["dreamhub.dev/owner-uid"] == self.uid
        assert await has_role(self.stores, self.name)
        assert await count_documents(self.stores, self.name) == 1
        assert await read_vault(self.api, self.name) == self.keys
        assert await has_object(self.objects, object_key(self.name, "ver_1"))
        assert (await read_credentials(self.api, self.name))["database-url"] == self.login


async def make_tenant(api: Api, stores: Stores, objects: ObjectStore, name: str) -> Belongings:
    """With a document, an object and everything that goes under Erase."""
    tenant = await ready_tenant(api, name, deletionPolicy="Erase")
    await upload(api, name)
    await objects.put(object_key(name, "ver_1"), b"x")
    uid, namespace = tenant["metadata"]["uid"], tenant["status"]["namespace"]["uid"]
    login = (await read_credentials(api, name))["database-url"]
    return Belongings(api, stores, objects, name, uid, namespace, await read_vault(api, name), login)


async def test_a_definition_that_goes_takes_nothing_of_any_tenant_along(
    other_api: Api, other_operator: OperatorProcess, stores: Stores, object_store: ObjectStore
) -> None:
    api = other_api
    first, second = [await make_tenant(api, stores, object_store, name) for name in PAIR]
    await api.ok("DELETE", DEFINITION)
    for had in (first, second):
        message = await wait_orphaned(api, had.name, "DefinitionDeleted")
        assert "tenants.dreamhub.dev is being deleted" in message
        assert f"dreamhub.dev/adopt={had.uid}" in message
        await had.check()

    for had in (first, second):
        await api.merge(f"{TENANTS}/{had.name}", {"metadata": {"finalizers": None}})
    await eventually(partial(_is_gone, api), "the definition is gone")
    await install_crds(api, [build_crd(definition) for definition in DEFINITIONS])
    for had in (first, second):
        await eventually(partial(_create, api, had.name), "the definition is served")
        assert f"dreamhub.dev/adopt={had.uid}" in await wait_orphaned(api, had.name, "NamespaceForeign")
        await had.check()

    await api.ok("DELETE", f"{TENANTS}/{first.name}")
    await wait_gone(api, first.name)
    await first.check()
    await second.check()
    await api.merge(f"{TENANTS}/{second.name}", {"metadata": {"annotations": {"dreamhub.dev/adopt": second.uid}}})
    adopted = await wait_ready_again(api, second.name)
    assert adopted["status"]["namespace"]["uid"] == second.namespace
    assert await count_documents(stores, second.name) == 1
    assert (await read_vault(api, second.name))[f"{second.name}.owner"] != second.keys[f"{second.name}.owner"]


async def _is_gone(api: Api) -> bool:
    return (await api.call("GET", DEFINITION))[0] == 404


async def _create(api: Api, name: str) -> bool:
    """False while the API server still answers as if there were no such kind."""
    status, _ = await api.call("POST", TENANTS, tenant_manifest(name, deletionPolicy="Erase"))
    return status in (201, 409)

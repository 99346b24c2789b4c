"""The published incident elsewhere: definitions deleted and made again, and every tenant's namespace went with them.

On a control plane of its own, because a definition takes all Tenants along.
"""

from collections.abc import AsyncIterator, Iterator
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


async def make_tenant(api: Api, store: ObjectStore, name: str) -> str:
    """With a document, an object and everything that goes under Erase. Its UID."""
    tenant = await ready_tenant(api, name, deletionPolicy="Erase")
    await upload(api, name)
    await store.put(object_key(name, "ver_1"), b"x")
    uid: str = tenant["metadata"]["uid"]
    return uid


async def test_a_definition_that_goes_takes_nothing_of_any_tenant_along(
    other_api: Api, other_operator: OperatorProcess, stores: Stores, object_store: ObjectStore
) -> None:
    api = other_api
    uids = {name: await make_tenant(api, object_store, name) for name in PAIR}
    namespaces = {name: (await api.ok("GET", f"/api/v1/namespaces/dh-{name}"))["metadata"]["uid"] for name in PAIR}
    keys = {name: await read_vault(api, name) for name in PAIR}
    login = (await read_credentials(api, "cut"))["database-url"]

    async def assert_all_is_there() -> None:
        for name in PAIR:
            namespace = (await api.ok("GET", f"/api/v1/namespaces/dh-{name}"))["metadata"]
            assert namespace["uid"] == namespaces[name]
            assert "deletionTimestamp" not in namespace
            assert namespace["labels"]["dreamhub.dev/owner-uid"] == uids[name]
            assert await has_role(stores, name)
            assert await count_documents(stores, name) == 1
            assert await read_vault(api, name) == keys[name]
            assert await has_object(object_store, object_key(name, "ver_1"))
        assert (await read_credentials(api, "cut"))["database-url"] == login

    await api.ok("DELETE", DEFINITION)
    for name in PAIR:
        message = await wait_orphaned(api, name, "DefinitionDeleted")
        assert "tenants.dreamhub.dev is being deleted" in message
        assert f"dreamhub.dev/adopt={uids[name]}" in message
    await assert_all_is_there()

    for name in PAIR:
        await api.merge(f"{TENANTS}/{name}", {"metadata": {"finalizers": None}})

    async def definition_gone() -> bool:
        return (await api.call("GET", DEFINITION))[0] == 404

    await eventually(definition_gone, "the definition is gone")
    await assert_all_is_there()

    await install_crds(api, [build_crd(definition) for definition in DEFINITIONS])
    for name in PAIR:
        await eventually(partial(_create, api, name), "the definition is served")
        message = await wait_orphaned(api, name, "NamespaceForeign")
        assert f"dreamhub.dev/adopt={uids[name]}" in message
    await assert_all_is_there()

    await api.ok("DELETE", f"{TENANTS}/cut")
    await wait_gone(api, "cut")
    await assert_all_is_there()

    await api.merge(f"{TENANTS}/cut-2", {"metadata": {"annotations": {"dreamhub.dev/adopt": uids["cut-2"]}}})
    adopted = await wait_ready_again(api, "cut-2")
    assert adopted["status"]["namespace"]["uid"] == namespaces["cut-2"]
    assert await count_documents(stores, "cut-2") == 1
    assert (await read_vault(api, "cut-2"))["cut-2.owner"] != keys["cut-2"]["cut-2.owner"]


async def _create(api: Api, name: str) -> bool:
    """False while the API server still answers as if there were no such kind."""
    status, _ = await api.call("POST", TENANTS, tenant_manifest(name, deletionPolicy="Erase"))
    return status in (201, 409)

"""A real API server with our CRDs and rights, real PostgreSQL, Redis and S3, and the operator as a process."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import pytest
import pytest_asyncio
import yaml
from redis.asyncio import Redis

from dreamhub.crd.definitions import DEFINITIONS, build_crd
from dreamhub.storage.objects import ObjectStore, ObjectStoreSettings
from tests.integration.conftest import Database
from tests.integration.operator.control_plane import (
    Api,
    ControlPlane,
    install_crds,
    start_control_plane,
    wait_ready,
)
from tests.integration.servers import RedisServer, pick_port

ROOT = Path(__file__).parents[3]
SYSTEM = "dreamhub-system"
ACCOUNT = "dreamhub-operator"
TENANTS = "/apis/dreamhub.dev/v1alpha1/tenants"

T = TypeVar("T")


async def eventually(look: Callable[[], Awaitable[T | None]], what: str, seconds: float = 30) -> T:
    """The first answer that is not None or False."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = await look()
        if found:
            return found
        await asyncio.sleep(0.05)
    raise AssertionError(f"not within {seconds} s: {what}")


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    plane = start_control_plane(tmp_path_factory.mktemp("control-plane"))
    yield plane
    plane.stop()


@pytest_asyncio.fixture(scope="session")
async def api(control_plane: ControlPlane) -> AsyncIterator[Api]:
    """The administrator, on a server that has our CRDs, roles and policies."""
    async with aiohttp.ClientSession() as session:
        api = Api(session, control_plane.url)
        await wait_ready(api, control_plane)
        await install_crds(api, [build_crd(definition) for definition in DEFINITIONS])
        await _install_rights(api)
        yield api


async def _install_rights(api: Api) -> None:
    await api.apply(f"/api/v1/namespaces/{SYSTEM}", _object("v1", "Namespace", SYSTEM))
    await api.apply(
        f"/api/v1/namespaces/{SYSTEM}/serviceaccounts/{ACCOUNT}", _object("v1", "ServiceAccount", ACCOUNT, SYSTEM)
    )
    for name in ("rbac.yaml", "tenant-access.yaml"):
        for manifest in yaml.safe_load_all((ROOT / "operator" / name).read_text()):
            await _apply(api, manifest)
    for kind in ("ClusterRole", "Role"):
        await _apply(api, _binding(kind))


async def _apply(api: Api, manifest: dict[str, Any]) -> None:
    namespace = manifest["metadata"].get("namespace")
    plural = {"ValidatingAdmissionPolicy": "validatingadmissionpolicies"}.get(
        manifest["kind"], manifest["kind"].lower() + "s"
    )
    scope = f"/namespaces/{namespace}" if namespace else ""
    await api.apply(f"/apis/{manifest['apiVersion']}{scope}/{plural}/{manifest['metadata']['name']}", manifest)


def _object(version: str, kind: str, name: str, namespace: str | None = None) -> dict[str, Any]:
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {"apiVersion": version, "kind": kind, "metadata": metadata}


def _binding(kind: str) -> dict[str, Any]:
    group = "rbac.authorization.k8s.io"
    return {
        **_object(f"{group}/v1", f"{kind}Binding", ACCOUNT, SYSTEM if kind == "Role" else None),
        "roleRef": {"apiGroup": group, "kind": kind, "name": ACCOUNT},
        "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": SYSTEM}],
    }


@dataclass
class OperatorProcess:
    """The operator as its container runs it. `kill` is the hard way, `stop` the kubelet's."""

    environment: dict[str, str]
    log: Path
    port: int
    process: "subprocess.Popen[bytes] | None" = None

    async def fetch(self, path: str) -> str:
        """What the probe server answers."""
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{self.port}{path}") as response:
            return await response.text()

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "dreamhub_operator"], env=self.environment, stdout=log, stderr=log
            )

    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def ensure(self) -> None:
        if not self.is_running():
            self.start()

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        return self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(timeout=30)


@dataclass(frozen=True)
class Stores:
    """The servers that the operator logs in to."""

    database: Database
    redis: RedisServer
    s3: ObjectStoreSettings


@pytest.fixture(scope="session")
def stores(
    database: Database, redis_server: RedisServer, s3_settings: ObjectStoreSettings, object_store: ObjectStore
) -> Stores:
    return Stores(database, redis_server, s3_settings)


@pytest_asyncio.fixture(scope="session")
async def operator_token(api: Api) -> str:
    path = f"/api/v1/namespaces/{SYSTEM}/serviceaccounts/{ACCOUNT}/token"
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 86400}}
    token: str = (await api.ok("POST", path, request))["status"]["token"]
    return token


@pytest.fixture(scope="session")
def operator_environment(
    operator_token: str, control_plane: ControlPlane, stores: Stores, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """What the chart gives the operator's container."""
    folder = tmp_path_factory.mktemp("operator")
    config = yaml.safe_load(control_plane.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": operator_token}
    files = {
        "database-url": stores.database.url("dreamhub_operator"),
        "redis-url": stores.redis.url(),
        "access-key": stores.s3.access_key,
        "secret-key": stores.s3.secret_key,
        "kubeconfig": yaml.safe_dump(config),
    }
    for name, text in files.items():
        (folder / name).write_text(text)
    egress = [{"namespace": SYSTEM, "podSelector": {"app.kubernetes.io/component": "postgres"}, "ports": [5432]}]
    return {
        **{key: os.environ[key] for key in ("PATH", "HOME")},
        "KUBECONFIG": str(folder / "kubeconfig"),
        "DREAMHUB_SYSTEM_NAMESPACE": SYSTEM,
        "DREAMHUB_POD_NAME": "operator-0",
        "DREAMHUB_DATABASE_URL_FILE": str(folder / "database-url"),
        "DREAMHUB_REDIS_URL_FILE": str(folder / "redis-url"),
        "DREAMHUB_S3_ENDPOINT": stores.s3.endpoint,
        "DREAMHUB_S3_BUCKET": stores.s3.bucket,
        "DREAMHUB_S3_REGION": stores.s3.region,
        "DREAMHUB_S3_CREDENTIALS_DIR": str(folder),
        "DREAMHUB_TENANT_DATABASE_ADDRESS": f"127.0.0.1:{stores.database.server.port}/dreamhub",
        "DREAMHUB_TENANT_REDIS_ADDRESS": f"127.0.0.1:{stores.redis.port}",
        "DREAMHUB_EGRESS": json.dumps(egress),
        "DREAMHUB_WORKER_IMAGE": "dreamhub/worker:test",
        "DREAMHUB_WORKER_BUILD": "test",
        "DREAMHUB_DRIFT_SECONDS": "1",
    }


@pytest.fixture
def operator(operator_process: OperatorProcess) -> OperatorProcess:
    """Running, whatever the test before did to it."""
    operator_process.ensure()
    return operator_process


@pytest.fixture(scope="session")
def operator_process(
    operator_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OperatorProcess]:
    """One for all tests."""
    port = pick_port()
    environment = {**operator_environment, "DREAMHUB_METRICS_PORT": str(port)}
    process = OperatorProcess(environment, tmp_path_factory.mktemp("log") / "operator.log", port)
    process.ensure()
    yield process
    code = process.stop() if process.is_running() else 0
    text = process.log.read_text()
    print(text[:5000], text[-10000:])  # noqa: T201 - pytest shows it when a test has failed
    assert code == 0
    assert "exc_type" not in text
    assert "Traceback" not in text


def tenant_manifest(name: str, **spec: Any) -> dict[str, Any]:
    return {"apiVersion": "dreamhub.dev/v1alpha1", "kind": "Tenant", "metadata": {"name": name}, "spec": spec}


def condition(body: dict[str, Any], kind: str) -> dict[str, Any]:
    conditions: list[dict[str, Any]] = body.get("status", {}).get("conditions", [])
    return next((c for c in conditions if c["type"] == kind), {})


async def ready_tenant(api: Api, name: str, **spec: Any) -> dict[str, Any]:
    await api.ok("POST", TENANTS, tenant_manifest(name, **spec))

    async def look() -> dict[str, Any] | None:
        body: dict[str, Any] = await api.ok("GET", f"{TENANTS}/{name}")
        return body if condition(body, "Ready").get("status") == "True" else None

    return await eventually(look, f"tenant {name} Ready")


@pytest_asyncio.fixture
async def redis_client(redis_server: RedisServer) -> AsyncIterator[Redis]:
    client = Redis.from_url(redis_server.url())
    yield client
    await client.aclose()

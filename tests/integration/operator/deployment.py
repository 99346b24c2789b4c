"""What the chart does for the operator, done by hand: its rights on the API server, its environment, its process."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import yaml

from dreamhub.llm.models import DEFAULT_MODELS, ModelList, ModelSettings
from dreamhub.storage.objects import ObjectStoreSettings
from tests.integration.conftest import Database
from tests.integration.operator.control_plane import Api, ControlPlane
from tests.integration.servers import RedisServer

ROOT = Path(__file__).parents[3]
SYSTEM = "dreamhub-system"
ACCOUNT = "dreamhub-operator"
TENANTS = "/apis/dreamhub.dev/v1alpha1/tenants"

REMOTE_MODEL = "remote/small"

T = TypeVar("T")


async def eventually(look: Callable[[], Awaitable[T | None]], what: str, seconds: float = 90) -> T:
    """The first answer that is not None or False."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = await look()
        if found:
            return found
        await asyncio.sleep(0.05)
    raise AssertionError(f"not within {seconds} s: {what}")


async def install_rights(api: Api) -> None:
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
        """What the probe server answers, once it listens."""
        async with aiohttp.ClientSession() as session:

            async def answer() -> str | None:
                assert self.is_running()
                with suppress(aiohttp.ClientConnectionError):
                    async with session.get(f"http://127.0.0.1:{self.port}{path}") as response:
                        return await response.text()
                return None

            return await eventually(answer, f"the operator answers {path}")

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
        return self.process.wait(timeout=90)


@dataclass(frozen=True)
class Stores:
    """The servers that the operator logs in to."""

    database: Database
    redis: RedisServer
    s3: ObjectStoreSettings


async def create_token(api: Api) -> str:
    """A token of the operator's service account."""
    path = f"/api/v1/namespaces/{SYSTEM}/serviceaccounts/{ACCOUNT}/token"
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 86400}}
    token: str = (await api.ok("POST", path, request))["status"]["token"]
    return token


def build_environment(token: str, plane: ControlPlane, stores: Stores, folder: Path) -> dict[str, str]:
    """What the chart gives the operator's container; its files are written into `folder`."""
    config = yaml.safe_load(plane.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": token}
    files = {
        "database-url": stores.database.url("dreamhub_operator"),
        "redis-url": stores.redis.url(),
        "access-key": stores.s3.access_key,
        "secret-key": stores.s3.secret_key,
        "current": "a key for the tokens of all workers",
        "kubeconfig": yaml.safe_dump(config),
        "provider-key": "sk-old",
        "models.json": _list_models(folder / "provider-key"),
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
        "DREAMHUB_JOB_TOKEN_KEYS_DIR": str(folder),
        "DREAMHUB_LINKS_URL": "http://dreamhub-api-internal:8081",
        "DREAMHUB_MODELS_FILE": str(folder / "models.json"),
        "DREAMHUB_TENANT_DATABASE_ADDRESS": f"127.0.0.1:{stores.database.server.port}/dreamhub",
        "DREAMHUB_TENANT_REDIS_ADDRESS": f"127.0.0.1:{stores.redis.port}",
        "DREAMHUB_EGRESS": json.dumps(egress),
        "DREAMHUB_WORKER_IMAGE": "dreamhub/worker:test",
        "DREAMHUB_WORKER_BUILD": "test",
        "DREAMHUB_DRIFT_SECONDS": "1",
        "DREAMHUB_ADMISSION": json.dumps({"concurrentJobs": 0}),
    }


def _list_models(key: Path) -> str:
    """The built-in ones and one that somebody else runs."""
    remote = ModelSettings(
        name=REMOTE_MODEL,
        kind="embedding",
        endpoint="https://models.example/v1",
        dimensions=256,
        api_key_file=key,
        requests_per_minute=600,
        tokens_per_minute=60_000,
    )
    return ModelList(models=(*DEFAULT_MODELS.models, remote)).model_dump_json(by_alias=True)


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


async def look_again(api: Api, operator: OperatorProcess) -> None:
    """Return when the operator has looked at every Tenant since, which it does each second."""
    wanted = 'dreamhub_reconcile_seconds_count{kind="Tenant"}'
    tenants = len((await api.ok("GET", TENANTS))["items"])

    async def count() -> int:
        metrics = await operator.fetch("/metrics")
        return int(float(next(line.split()[-1] for line in metrics.splitlines() if line.startswith(wanted))))

    enough = await count() + 2 * tenants + 1

    async def looked() -> bool:
        return await count() >= enough

    await eventually(looked, "every Tenant is looked at again")

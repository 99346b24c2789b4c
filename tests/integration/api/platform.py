"""The platform around an API server, without nodes: real Kubernetes API, PostgreSQL, Redis and S3.

Tests play the operator's part: they make tenants, and write the status of jobs.
"""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from aiohttp import web
from multidict import CIMultiDict

from dreamhub import names
from dreamhub.domain.keys import DataKeys
from dreamhub_api.app import create_app
from dreamhub_api.context import open_services
from dreamhub_api.settings import Settings
from tests.integration.operator.control_plane import Api

GROUP = "/apis/dreamhub.dev/v1alpha1"
RBAC = Path(__file__).parents[3] / "api-server" / "rbac.yaml"
SERVER_ACCOUNT = "dreamhub-api"
DEADLINE_SECONDS = 90.0


async def until(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not await condition():
        assert time.monotonic() < deadline, f"not within {DEADLINE_SECONDS} s: {what}"
        await asyncio.sleep(0.02)


@dataclass(frozen=True)
class Tenant:
    name: str
    token: str
    keys: DataKeys
    database_url: str


@dataclass(frozen=True)
class Cluster:
    """The operator's side of the Kubernetes API."""

    api: Api

    async def prepare(self) -> None:
        """What the chart makes: the system namespace, the server's account and its role from `rbac.yaml`."""
        await self.make_namespace(names.SYSTEM_NAMESPACE)
        await self.make_account(names.SYSTEM_NAMESPACE, SERVER_ACCOUNT)
        for role in yaml.safe_load_all(RBAC.read_text()):
            kind, cluster = role["kind"], role["kind"] == "ClusterRole"
            scope = "" if cluster else f"/namespaces/{names.SYSTEM_NAMESPACE}"
            base = f"/apis/rbac.authorization.k8s.io/v1{scope}"
            name = role["metadata"]["name"]
            await self.api.apply(f"{base}/{kind.lower()}s/{name}", role)
            subject = {"kind": "ServiceAccount", "name": SERVER_ACCOUNT, "namespace": names.SYSTEM_NAMESPACE}
            binding = {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": f"{kind}Binding",
                "metadata": {"name": name},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name},
                "subjects": [subject],
            }
            await self.api.apply(f"{base}/{kind.lower()}bindings/{name}", binding)

    async def make_namespace(self, name: str) -> None:
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        await self.api.apply(f"/api/v1/namespaces/{name}", body)

    async def make_account(self, namespace: str, name: str) -> None:
        body = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}}
        await self.api.apply(f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}", body)

    async def create_token(self, namespace: str, account: str, audience: str | None, seconds: int = 3600) -> str:
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"audiences": [audience] if audience else [], "expirationSeconds": seconds},
        }
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
        token: str = (await self.api.ok("POST", path, body))["status"]["token"]
        return token

    async def set_chat_model(self, tenant: str, model: str) -> None:
        await self.api.merge(f"{GROUP}/tenants/{tenant}", {"spec": {"models": {"chat": model}}})

    async def make_tenant(self, name: str, keys: DataKeys) -> str:
        """Everything that the operator makes for a tenant in Kubernetes; returns its owner's token."""
        namespace = names.namespace(name)
        await self.make_namespace(namespace)
        for account in (names.OWNER_SERVICE_ACCOUNT, names.WORKER_SERVICE_ACCOUNT, "viewer"):
            await self.make_account(namespace, account)
        await self.add_keys(name, keys)
        manifest = {
            "apiVersion": "dreamhub.dev/v1alpha1",
            "kind": "Tenant",
            "metadata": {"name": name},
            "spec": {"displayName": f"Tenant {name}"},
        }
        await self.api.apply(f"{GROUP}/tenants/{name}", manifest)
        uid = (await self.api.ok("GET", f"/api/v1/namespaces/{namespace}"))["metadata"]["uid"]
        status = {"status": {"phase": "Active", "namespace": {"name": namespace, "uid": uid}}}
        await self.api.merge(f"{GROUP}/tenants/{name}/status", status)
        return await self.create_token(namespace, names.OWNER_SERVICE_ACCOUNT, names.TOKEN_AUDIENCE)

    async def add_keys(self, tenant: str, keys: DataKeys) -> None:
        path = f"/api/v1/namespaces/{names.SYSTEM_NAMESPACE}/secrets/{names.KEYS_SECRET}"
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": names.KEYS_SECRET}}
        if (await self.api.call("GET", path))[0] == 404:
            await self.api.apply(path, secret)
        value = base64.b64encode(keys.dump().encode()).decode()
        await self.api.merge(path, {"data": {f"{tenant}.json": value}})

    async def set_job_status(self, tenant: str, name: str, status: dict[str, Any]) -> None:
        path = f"{GROUP}/namespaces/{names.namespace(tenant)}/ingestjobs/{name}/status"
        await self.api.merge(path, {"status": status})

    async def fetch_job(self, tenant: str, name: str) -> Any:
        return await self.api.ok("GET", f"{GROUP}/namespaces/{names.namespace(tenant)}/ingestjobs/{name}")

    async def write_kubeconfig(self, folder: Path) -> Path:
        """The server's own login: a token of its service account, so that its role is what the tests run with."""
        token = await self.create_token(names.SYSTEM_NAMESPACE, SERVER_ACCOUNT, None, 7200)
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "server",
            "contexts": [{"name": "server", "context": {"cluster": "server", "user": "server"}}],
            "clusters": [{"name": "server", "cluster": {"server": self.api.url, "insecure-skip-tls-verify": True}}],
            "users": [{"name": "server", "user": {"token": token}}],
        }
        path = folder / "kubeconfig"
        path.write_text(json.dumps(config))
        return path


@asynccontextmanager
async def run_server(settings: Settings) -> AsyncIterator[str]:
    """The server in this process, on a free port; yields its URL once it is ready."""
    runner = web.AppRunner(create_app(partial(open_services, settings)), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    url = f"http://{host}:{port}"
    try:
        async with aiohttp.ClientSession() as session:

            async def ready() -> bool:
                async with session.get(f"{url}/readyz") as response:
                    return response.status == 200

            await until(ready, "the server is ready")
        yield url
    finally:
        await runner.cleanup()


class Caller:
    """HTTP as one tenant's owner, or as whoever `token` says."""

    def __init__(self, session: aiohttp.ClientSession, url: str, token: str | None) -> None:
        self.session = session
        self.url = url
        self.token = token

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    async def call(self, method: str, path: str, **options: Any) -> tuple[int, Any]:
        status, body, _ = await self.full(method, path, **options)
        return status, body

    async def full(self, method: str, path: str, **options: Any) -> tuple[int, Any, CIMultiDict[str]]:
        headers = {**self.headers, **options.pop("headers", {})}
        async with self.session.request(method, f"{self.url}/api/v1{path}", headers=headers, **options) as response:
            raw = await response.read()
            body = json.loads(raw) if "json" in response.content_type else raw
            return response.status, body, response.headers.copy()

    async def ok(self, method: str, path: str, **options: Any) -> Any:
        status, body = await self.call(method, path, **options)
        assert status < 300, body
        return body

    async def upload(self, name: str, data: Any, **options: Any) -> tuple[int, Any]:
        headers = {"Content-Type": "text/plain", **options.pop("headers", {})}
        params = {"name": name, **options.pop("params", {})}
        return await self.call("POST", "/documents", params=params, data=data, headers=headers, **options)

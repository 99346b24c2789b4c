"""A real Kubernetes API server without nodes: etcd and kube-apiserver as two processes, ready in about four seconds.

It validates, defaults, prunes, authorises and watches as in a cluster; nothing runs controllers or pods, so tests play
those parts themselves. The binaries are those that `python -m hack.host integration` builds.
"""

import asyncio
import json
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from multidict import CIMultiDict

from hack.cluster.settings import read_settings
from tests.integration.servers import pick_port

ADMIN_TOKEN = "admin-token"
START_SECONDS = 120.0


class MissingBinariesError(Exception):
    """The control plane's programs are not built."""


@dataclass(frozen=True)
class ControlPlane:
    url: str
    folder: Path
    processes: tuple[subprocess.Popen[bytes], ...]

    @property
    def kubeconfig(self) -> Path:
        return self.folder / "kubeconfig"

    def stop(self) -> None:
        for process in reversed(self.processes):
            process.kill()
        for process in self.processes:
            process.wait(timeout=10)
        shutil.rmtree(self.folder / "etcd", ignore_errors=True)


def find_program(name: str) -> Path:
    folder = read_settings().binaries
    path = folder / name
    if not path.is_file():
        raise MissingBinariesError(f"there is no {name} in {folder}: `python -m hack.host integration` builds it")
    return path


def _spawn(folder: Path, name: str, *command: str | Path) -> subprocess.Popen[bytes]:
    with (folder / f"{name}.log").open("wb") as log:
        return subprocess.Popen([str(part) for part in command], stdout=log, stderr=log, cwd=folder)


def _write_credentials(folder: Path, url: str) -> None:
    key = folder / "service-account.key"
    subprocess.run(["openssl", "genrsa", "-out", str(key), "2048"], check=True, capture_output=True)
    (folder / "tokens.csv").write_text(f'{ADMIN_TOKEN},admin,admin,"system:masters"\n')
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "admin"}}],
        "clusters": [{"name": "test", "cluster": {"server": url, "insecure-skip-tls-verify": True}}],
        "users": [{"name": "admin", "user": {"token": ADMIN_TOKEN}}],
    }
    (folder / "kubeconfig").write_text(yaml.safe_dump(config))


def start_control_plane(folder: Path) -> ControlPlane:
    etcd, apiserver = find_program("etcd"), find_program("kube-apiserver")
    client, peer, secure = pick_port(), pick_port(), pick_port()
    url = f"https://127.0.0.1:{secure}"
    _write_credentials(folder, url)
    storage = _spawn(
        folder,
        "etcd",
        etcd,
        f"--data-dir={folder / 'etcd'}",
        f"--listen-client-urls=http://127.0.0.1:{client}",
        f"--advertise-client-urls=http://127.0.0.1:{client}",
        f"--listen-peer-urls=http://127.0.0.1:{peer}",
        "--unsafe-no-fsync",
    )
    server = _spawn(
        folder,
        "kube-apiserver",
        apiserver,
        f"--etcd-servers=http://127.0.0.1:{client}",
        f"--secure-port={secure}",
        "--bind-address=127.0.0.1",
        f"--cert-dir={folder / 'certificates'}",
        "--service-cluster-ip-range=10.0.0.0/24",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={folder / 'service-account.key'}",
        f"--service-account-signing-key-file={folder / 'service-account.key'}",
        f"--token-auth-file={folder / 'tokens.csv'}",
        "--authorization-mode=RBAC",
        "--disable-admission-plugins=ServiceAccount",
    )
    return ControlPlane(url, folder, (storage, server))


class Api:
    """The API server with plain dictionaries, as the administrator or whoever the token belongs to."""

    def __init__(self, session: aiohttp.ClientSession, url: str, token: str = ADMIN_TOKEN) -> None:
        self.session = session
        self.url = url
        self.token = token
        self.impersonated: CIMultiDict[str] = CIMultiDict()

    def acting_as(self, user: str, *groups: str) -> "Api":
        """The same server as somebody whom the administrator impersonates."""
        api = Api(self.session, self.url, self.token)
        names = [("Impersonate-Group", group) for group in (*groups, "system:authenticated")]
        api.impersonated = CIMultiDict([("Impersonate-User", user), *names])
        return api

    async def call(self, method: str, path: str, body: Any = None, kind: str = "application/json") -> tuple[int, Any]:
        data = None if body is None else json.dumps(body)
        headers = CIMultiDict({"Content-Type": kind, "Authorization": f"Bearer {self.token}"})
        headers.extend(self.impersonated)
        async with self.session.request(method, self.url + path, data=data, headers=headers, ssl=False) as response:
            text = await response.text()
            return response.status, json.loads(text) if text.startswith("{") else text

    async def ok(self, method: str, path: str, body: Any = None, kind: str = "application/json") -> Any:
        status, answer = await self.call(method, path, body, kind)
        if status >= 300:
            raise AssertionError(f"{method} {path}: {status} {answer}")
        return answer

    async def apply(self, path: str, body: Any) -> Any:
        query = "?fieldManager=test&force=true"
        return await self.ok("PATCH", path + query, body, "application/apply-patch+yaml")

    async def merge(self, path: str, body: Any) -> Any:
        return await self.ok("PATCH", path, body, "application/merge-patch+json")


async def wait_ready(api: Api, plane: ControlPlane) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            if (await api.call("GET", "/readyz"))[0] == 200:
                return
        except aiohttp.ClientError:
            pass
        if any(process.poll() is not None for process in plane.processes):
            break
        await asyncio.sleep(0.1)
    raise AssertionError((plane.folder / "kube-apiserver.log").read_text()[-3000:])


async def install_crds(api: Api, manifests: list[dict[str, Any]]) -> None:
    """Create the CRDs and wait until they are served."""
    for manifest in manifests:
        name = manifest["metadata"]["name"]
        await api.apply(f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}", manifest)
        await _wait_established(api, name)


async def _wait_established(api: Api, name: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    conditions: list[dict[str, Any]] = []
    while time.monotonic() < deadline:
        crd = await api.ok("GET", f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}")
        conditions = crd.get("status", {}).get("conditions") or []
        if any(c["type"] == "Established" and c["status"] == "True" for c in conditions):
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"{name} is not served: {conditions}")

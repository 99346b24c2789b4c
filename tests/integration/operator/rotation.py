"""A tenant whose logins and keys rotate, a node that runs its Jobs, and what goes on meanwhile."""

import asyncio
import base64
import os
import sys
from asyncio.subprocess import DEVNULL, create_subprocess_exec
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dreamhub.domain.envelope import MasterKeys
from dreamhub.domain.key_ring import KeyRing
from dreamhub.sql.documents import list_documents, register_upload
from dreamhub.sql.landing import activate_version
from dreamhub_operator.desired.credentials import read_entry
from dreamhub_worker.key_file import KeyFile
from tests.integration.operator.control_plane import Api
from tests.integration.operator.deployment import SYSTEM, TENANTS, OperatorProcess, eventually
from tests.integration.operator.kubelet import NOW, jobs_path
from tests.integration.sql.support import File, claim, connected, ingest, store
from tests.integration.sql.test_rekey import find

VAULT = f"/api/v1/namespaces/{SYSTEM}/secrets/dreamhub-tenant-keys"
MASTERS = f"/api/v1/namespaces/{SYSTEM}/secrets/dreamhub-master-keys"
PATIENCE = 120.0


@dataclass(frozen=True)
class Site:
    """A tenant in the cluster."""

    api: Api
    name: str

    async def tenant(self) -> dict[str, Any]:
        body: dict[str, Any] = await self.api.ok("GET", f"{TENANTS}/{self.name}")
        return body

    async def secret(self) -> dict[str, Any]:
        path = f"/api/v1/namespaces/dh-{self.name}/secrets/dreamhub-credentials"
        body: dict[str, Any] = await self.api.ok("GET", path)
        return body

    async def ask(self, what: str, value: str) -> None:
        await self.api.merge(f"{TENANTS}/{self.name}", {"metadata": {"annotations": {f"dreamhub.dev/{what}": value}}})

    async def url(self, name: str = "database-url") -> str:
        return read_entry(await self.secret(), name) or ""

    async def ring(self) -> KeyRing:
        entry = read_entry(await self.api.ok("GET", VAULT), f"{self.name}.json") or ""
        masters = MasterKeys.parse(read_entry(await self.api.ok("GET", MASTERS), "master-keys.json") or "")
        return KeyRing.parse(masters.unwrap(self.name, entry))

    async def former_until(self) -> datetime:
        """Until when the login before is accepted; by now it may be none any more."""
        credentials = (await self.tenant())["status"]["credentials"]
        told = credentials.get("previousValidUntil")
        return datetime.fromisoformat(told) if told is not None else datetime.now(UTC)

    async def await_slot(self, slot: str, *, former: bool) -> None:
        async def look() -> bool:
            status = (await self.tenant())["status"].get("credentials", {})
            return status.get("slot") == slot and ("previousValidUntil" in status) == former

        await eventually(look, f"login {slot}, the one before {'accepted' if former else 'ended'}", PATIENCE)


@dataclass
class Node:
    """What kubelet and Job controller do: keep the mounted Secret up to date, run the Job that re-encrypts."""

    site: Site
    folder: Path
    jobs: int = 0
    watched: bool = False
    """Set when the operator has looked at the tenant since the first of the jobs has ended."""

    async def run(self) -> None:
        while True:
            await self.refresh()
            await self.run_jobs()
            await asyncio.sleep(0.1)

    async def refresh(self) -> None:
        """All files at once, as a volume's."""
        data = (await self.site.secret())["data"]
        for name, text in data.items():
            part = self.folder / f"{name}.part"
            part.write_bytes(base64.b64decode(text))
            part.rename(self.folder / name)

    async def run_jobs(self) -> None:
        for job in (await self.site.api.ok("GET", jobs_path(self.site.name)))["items"]:
            if job["metadata"]["name"].startswith("rekey-") and not job.get("status", {}).get("conditions"):
                await self.run_job(job)

    async def run_job(self, job: dict[str, Any]) -> None:
        (container,) = job["spec"]["template"]["spec"]["containers"]
        environment = {item["name"]: item["value"] for item in container["env"]}
        kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
        environment |= kept | {"DREAMHUB_CREDENTIALS_DIR": str(self.folder)}
        command = [sys.executable, *container["command"][1:]]
        process = await create_subprocess_exec(*command, env=environment, stdout=DEVNULL)
        if await process.wait() == 0:
            self.jobs += 1
            kinds = ("SuccessCriteriaMet", "Complete")
            conditions = [{"type": kind, "status": "True", "lastTransitionTime": NOW} for kind in kinds]
            status = {"startTime": NOW, "completionTime": NOW, "succeeded": 1, "conditions": conditions}
            await self.site.api.merge(
                jobs_path(self.site.name, job["metadata"]["name"]) + "/status", {"status": status}
            )


async def look_thrice(api: Api, operator: OperatorProcess) -> None:
    """Until the operator has looked at every tenant about three times more."""
    tenants = len((await api.ok("GET", TENANTS))["items"])
    wanted = await _count_looks(operator) + 3 * tenants

    async def looked() -> bool:
        return await _count_looks(operator) > wanted

    await eventually(looked, "every tenant looked at again", PATIENCE)


async def _count_looks(operator: OperatorProcess) -> int:
    lines = (await operator.fetch("/metrics")).splitlines()
    wanted = 'dreamhub_reconcile_seconds_count{kind="Tenant"}'
    return int(float(next(line.split()[-1] for line in lines if line.startswith(wanted))))


OLD_WORKER = "ij-of-before"


async def start_old_worker(site: Site) -> None:
    """A worker's Job that began before the rotation and still works."""
    container = {"name": "worker", "image": "worker"}
    template = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    metadata = {"name": OLD_WORKER, "labels": {"app.kubernetes.io/component": "worker"}}
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": {"template": template}}
    await site.api.ok("POST", jobs_path(site.name), job)
    await site.api.merge(jobs_path(site.name, OLD_WORKER) + "/status", {"status": {"startTime": NOW, "active": 1}})


async def end_old_worker(site: Site) -> None:
    await site.api.merge(jobs_path(site.name, OLD_WORKER) + "/status", {"status": {"active": 0}})


@dataclass
class Load:
    """What goes on in a tenant meanwhile, with the keys that are mounted."""

    folder: Path
    node: Node
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    tasks: list["asyncio.Task[int]"] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.mounted = KeyFile(self.folder / "keys.json")
        self.first = self.mounted.read()

    @property
    def url(self) -> str:
        return (self.folder / "database-url").read_text()

    def start(self) -> None:
        self.tasks = [asyncio.create_task(work) for work in (self._upload(), self._look(), self._land())]

    async def check(self) -> None:
        """Raises what one of them met."""
        for task in self.tasks:
            if task.done():
                await task

    async def end(self) -> list[int]:
        """How often each of them has done its work."""
        self.stop.set()
        return await asyncio.gather(*self.tasks)

    async def _upload(self) -> int:
        number = 0
        async with connected(self.url) as conn:
            while not self.stop.is_set():
                number += 1
                file = File(f"new {number % 5}", tuple(f"new {number} {at}" for at in range(6)))
                await ingest(conn, self.mounted.read(), file)
                await asyncio.sleep(0.02)
        return number

    async def _look(self) -> int:
        number = 0
        async with connected(self.url) as conn:
            while not self.stop.is_set():
                number += 1
                await find(conn, self.mounted.read())
                await list_documents(conn, self.mounted.read())
                await asyncio.sleep(0.02)
        return number

    async def _land(self) -> int:
        """By a worker from before the rotation, which writes under the old key still when content was re-encrypted."""
        async with connected(self.url) as conn:
            slow = File("slow", tuple(f"slow {at}" for at in range(30)))
            outcome = await register_upload(conn, self.first, slow.upload())
            claimed = await claim(conn, self.first, outcome.version_id)
            for at in range(30):
                while at == 15 and not self.node.watched:
                    await asyncio.sleep(0.1)
                await store(conn, self.first, claimed, slow.chunks(at)[:1])
            await activate_version(conn, claimed, pages=1, chunks=30)
        await end_old_worker(self.node.site)
        return 1

"""A worker's surroundings: its tenant's logins, a place where its originals lie, its mounted job."""

import asyncio
import hashlib
import json
import os
import sys
import time
import uuid
from asyncio.subprocess import DEVNULL, PIPE, Process, create_subprocess_exec
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from dreamhub.domain.job_input import Build, InputDocument, InputText, JobInput
from dreamhub.domain.progress import Progress
from dreamhub.ids import new_id
from dreamhub.llm.models import BUILTIN_EMBEDDING, DEFAULT_MODELS, ModelList
from dreamhub.sql.connections import Pool
from dreamhub.sql.documents import NewUpload, register_upload
from dreamhub.sql.runs import fetch_run
from dreamhub_worker.preparation import Preparation
from dreamhub_worker.process import work
from tests.integration.conftest import TenantLogin

DEADLINE_SECONDS = 120.0


@dataclass
class ObjectServer:
    """Answers GET and PUT as an object store answers presigned URLs; `refusals` are statuses to give first."""

    port: int = 0
    objects: dict[str, bytes] = field(default_factory=dict)
    refusals: list[int] = field(default_factory=list)
    requests: list[tuple[str, str]] = field(default_factory=list)

    def url(self, version_id: str) -> str:
        return f"http://127.0.0.1:{self.port}/{version_id}?X-Amz-Signature=made-up"

    async def answer(self, request: web.Request) -> web.Response:
        key = request.path.strip("/")
        self.requests.append((request.method, key))
        if self.refusals:
            return web.Response(status=self.refusals.pop(0))
        if request.method == "PUT":
            self.objects[key] = await request.read()
            return web.Response()
        return web.Response(body=self.objects[key]) if key in self.objects else web.Response(status=404)


@asynccontextmanager
async def run_object_server() -> AsyncIterator[ObjectServer]:
    server = ObjectServer()
    app = web.Application(client_max_size=2**28)
    app.router.add_route("*", "/{key:.*}", server.answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.port = runner.addresses[0][1]
    yield server
    await runner.cleanup()


@dataclass
class Mount:
    """A job as a pod gets it: folders and environment."""

    job: JobInput
    environment: dict[str, str]


@dataclass
class Rig:
    """One tenant's worker and what stands around it."""

    tenant: TenantLogin
    redis_url: str
    pool: Pool
    objects: ObjectServer
    folder: Path

    async def upload(self, name: str, data: bytes, media_type: str = "") -> InputDocument:
        """Register and keep an original, as the API does."""
        new = NewUpload(
            document_id=new_id("doc"),
            version_id=new_id("ver"),
            name=name,
            media_type=media_type or "application/octet-stream",
            size=len(data),
            sha256=hashlib.sha256(data).digest(),
        )
        async with self.pool.acquire() as conn:
            stored = await register_upload(conn, self.tenant.keys, new)
        self.objects.objects.setdefault(stored.version_id, data)
        return InputDocument(
            document_id=stored.document_id, version_id=stored.version_id, url=self.objects.url(stored.version_id)
        )

    def text(self, name: str, text: str) -> InputText:
        version_id = new_id("ver")
        return InputText(name=name, text=text, version_id=version_id, put_url=self.objects.url(version_id))

    def mount(self, *items: InputDocument | InputText, models: ModelList = DEFAULT_MODELS, **fields: Any) -> Mount:
        uid = str(uuid.uuid4())
        job = JobInput(
            tenant=self.tenant.tenant,
            job=f"job-{uid[:8]}",
            uid=uid,
            build=Build(name="test"),
            embedding_model=fields.pop("model", BUILTIN_EMBEDDING),
            documents=tuple(item for item in items if isinstance(item, InputDocument)),
            texts=tuple(item for item in items if isinstance(item, InputText)),
            **fields,
        )
        folder = self.folder / uid
        folder.mkdir()
        files = {
            "models.yaml": models.model_dump_json(by_alias=True),
            "job.json": job.model_dump_json(by_alias=True),
            "database-url": self.tenant.url,
            "redis-url": self.redis_url,
            "keys.json": self.tenant.keys.dump(),
        }
        for name, content in files.items():
            (folder / name).write_text(content)
        directories = {"DREAMHUB_JOB_DIR": str(folder), "DREAMHUB_CREDENTIALS_DIR": str(folder)}
        return Mount(job, directories | {"DREAMHUB_POD_NAME": "pod-1", "DREAMHUB_PATIENCE_SECONDS": "2"})

    async def run(self, mount: Mount, **environment: str) -> int:
        with ThreadPoolExecutor(1) as executor:
            return await work(Preparation.begin(mount.environment | environment, executor), time.monotonic())

    async def ingest(self, *items: InputDocument | InputText, **fields: Any) -> Progress:
        """Run a job over these to its end and give its last progress."""
        mount = self.mount(*items, **fields)
        assert await self.run(mount) == 0
        return await self.progress(mount)

    async def progress(self, mount: Mount) -> Progress:
        async with self.pool.acquire() as conn:
            status = await fetch_run(conn, mount.job.uid)
        assert status is not None
        return status.progress

    async def count(self, query: str, *arguments: object) -> int:
        value = await self.pool.fetchval(query, *arguments)
        assert isinstance(value, int)
        return value


async def spawn(mount: Mount, *prefix: str, **environment: str) -> Process:
    """The worker as a process of its own."""
    command = (*prefix, sys.executable, "-m", "dreamhub_worker")
    inherited: Mapping[str, str] = os.environ
    return await create_subprocess_exec(
        *command, env={**inherited, **mount.environment, **environment}, stdout=PIPE, stderr=DEVNULL
    )


async def read_logs(process: Process) -> list[dict[str, Any]]:
    """All log lines until the process ends."""
    assert process.stdout is not None
    return [json.loads(line) async for line in process.stdout]


async def eventually(check: Any, what: str) -> None:
    """Poll an async condition until it holds or the deadline passes."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not await check():
        assert time.monotonic() < deadline, f"not within {DEADLINE_SECONDS} s: {what}"
        await asyncio.sleep(0.01)

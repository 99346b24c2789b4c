"""Tenants of tests: made by kubectl as a platform engineer would, used by the client and the CLI as a user would."""

import os
import sys
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from dreamhub import names
from dreamhub.crd.tenant import Tenant as Resource
from dreamhub_client import Client, open_client, upload_bytes
from dreamhub_client.errors import ClientError
from dreamhub_client.kube import KubeAccess, kube_tokens
from dreamhub_client.messages import JobUpdate
from dreamhub_client.models import Document, Hit, IngestJobCreate, SearchRequest
from dreamhub_client.sources import DocumentsSource, JobSource
from tests.e2e.kube import SYSTEM, Done, Json, Kube, eventually, require_tool, run

READY_SECONDS = 180
JOB_SECONDS = 200


@dataclass(frozen=True)
class Tenant:
    """A ready tenant with an open client."""

    name: str
    kube: Kube
    """In the tenant's namespace."""
    access: KubeAccess
    server: str
    client: Client

    async def upload(self, name: str, content: bytes, *tags: str) -> Document:
        return await self.client.upload_document(upload_bytes(name, content, tags=tags))

    async def ingest(self, *ids: str, force: bool = False) -> JobUpdate:
        """The finished state of a job over uploaded documents, whether it succeeded or failed."""
        source = JobSource(documents=DocumentsSource(ids=ids))
        job = await self.client.create_ingest_job(IngestJobCreate(source=source, force=force))
        return await self.client.wait_job(job.name, JOB_SECONDS)

    async def add(self, name: str, text: str, *tags: str) -> Document:
        """A searchable document."""
        document = await self.upload(name, text.encode(), *tags)
        update = await self.ingest(document.id)
        assert update.phase == "Succeeded", update
        return document

    async def search(self, query: str, limit: int = 5) -> Sequence[Hit]:
        return (await self.client.search(SearchRequest(query=query, limit=limit))).hits

    async def documents(self) -> list[Document]:
        return [document async for document in self.client.iterate_documents()]

    async def cli(self, *arguments: str, environment: Mapping[str, str] | None = None) -> Done:
        """`dreamhub` as a user of this tenant runs it, logged in through kubectl."""
        return await run(
            sys.executable,
            *("-m", "dreamhub_cli", "--server", self.server, "--kube", f"{SYSTEM}/{self.name}", *arguments),
            environment={**cli_environment(self.kube), **(environment or {})},
        )

    def job(self, name: str, **source: object) -> Json:
        """The manifest of an IngestJob."""
        return ingest_job(name, self.kube.namespace, source)


def cli_environment(kube: Kube) -> dict[str, str]:
    settings = kube.settings
    path = os.pathsep.join([str(Path(sys.executable).parent), str(settings.binaries), os.environ["PATH"]])
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DREAMHUB_")}
    return {**kept, "PATH": path, "KUBECONFIG": str(settings.kubeconfig), "COLUMNS": "200"}


def ingest_job(name: str, namespace: str, source: Mapping[str, object]) -> Json:
    return {
        "apiVersion": "dreamhub.dev/v1alpha1",
        "kind": "IngestJob",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"source": dict(source)},
    }


def tenant_manifest(name: str, **spec: object) -> Json:
    return {
        "apiVersion": "dreamhub.dev/v1alpha1",
        "kind": "Tenant",
        "metadata": {"name": name},
        "spec": {"deletionPolicy": "Erase", **spec},
    }


def new_name(kind: str) -> str:
    return f"e2e-{kind}-{uuid.uuid4().hex[:6]}"


async def make_ready(kube: Kube, name: str, **spec: object) -> Json:
    """Applies a Tenant and returns it Ready."""
    await kube.apply(tenant_manifest(name, **spec))
    await kube.wait_condition(f"tenant {name}", "Ready", seconds=READY_SECONDS)
    return await kube.get("tenant", name)


async def remove(kube: Kube, name: str) -> None:
    """Erases a tenant and waits until nothing of it is left in the cluster."""
    await kube.ask("delete", "tenant", name, "--ignore-not-found", "--wait=false")

    async def gone() -> bool:
        return await kube.find("tenant", name) is None and await kube.find("namespace", names.namespace(name)) is None

    await eventually(gone, READY_SECONDS, f"tenant {name} to be gone", pause=1)


async def until_served(client: Client, name: str) -> None:
    """The API server hears of a tenant a moment after it is Ready: on a busy machine, long after."""

    async def served() -> bool:
        try:
            return (await client.fetch_tenant()).name == name
        except ClientError:
            return False

    await eventually(served, READY_SECONDS, f"the API to serve tenant {name}")


@asynccontextmanager
async def open_tenant(kube: Kube, server: str, kind: str, **spec: object) -> AsyncIterator[Tenant]:
    """A tenant for a test or a session, erased afterwards."""
    name = new_name(kind)
    Resource.model_validate(tenant_manifest(name, **spec))  # a manifest that our own models refuse helps nobody
    try:
        await make_ready(kube, name, **spec)
        access = KubeAccess(
            tenant=name,
            system_namespace=SYSTEM,
            kubectl=require_tool(kube.settings, "kubectl"),
            kubeconfig=kube.settings.kubeconfig,
        )
        async with open_client(server, kube_tokens(access)) as client:
            await until_served(client, name)
            yield Tenant(name, kube.within(names.namespace(name)), access, server, client)
    finally:
        await remove(kube, name)

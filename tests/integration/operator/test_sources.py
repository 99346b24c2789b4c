"""From an IngestJob that names a source to searchable documents: operator, links and worker are the real ones."""

import base64
import json
import sys
from asyncio.subprocess import DEVNULL, create_subprocess_exec
from pathlib import Path
from typing import Any

import asyncpg
import pytest_asyncio

from dreamhub import names
from dreamhub.crd.ingest_job import IngestReason
from dreamhub.domain.job_input import JobInput
from dreamhub.domain.keys import DataKeys
from dreamhub.sql.connections import Pool
from dreamhub.storage.objects import ObjectStore
from tests.integration.links import run_links
from tests.integration.operator.control_plane import Api
from tests.integration.operator.deployment import OperatorProcess, ready_tenant
from tests.integration.operator.kubelet import Kubelet, container
from tests.integration.operator.test_ingest_job import create, wait_for, wait_for_job

TENANT = "sources"


@pytest_asyncio.fixture
async def tenant(api: Api, operator: OperatorProcess) -> str:
    status, _ = await api.call("GET", f"/apis/dreamhub.dev/v1alpha1/tenants/{TENANT}")
    if status == 404:
        await ready_tenant(api, TENANT)
    return TENANT


async def fetch_secret(api: Api, tenant: str, name: str) -> dict[str, str]:
    body = await api.ok("GET", f"/api/v1/namespaces/dh-{tenant}/secrets/{name}")
    return {entry: base64.b64decode(value).decode() for entry, value in body["data"].items()}


async def run_worker(files: dict[str, str], folder: Path) -> int:
    """What the kubelet would start: the worker with its mounted Secrets."""
    for name, text in files.items():
        (folder / name).write_text(text)
    environment = {"DREAMHUB_JOB_DIR": str(folder), "DREAMHUB_CREDENTIALS_DIR": str(folder), "TMPDIR": str(folder)}
    process = await create_subprocess_exec(
        sys.executable, "-m", "dreamhub_worker", env=environment, stdout=DEVNULL, stderr=DEVNULL
    )
    return await process.wait()


async def order_of(api: Api, kubelet: Kubelet) -> JobInput:
    files = await fetch_secret(api, kubelet.tenant, f"{kubelet.job}-input")
    return JobInput.model_validate_json(files["job.json"])


async def test_an_import_folder_becomes_searchable(
    api: Api, tenant: str, object_store: ObjectStore, api_pool: Pool, tmp_path: Path
) -> None:
    folder = names.import_folder(tenant)
    await object_store.put(f"{folder}hand/a.md", b"# A\n\nThe first page.")
    await object_store.put(f"{folder}hand/b.txt", b"The second page.")
    kubelet = await create(api, "folder", tenant, source={"s3": {"prefix": "hand/"}}, tags=["hand"])
    await wait_for_job(api, kubelet)
    await kubelet.set_job(active=1)
    await kubelet.add_pod("folder-1", phase="Running", containerStatuses=container(running={}))

    files = await fetch_secret(api, tenant, "dreamhub-credentials")
    files |= await fetch_secret(api, tenant, f"{kubelet.job}-input")
    order = json.loads(files["job.json"])
    assert order["links"]["url"] == "http://dreamhub-api-internal:8081"
    async with run_links(api_pool, {tenant: DataKeys.parse(files["keys.json"])}, object_store) as server:
        order["links"]["url"] = server.url
        assert await run_worker({**files, "job.json": json.dumps(order)}, tmp_path) == 0
    done = await wait_for(api, "folder", IngestReason.INGESTED, tenant)
    counts = {"total": 2, "done": 2, "skipped": 0, "failed": 0, "unread": 0, "deleted": 0}
    assert done["status"]["progress"]["documents"] == counts
    conn = await asyncpg.connect(files["database-url"])
    assert await conn.fetchval("SELECT count(*) FROM documents WHERE source = 's3' AND active_version IS NOT NULL") == 2
    await conn.close()


async def test_a_source_outside_gets_its_secret_and_a_way_out(api: Api, tenant: str) -> None:
    source: dict[str, Any] = {"calendar": {"url": "https://example.com/a.ics", "secretRef": {"name": "calendar-login"}}}
    kubelet = await create(api, "calendar", tenant, source=source)
    template = (await wait_for_job(api, kubelet))["spec"]["template"]
    volumes = {
        volume["name"]: volume["secret"]["secretName"] for volume in template["spec"]["volumes"] if "secret" in volume
    }
    assert volumes["source"] == "calendar-login"
    policies = await api.ok("GET", f"/apis/networking.k8s.io/v1/namespaces/dh-{tenant}/networkpolicies")
    [policy] = [each for each in policies["items"] if each["metadata"]["name"] == "source-egress"]
    assert policy["spec"]["podSelector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    order = await order_of(api, kubelet)
    assert order.source is not None
    assert (order.source.reader, order.source.secret_dir) == ("calendar", "/var/run/dreamhub/source")
    assert order.source.config == {"url": "https://example.com/a.ics", "protocol": "ICS"}


async def test_a_job_of_known_documents_gets_no_token_and_no_way_out(api: Api, tenant: str) -> None:
    kubelet = await create(api, "inline", tenant, source={"inline": {"name": "a.md", "text": "# A"}})
    labels = (await wait_for_job(api, kubelet))["spec"]["template"]["metadata"]["labels"]
    assert "dreamhub.dev/egress" not in labels
    order = await order_of(api, kubelet)
    assert (order.source, order.links) == (None, None)

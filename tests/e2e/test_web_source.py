"""A web site as a source, in the images that are shipped: read where the platform allows it, and nowhere else."""

from collections.abc import AsyncIterator

import pytest_asyncio

from dreamhub_client.models import IngestJobCreate
from dreamhub_client.sources import JobSource, WebSource
from tests.e2e.kube import SYSTEM, Json, Kube, eventually
from tests.e2e.tenants import JOB_SECONDS, Tenant, new_name, open_tenant

PORT = 8080
_SERVE = f"""
import http.server
pages = {{"/": '<h1>Start</h1><p>Welcome to the site of the boatyard.</p><a href="/winter">winter</a>',
  "/winter": '<h1>Winter</h1><p>Boats are lifted out of the water in the second week of October.</p>'}}
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        page = pages.get(self.path)
        same = page and self.headers.get("If-None-Match") == '"1"'
        self.send_response(304 if same else 200 if page else 404)
        self.send_header("ETag", '"1"')
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        if page and not same:
            self.wfile.write(page.encode())
http.server.ThreadingHTTPServer(("", {PORT}), Handler).serve_forever()
"""


def web_server(name: str, image: str) -> Json:
    container = {
        "name": "web",
        "image": image,
        "command": ["python3", "-c", _SERVE],
        "ports": [{"containerPort": PORT}],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"terminationGracePeriodSeconds": 0, "containers": [container]},
    }


@pytest_asyncio.fixture
async def address(kube: Kube) -> AsyncIterator[str]:
    """Of a pod that serves two pages: a private address, as all of a cluster are."""
    [api, *_] = await kube.within(SYSTEM).items("pods", "--selector", "app.kubernetes.io/component=api-server")
    name, place = new_name("site"), kube.within("default")
    await place.apply(web_server(name, api["spec"]["containers"][0]["image"]))

    async def ready() -> str | None:
        pod = await place.get("pod", name)
        return pod["status"].get("podIP") if pod["status"].get("phase") == "Running" else None

    try:
        yield await eventually(ready, 60, f"pod {name} to run")
    finally:
        await place.ask("delete", "pod", name, "--wait=false")


async def read(tenant: Tenant, address: str) -> tuple[str, str, int, int]:
    """A job's phase, the reason of its first error, and the documents that were done and left unchanged."""
    source = JobSource(web=WebSource(urls=(f"http://{address}:{PORT}/",)))
    job = await tenant.client.create_ingest_job(IngestJobCreate(source=source))
    told = await tenant.client.wait_job(job.name, JOB_SECONDS)
    documents = told.progress.documents
    return told.phase, told.errors[0].reason if told.errors else "", documents.done, documents.skipped


async def test_a_site_of_the_own_network_is_read_where_it_was_opened(kube: Kube, server: str, address: str) -> None:
    egress = [{"to": f"{address}/32", "ports": [PORT]}]
    async with open_tenant(kube, server, "crawler", network={"egress": egress}) as tenant:
        phase, _, done, _ = await read(tenant, address)
        assert (phase, done) == ("Succeeded", 2)
        [hit, *_] = await tenant.search("When are boats lifted out of the water?")
        assert hit.document_name == f"http://{address}:{PORT}/winter"
        assert (await read(tenant, address))[3] == 2


async def test_it_is_refused_where_it_was_not(tenant: Tenant, address: str) -> None:
    assert (await read(tenant, address))[:3] == ("Failed", "AddressRefused", 0)

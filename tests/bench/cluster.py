"""On the local cluster: how long a user waits from an applied IngestJob to a search hit, and what the pods weigh."""

import json
import statistics
import time

from dreamhub_client.models import SearchRequest
from hack.cluster.settings import read_settings
from tests.bench.process import BenchmarkError
from tests.bench.table import Aim, Row
from tests.e2e.kube import SYSTEM, Kube, eventually
from tests.e2e.tenants import Tenant, ingest_job, new_name, open_tenant

JOBS = 20
TEXT = (
    "# Note {number}\n\nThe lighthouse keeper of bay {word} repaints the lantern room in the month of May. "
    + "Every boat that passes sounds its horn twice, and the keeper answers with one long flash. " * 20
)


async def measure_cluster() -> list[Row]:
    """Needs a running release, as `make demo` leaves it. Raises BenchmarkError when there is none."""
    kube = Kube(read_settings())
    server = f"http://127.0.0.1:{kube.settings.port}"
    if (await kube.run("get", "--raw", "/readyz")).code:
        raise BenchmarkError("no cluster answers: `make cluster-up images install` first")
    async with open_tenant(kube, server, "bench") as tenant:
        seconds = [await _time_job(tenant, number) for number in range(JOBS)]
        ready = await _read_ready_seconds(tenant.kube)
    cuts = statistics.quantiles(seconds, n=20)
    note = f"one page of text, {JOBS} jobs one after another"
    return [
        Row("cluster: IngestJob applied to searchable, p50", "s", cuts[9], aim=Aim("ours", "<=", 4), note=note),
        Row("cluster: IngestJob applied to searchable, p95", "s", cuts[18], note=note),
        Row(
            "cluster: worker's process start to ready, p50",
            "s",
            statistics.median(ready),
            aim=Aim("ours", "<=", 0.6),
            note=f"database, model and extraction process; from the logs of {len(ready)} pods",
        ),
        *[await _memory(kube.within(SYSTEM), component) for component in ("operator", "api-server")],
    ]


async def _time_job(tenant: Tenant, number: int) -> float:
    """Seconds from before `kubectl apply` starts until a search answers with the text."""
    name, word = new_name("job"), f"quonset{number}"
    text = TEXT.format(number=number, word=word)
    manifest = ingest_job(name, tenant.kube.namespace, {"inline": {"name": f"{name}.md", "text": text}})
    started = time.monotonic()
    await tenant.kube.apply(manifest)

    async def found() -> bool:
        response = await tenant.client.search(SearchRequest(query=word, limit=1))
        return any(word in hit.text for hit in response.hits)

    await eventually(found, 60, f"job {name} to be searchable", pause=0.05)
    return time.monotonic() - started


async def _read_ready_seconds(kube: Kube) -> list[float]:
    """What the workers' own log lines say. The kubelet reports a pod later than its text is searchable."""
    await kube.ask("wait", "jobs", "--all", "--for=condition=Complete", "--timeout=60s")
    output = await kube.ask("logs", "--selector", "batch.kubernetes.io/job-name", "--tail=-1", "--max-log-requests=50")
    lines = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    return [float(line["seconds"]) for line in lines if line["event"] == "ready"]


async def _memory(kube: Kube, component: str) -> Row:
    """Resident memory of a service's busiest pod, as the kubelet reads it."""
    nodes = await kube.items("nodes")
    found: list[int] = []
    for node in nodes:
        path = f"/api/v1/nodes/{node['metadata']['name']}/proxy/stats/summary"
        pods = json.loads(await kube.ask("get", "--raw", path))["pods"]
        ours = [pod for pod in pods if pod["podRef"]["name"].startswith(f"dreamhub-{component}-")]
        found += [container["memory"]["rssBytes"] for pod in ours for container in pod.get("containers", [])]
    if not found:
        raise BenchmarkError(f"no pod of {component} runs in {SYSTEM}")
    return Row(f"memory: {component}", "MB", max(found) / 1e6, note="resident, after the jobs above")

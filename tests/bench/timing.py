"""Does the time of an answer tell a foreign id from an absent one? Interleaved pairs, and the probability of chance."""

import math
import random
import secrets
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import asyncpg
import numpy as np
import numpy.typing as npt

from dreamhub.crd.definitions import DEFINITIONS, build_crd
from dreamhub.domain.keys import DataKeys
from dreamhub.ids import new_id
from dreamhub.sql.tenants import provision_tenant
from dreamhub_api.settings import Settings
from tests.bench.environment import Environment
from tests.bench.process import BenchmarkError
from tests.bench.table import Aim, Row
from tests.integration.api.conftest import ready_caller
from tests.integration.api.platform import Caller, Cluster, Tenant, run_server
from tests.integration.operator.control_plane import Api, install_crds, start_control_plane, wait_ready

PAIRS = 5_000
IDS = 40
"""Of each kind, used in turn: no single row's place in memory decides."""

SIGNIFICANT = 0.01

Sample = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Kind:
    name: str
    path: str
    foreign: Sequence[str]
    absent: Sequence[str]


async def measure_timing(environment: Environment) -> list[Row]:
    async with _open_platform(environment) as (attacker, victim):
        kinds = await _plant(victim)
        return [await _compare(attacker, kind) for kind in kinds]


@asynccontextmanager
async def _open_platform(environment: Environment) -> AsyncIterator[tuple[Caller, Caller]]:
    """An API server with a real Kubernetes API, and two tenants."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        plane = start_control_plane(Path(name))
        try:
            async with aiohttp.ClientSession() as session:
                api = Api(session, plane.url)
                await wait_ready(api, plane)
                await install_crds(api, [build_crd(definition) for definition in DEFINITIONS])
                cluster = Cluster(api)
                await cluster.prepare()
                settings = await _write_settings(environment, cluster, Path(name))
                async with run_server(settings) as url:
                    made = [await _make(environment, cluster, tenant) for tenant in ("attacker", "victim")]
                    callers = [await ready_caller(session, url, tenant) for tenant in made]
                    yield callers[0], callers[1]
        finally:
            plane.stop()


async def _write_settings(environment: Environment, cluster: Cluster, folder: Path) -> Settings:
    stores = environment.stores
    files = {
        "database-url": stores.database.url("dreamhub_api"),
        "redis-url": stores.redis.url(),
        "access-key": stores.s3.access_key,
        "secret-key": stores.s3.secret_key,
        "current": secrets.token_hex(32),
    }
    for file, value in files.items():
        (folder / file).write_text(value)
    return Settings(
        database_url_file=folder / "database-url",
        redis_url_file=folder / "redis-url",
        s3_endpoint=stores.s3.endpoint,
        s3_bucket=stores.s3.bucket,
        s3_credentials_dir=folder,
        job_token_keys_dir=folder,
        upload_limit_bytes=1_000_000,
        kubeconfig=await cluster.write_kubeconfig(folder),
    )


async def _make(environment: Environment, cluster: Cluster, name: str) -> Tenant:
    operator = await asyncpg.connect(environment.stores.database.url("dreamhub_operator"))
    await provision_tenant(operator, name)
    await operator.close()
    keys = DataKeys.generate()
    return Tenant(name, await cluster.make_tenant(name, keys), keys, "")


async def _plant(victim: Caller) -> Sequence[Kind]:
    documents, jobs = [], []
    for number in range(IDS):
        status, document = await victim.upload(f"{number}.txt", f"text {number}".encode())
        if status != 201:
            raise BenchmarkError(f"a document of the timing benchmark was refused: {document}")
        documents.append(document["id"])
        source = {"inline": {"name": "a.md", "text": "a"}}
        job = await victim.ok("POST", "/ingest-jobs", json={"name": f"job-{number:04}", "source": source})
        jobs.append(job["name"])
    absent = [new_id("doc") for _ in range(IDS)]
    return (
        Kind("document", "/documents/{}", documents, absent),
        Kind("chunks", "/documents/{}/chunks", documents, absent),
        Kind("job", "/ingest-jobs/{}", jobs, [f"job-{number:04}" for number in range(5_000, 5_000 + IDS)]),
    )


async def _compare(attacker: Caller, kind: Kind) -> Row:
    """In random order within each pair, so that what drifts meets both alike."""
    chooser = random.Random(7)
    times: dict[bool, list[float]] = {True: [], False: []}
    for number in range(PAIRS + IDS):
        for foreign in chooser.sample((True, False), 2):
            ids = kind.foreign if foreign else kind.absent
            times[foreign].append(await _time(attacker, kind.path.format(ids[number % IDS])))
    theirs, nobodys = (np.array(times[foreign][IDS:]) for foreign in (True, False))
    p = mann_whitney(theirs, nobodys)
    difference = (np.median(theirs) - np.median(nobodys)) * 1e6
    note = f"{PAIRS:,} pairs; medians {np.median(nobodys) * 1e3:.2f} ms, foreign {difference:+.1f} us; Mann-Whitney"
    name = f"timing: {kind.name}, foreign id or absent id, probability of chance"
    return Row(name, "p", p, None, Aim("ours", ">=", SIGNIFICANT), note)


async def _time(caller: Caller, path: str) -> float:
    url, headers = f"{caller.url}/api/v1{path}", caller.headers
    started = time.perf_counter()
    async with caller.session.get(url, headers=headers) as response:
        await response.read()
    seconds = time.perf_counter() - started
    if response.status != 404:
        raise BenchmarkError(f"{path} was answered with {response.status}, not 404")
    return seconds


def mann_whitney(first: Sample, second: Sample) -> float:
    """Two-sided p-value of the rank-sum test, by the normal approximation with correction for ties.

    For samples of hundreds and more; both of one size.
    """
    size = len(first)
    values, inverse, counts = np.unique(np.concatenate([first, second]), return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks = (last - (counts - 1) / 2)[inverse]
    u = ranks[:size].sum() - size * (size + 1) / 2
    total = 2 * size
    ties = float((counts.astype(float) ** 3 - counts).sum()) / (total * (total - 1))
    deviation = math.sqrt(size * size / 12 * (total + 1 - ties))
    return math.erfc(abs(u - size * size / 2) / deviation / math.sqrt(2)) if deviation and len(values) > 1 else 1.0

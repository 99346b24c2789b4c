"""One run: a fresh tenant, its documents, an IngestJob, and whatever befalls it meanwhile, to the checker's verdict."""

import asyncio
import contextlib
import hashlib
import secrets
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg

from dreamhub.crd.ingest_job import FINAL_PHASES
from dreamhub.domain.keys import DataKeys
from dreamhub.errors import UnavailableError
from dreamhub.ids import new_id
from dreamhub.names import CREDENTIALS_SECRET, object_key
from dreamhub.sql.connections import Connection, translate_failures
from dreamhub.sql.documents import NewUpload, register_upload
from dreamhub.storage.objects import ObjectStore
from dreamhub_operator.desired.credentials import read_entry
from tests.chaos.checker import Told, Verdict, check
from tests.chaos.corpus import Corpus
from tests.chaos.job_runner import JobRunner
from tests.chaos.stage import Stage
from tests.chaos.storm import Storm
from tests.integration.operator.control_plane import Api
from tests.integration.operator.deployment import TENANTS, ready_tenant
from tests.integration.operator.kubelet import Kubelet

LOOK_SECONDS = 0.2
LAST_WORD_SECONDS = 90.0
"""After the Job's end, until the IngestJob must have said how it went."""


@dataclass(frozen=True)
class Plan:
    """What shall befall a run."""

    corpus: Corpus
    workers: int
    faults: int = 0
    mutant: str | None = None
    limit: float = 600.0
    """Seconds that it may take."""


@dataclass(frozen=True)
class Result:
    seconds: float
    """From the order until its Job is over."""
    told_seconds: float
    """From the order until the IngestJob has said so."""
    chunks: int
    kills: dict[str, int]
    frozen: int
    """Workers that were cut off and came back."""
    cpu_seconds: dict[str, float]
    """At least: of workers, and of operators that were killed."""
    verdict: Verdict


@dataclass
class Witness:
    """Looks at an IngestJob again and again, as a person would."""

    api: Api
    path: str
    percents: list[int] = field(default_factory=list)
    status: dict[str, Any] = field(default_factory=dict)

    async def watch(self) -> None:
        """Until it has ended."""
        while self.status.get("phase") not in FINAL_PHASES:
            await asyncio.sleep(LOOK_SECONDS)
            self.status = (await self.api.ok("GET", self.path)).get("status", {})
            self.percents.append(self.status.get("progress", {}).get("percent", 0))


@dataclass(frozen=True)
class Home:
    """A tenant, and what its workers would be given."""

    tenant: str
    url: str
    keys: DataKeys


async def run_trial(stage: Stage, plan: Plan) -> Result:
    home = await _settle(stage.api)
    documents = await _upload(stage.objects, home, plan.corpus)
    path = f"/apis/dreamhub.dev/v1alpha1/namespaces/dh-{home.tenant}/ingestjobs"
    spec = {"source": {"documents": {"ids": documents}}, "parallelism": plan.workers}
    order = {"apiVersion": "dreamhub.dev/v1alpha1", "kind": "IngestJob", "metadata": {"name": "all"}, "spec": spec}
    begun = time.monotonic()
    created = await stage.api.ok("POST", path, order)
    kubelet = Kubelet(stage.api, home.tenant, created["metadata"]["uid"])
    runner = JobRunner(kubelet, _make_folder(stage.folder, home.tenant), _command(plan.mutant))
    witness, storm = Witness(stage.api, f"{path}/all"), _raise_storm(stage, runner, plan.faults)
    operators = stage.operator.cpu_seconds
    late = await _live(runner, storm, witness, plan.limit)
    told = time.monotonic() - begun
    seconds = (runner.ended or time.monotonic()) - begun
    cpu = {"workers": sum(pod.cpu_seconds for pod in runner.pods), "operators": stage.operator.cpu_seconds - operators}
    await _leave(stage.api, home.tenant)
    async with _connect(home.url) as conn:
        verdict = await check(conn, home.keys, plan.corpus, Told(witness.percents, witness.status))
    await _end_builds(stage.superuser_url)
    if late:
        verdict = Verdict(verdict.lost, verdict.duplicated, (late, *verdict.faults))
    used = {name: round(spent, 1) for name, spent in cpu.items()}
    return Result(round(seconds, 1), round(told, 1), plan.corpus.chunks, dict(storm.kills), storm.frozen, used, verdict)


def _command(mutant: str | None) -> list[str]:
    return [sys.executable, "-m", *(("tests.chaos.mutants", mutant) if mutant else ("dreamhub_worker",))]


def _raise_storm(stage: Stage, runner: JobRunner, faults: int) -> Storm:
    mortals = {mortal.name: mortal.kill for mortal in (stage.operator, stage.redis, stage.postgres)}
    return Storm({"worker": runner.kill, **mortals}, runner, faults)


async def _live(runner: JobRunner, storm: Storm, witness: Witness, limit: float) -> str:
    """To the IngestJob's end; what it has not come to within the limit, or empty."""
    raging = asyncio.create_task(storm.rage())
    watching = asyncio.create_task(witness.watch())
    try:
        async with asyncio.timeout(limit):
            await runner.run()
    except TimeoutError:
        return f"the Job has not ended within {limit:.0f} s"
    else:
        done, _ = await asyncio.wait([watching], timeout=LAST_WORD_SECONDS)
        return "" if done else f"the IngestJob has not ended within {LAST_WORD_SECONDS:.0f} s of its Job"
    finally:
        for task in (raging, watching):
            task.cancel()
        for outcome in await asyncio.gather(raging, watching, return_exceptions=True):
            if isinstance(outcome, Exception):
                raise outcome


async def _settle(api: Api) -> Home:
    tenant = f"c-{secrets.token_hex(4)}"
    await ready_tenant(api, tenant)
    secret = await api.ok("GET", f"/api/v1/namespaces/dh-{tenant}/secrets/{CREDENTIALS_SECRET}")
    url, keys = read_entry(secret, "database-url"), read_entry(secret, "keys.json")
    return Home(tenant, url or "", DataKeys.parse(keys or ""))


async def _leave(api: Api, tenant: str) -> None:
    """Its data stays, and no vector index is begun any more."""
    path = f"{TENANTS}/{tenant}"
    await api.ok("DELETE", path)
    await api.merge(path, {"metadata": {"finalizers": None}})


async def _end_builds(superuser_url: str) -> None:
    """A vector index that was begun when the run was over: the next run is to have the processors for itself."""
    async with _connect(superuser_url) as conn:
        while await conn.fetch("SELECT pg_terminate_backend(pid) FROM pg_stat_progress_create_index"):
            await asyncio.sleep(LOOK_SECONDS)


async def _upload(objects: ObjectStore, home: Home, corpus: Corpus) -> list[str]:
    """As the API server does; returns the ids of the documents."""
    found = []
    async with _connect(home.url) as conn:
        for name, data in corpus.write():
            digest = hashlib.sha256(data).digest()
            new = NewUpload(new_id("doc"), new_id("ver"), name, "text/plain", len(data), digest)
            await objects.put(object_key(home.tenant, new.version_id), data)
            found.append((await register_upload(conn, home.keys, new)).document_id)
    return found


@contextlib.asynccontextmanager
async def _connect(url: str) -> AsyncIterator[Connection]:
    """As soon as the database is back from its last kill."""
    while True:
        try:
            with translate_failures():
                conn = await asyncpg.connect(url)
            break
        except UnavailableError:
            await asyncio.sleep(LOOK_SECONDS)
    try:
        yield conn
    finally:
        await conn.close()


def _make_folder(folder: Path, name: str) -> Path:
    made = folder / name
    made.mkdir()
    return made

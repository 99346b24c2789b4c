"""Objects that went while nobody watched: a list tells what is there, never what has gone."""

from types import SimpleNamespace
from typing import Any, cast

from dreamhub.crd.ingest_job import IngestJob
from dreamhub.domain.cost import Ratios
from dreamhub.errors import NotFoundError
from dreamhub.llm.models import DEFAULT_MODELS
from dreamhub_operator.reconcile.appraisal import RatioBoard
from dreamhub_operator.reconcile.ingest_job import reconcile_ingest_job
from dreamhub_operator.reconcile.queues import Queues
from dreamhub_operator.reconcile.status_pace import StatusPace
from dreamhub_operator.reconcile.statuses import dump_status
from dreamhub_operator.watched import Watched
from tests.unit.operator.builders import FOUND, NOW, ingest_job, job_state, pod
from tests.unit.operator.ledgers import MemoryLedger
from tests.unit.operator.quotas import MemoryQuotas
from tests.unit.operator.test_service import ready

FINISHED = {"phase": "Succeeded", "reason": "Ingested", "completionTime": NOW.isoformat()}


class EmptyCluster:
    """Every object is gone, but takes Events."""

    def __init__(self) -> None:
        self.patched: list[str] = []

    async def get(self, _: object) -> None:
        return None

    async def delete(self, *_: object) -> bool:
        return False

    async def create(self, _: object) -> None: ...

    async def patch(self, key: Any, *_: object, **__: object) -> None:
        self.patched.append(key.kind.name)
        raise NotFoundError("gone")


class Database:
    async def resolve(self, *_: object) -> Any:
        return FOUND

    async def fetch_ratios(self, _: object) -> Any:
        return Ratios()

    async def fetch_runs(self, *_: object) -> Any:
        return {}


def remember(job: IngestJob) -> Watched:
    watched = Watched()
    watched.put_tenant(ready("True"))
    watched.ingest_jobs["job-uid"] = job
    return watched


async def reconcile(watched: Watched, cluster: EmptyCluster) -> float | None:
    context = SimpleNamespace(
        watched=watched,
        cluster=cluster,
        database=Database(),
        ratios=RatioBoard(cast("Any", Database())),
        models=DEFAULT_MODELS,
        status_pace=StatusPace(),
        now=lambda: NOW,
    )
    return await reconcile_ingest_job(cast("Any", context), Queues(watched, MemoryQuotas(), MemoryLedger()), "job-uid")


async def test_a_job_that_is_gone_is_forgotten_and_looked_for_at_once() -> None:
    watched, cluster = remember(ingest_job()), EmptyCluster()
    watched.jobs["job-uid"], watched.pods["job-uid"] = job_state(suspended=True), {"p": pod()}
    assert await reconcile(watched, cluster) == 0
    assert (watched.jobs, watched.pods) == ({}, {})
    assert cluster.patched == ["Job"]


async def test_an_ingest_job_that_is_gone_is_forgotten_when_its_status_is_written() -> None:
    watched = remember(ingest_job(suspend=True))
    await reconcile(watched, EmptyCluster())
    assert watched.ingest_jobs == {}
    assert await reconcile(watched, EmptyCluster()) is None


async def test_an_ingest_job_that_is_gone_is_forgotten_when_its_time_is_over() -> None:
    ended = {**FINISHED, "completionTime": "2026-01-01T00:00:00Z"}
    watched = remember(ingest_job(dump_status(ingest_job(ended).status)))
    assert await reconcile(watched, EmptyCluster()) is None
    assert watched.ingest_jobs == {}

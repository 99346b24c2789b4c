"""What is done about a tenant's vector index: decided from its chunks and the jobs that run."""

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any, cast

import pytest
from prometheus_client import CollectorRegistry

from dreamhub.crd.tenant import IndexStatus
from dreamhub.domain.vector_index import BUILD_AT, BULK, TOKENS_PER_CHUNK, Load, VectorIndex
from dreamhub.errors import UnavailableError
from dreamhub_operator.duties.vectors import IndexKeeper, VectorDuty, choose_change, estimate_load
from dreamhub_operator.metrics import Metrics
from dreamhub_operator.reconcile.tenant_status import Report
from dreamhub_operator.watched import Watched
from tests.unit.operator.builders import ingest_job, tenant

SMALL = VectorIndex(1, "builtin/wordllama-256", 256, 10, indexed=False, analyzed=10)
LARGE = replace(SMALL, chunks=BUILD_AT, analyzed=BUILD_AT)


@dataclass
class Vectors:
    index: VectorIndex
    fails: tuple[Exception, ...] = ()
    calls: list[str] = field(default_factory=list)

    async def fetch(self, _: Collection[str]) -> Mapping[str, VectorIndex]:
        return {"acme": self.index}

    async def build(self, tenant: str) -> bool:
        self.calls.append(f"build {tenant}")
        if self.fails:
            error, *rest = self.fails
            self.fails = tuple(rest)
            raise error
        self.index = replace(self.index, indexed=True)
        return True

    async def drop(self, tenant: str) -> None:
        self.calls.append(f"drop {tenant}")
        self.index = replace(self.index, indexed=False)

    async def refresh(self, tenant: str) -> None:
        self.calls.append(f"refresh {tenant}")
        self.index = replace(self.index, analyzed=self.index.chunks)


def running(tokens: int, percent: int) -> dict[str, Any]:
    return {"phase": "Running", "estimate": {"tokens": tokens}, "progress": {"percent": percent}}


@dataclass
class Stage:
    vectors: Vectors
    watched: Watched = field(default_factory=Watched)
    woken: list[str] = field(default_factory=list)
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    keeper: IndexKeeper = field(init=False)

    def __post_init__(self) -> None:
        self.watched.put_tenant(tenant().model_dump(by_alias=True, mode="json"))
        context = SimpleNamespace(watched=self.watched, vectors=self.vectors, metrics=Metrics(self.registry))
        self.keeper = IndexKeeper(cast("Any", context), self.woken.append)

    async def look(self, until: int) -> Report:
        """One reconcile, then the keeper's work until so many calls were made."""
        report = Report()
        await VectorDuty(self.keeper).perform(tenant(), report)
        work = asyncio.create_task(self.keeper.run())
        async with asyncio.timeout(30):
            while len(self.vectors.calls) < until:
                await asyncio.sleep(0)
        for _ in range(10):
            await asyncio.sleep(0)
        work.cancel()
        return report

    def counted(self, change: str) -> float | None:
        return self.registry.get_sample_value("dreamhub_vector_index_changes_total", {"change": change})


async def test_an_index_that_pays_is_built_and_told() -> None:
    stage = Stage(Vectors(LARGE))
    report = await stage.look(until=1)
    assert report.facts["index"] == IndexStatus(generation=1, model=LARGE.model, dimensions=256, hnsw=False)
    assert (stage.vectors.calls, stage.woken, stage.counted("Build")) == (["build acme"], ["tenant-uid"], 1)
    report = await stage.look(until=1)
    assert cast("IndexStatus", report.facts["index"]).hnsw
    assert stage.vectors.calls == ["build acme"]


@pytest.mark.parametrize("error", [UnavailableError("a writer holds the table"), ValueError("of no kind of ours")])
async def test_a_build_that_fails_is_counted_and_tells_nobody(error: Exception) -> None:
    stage = Stage(Vectors(LARGE, fails=(error,)))
    await stage.look(until=1)
    assert (stage.woken, stage.counted("Failed"), stage.counted("Build")) == ([], 1, None)


async def test_nothing_is_done_for_few_chunks() -> None:
    stage = Stage(Vectors(SMALL))
    await stage.look(until=0)
    assert (stage.vectors.calls, stage.woken) == ([], [])


async def test_statistics_follow_a_large_change() -> None:
    stage = Stage(Vectors(replace(LARGE, indexed=True, analyzed=-1)))
    await stage.look(until=1)
    assert (stage.vectors.calls, stage.counted("Statistics")) == (["refresh acme"], 1)


async def test_a_bulk_load_takes_the_index_away() -> None:
    stage = Stage(Vectors(replace(LARGE, indexed=True)))
    job = ingest_job(status=running(2 * max(BULK, BUILD_AT) * TOKENS_PER_CHUNK, 0))
    stage.watched.put_ingest_job(job.model_dump(by_alias=True, mode="json"))
    await stage.look(until=1)
    assert stage.vectors.calls == ["drop acme"]


@pytest.mark.parametrize(
    ("status", "load"),
    [
        (running(200_000, 75), Load(1, 250)),
        ({"phase": "Running"}, Load(1, 0)),
        ({"phase": "Queued", "estimate": {"tokens": 200_000}}, Load(0, 0)),
        ({"phase": "Succeeded", "estimate": {"tokens": 200_000}}, Load(0, 0)),
    ],
)
def test_load_is_what_running_jobs_have_still_to_store(status: dict[str, Any], load: Load) -> None:
    watched = Watched()
    watched.put_ingest_job(ingest_job(status=status).model_dump(by_alias=True, mode="json"))
    assert estimate_load(watched, "acme") == load


def test_vectors_that_no_index_holds_are_searched_exactly() -> None:
    assert choose_change(replace(LARGE, dimensions=4_000), Load(0, 0)) == "Build"
    assert choose_change(replace(LARGE, dimensions=4_001), Load(0, 0)) is None


def test_a_build_comes_before_statistics() -> None:
    assert choose_change(replace(LARGE, analyzed=-1), Load(0, 0)) == "Build"

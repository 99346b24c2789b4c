"""A status is written at most once a second, except when the phase changes."""

from types import SimpleNamespace
from typing import Any, cast

from dreamhub.crd.ingest_job import IngestJob
from dreamhub_operator.reconcile import status_pace
from dreamhub_operator.reconcile.ingest_job import write_status
from dreamhub_operator.reconcile.ingest_status import Costs, Finding, progress_of, succeed
from dreamhub_operator.reconcile.status_pace import STATUS_SECONDS, StatusPace
from dreamhub_operator.watched import Watched
from tests.unit.operator.builders import NOW, ingest_job, run_status


class Cluster:
    """Takes what is written, as the API server would."""

    def __init__(self, job: IngestJob) -> None:
        self.body = {**job.model_dump(mode="json", by_alias=True), "status": {}}
        self.writes: list[dict[str, Any]] = []

    async def patch(self, _: object, body: dict[str, Any], **__: object) -> dict[str, Any]:
        self.writes.append(body["status"])
        self.body["status"] = {**self.body["status"], **body["status"]}
        self.body["metadata"]["resourceVersion"] = str(len(self.writes))
        return self.body

    async def create(self, _: object) -> None: ...


class World:
    def __init__(self) -> None:
        self.time = 0.0
        self.cluster = Cluster(ingest_job())
        self.watched = Watched()
        self.watched.ingest_jobs["job-uid"] = ingest_job()
        metrics = SimpleNamespace(queue_wait=SimpleNamespace(observe=lambda _: None))
        self.context = SimpleNamespace(
            cluster=self.cluster,
            watched=self.watched,
            now=lambda: NOW,
            metrics=metrics,
            status_pace=StatusPace(lambda: self.time),
        )

    async def write(self, finding: Finding) -> float:
        job = self.watched.ingest_jobs["job-uid"]
        return await write_status(cast("Any", self.context), job, finding, Costs())


async def test_progress_is_written_once_a_second_and_the_end_at_once() -> None:
    world = World()
    assert await world.write(progress_of(run_status(chunks=1))) == 0
    world.time = 0.25
    assert await world.write(progress_of(run_status(chunks=2))) == STATUS_SECONDS - 0.25
    assert len(world.cluster.writes) == 1
    world.time = STATUS_SECONDS
    assert await world.write(progress_of(run_status(chunks=3))) == 0
    assert await world.write(succeed(run_status("Succeeded", chunks=4))) == 0
    assert [write["progress"]["chunks"] for write in world.cluster.writes] == [1, 3, 4]


async def test_what_has_not_changed_is_not_waited_for() -> None:
    world = World()
    finding = progress_of(run_status(chunks=1))
    await world.write(finding)
    assert await world.write(finding) == 0


def test_what_is_long_ago_is_forgotten(monkeypatch: Any) -> None:
    monkeypatch.setattr(status_pace, "MOST", 2)
    now = [0.0]
    pace = StatusPace(lambda: now[0])
    pace.note("old", last=False)
    now[0] = 5.0
    pace.note("a", last=False)
    pace.note("b", last=False)
    assert set(pace._written) == {"a", "b"}
    pace.note("a", last=True)
    assert pace.delay("a") == 0

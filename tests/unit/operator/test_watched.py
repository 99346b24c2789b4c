"""The memory: what is news and what is an echo."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest
from yarl import URL

from dreamhub_operator.freshness import LIMIT_SECONDS, Freshness
from dreamhub_operator.handlers import Handlers, build_settings
from dreamhub_operator.kinds import INGEST_JOB, JOB, POD, REFLECTED, TENANT
from dreamhub_operator.watched import Watched

DELETED = "DELETED"


def tenant(version: str = "5", uid: str = "t1") -> dict[str, Any]:
    return {"metadata": {"name": "acme", "uid": uid, "resourceVersion": version}, "spec": {}}


def ingest_job(version: str = "5", phase: str = "Pending") -> dict[str, Any]:
    return {
        "metadata": {"name": "x", "namespace": "dh-acme", "uid": "j1", "resourceVersion": version},
        "spec": {"source": {"inline": {"name": "a", "text": "b"}}},
        "status": {"phase": phase},
    }


def job(active: int = 0, uid: str = "k1") -> dict[str, Any]:
    labels = {"dreamhub.dev/owner-uid": "j1"}
    return {"metadata": {"name": "ij", "uid": uid, "labels": labels}, "status": {"active": active}}


def pod(phase: str = "Pending") -> dict[str, Any]:
    return {
        "metadata": {"name": "p", "uid": "p1", "labels": {"dreamhub.dev/owner-uid": "j1"}},
        "status": {"phase": phase},
    }


def test_only_a_newer_version_is_news() -> None:
    watched = Watched()
    assert watched.put_tenant(tenant("5"))
    assert not watched.put_tenant(tenant("5"))
    assert not watched.put_tenant(tenant("4"))
    assert watched.put_tenant(tenant("10"))


def test_only_what_matters_of_a_child_is_news() -> None:
    watched = Watched()
    assert watched.put_job(job())
    assert not watched.put_job(job())
    assert watched.put_job(job(active=1))
    assert watched.put_pod(pod())
    assert not watched.put_pod(pod())


def test_a_late_farewell_of_an_older_job_does_not_drop_the_new_one() -> None:
    watched = Watched()
    watched.put_job(job(uid="new"))
    watched.drop_job(job(uid="old"))
    assert watched.jobs["j1"].uid == "new"
    watched.drop_job(job(uid="new"))
    assert watched.jobs == {}


def test_the_last_pod_takes_its_entry_along() -> None:
    watched = Watched()
    watched.put_pod(pod())
    watched.drop_pod(pod())
    watched.drop_pod(pod())
    assert watched.pods == {}


def test_a_namesake_is_not_forgotten_with_its_predecessor() -> None:
    watched = Watched()
    watched.put_tenant(tenant(uid="old"))
    watched.put_tenant(tenant(uid="new"))
    watched.drop_tenant("old")
    assert watched.tenant_uids == {"acme": "new"}


def test_an_ingest_job_finds_its_tenant_and_a_tenant_its_waiting_jobs() -> None:
    watched = Watched()
    watched.put_tenant(tenant())
    watched.put_ingest_job(ingest_job())
    found = watched.tenant_of(watched.ingest_jobs["j1"])
    assert found is not None
    assert found.metadata.uid == "t1"
    assert watched.waiting_jobs_of("acme") == ["j1"]
    watched.put_ingest_job(ingest_job("6", "Running"))
    assert watched.waiting_jobs_of("acme") == []


def test_a_finished_job_lets_go_of_its_text() -> None:
    watched = Watched()
    watched.put_ingest_job(ingest_job())
    inline = watched.ingest_jobs["j1"].spec.source.inline
    assert inline is not None
    assert inline.text == "b"
    watched.put_ingest_job(ingest_job("6", "Succeeded"))
    inline = watched.ingest_jobs["j1"].spec.source.inline
    assert inline is not None
    assert inline.text == ""


class Keys:
    """In place of a queue."""

    def __init__(self) -> None:
        self.added: list[str] = []
        self.forgotten: list[str] = []

    def add(self, key: str) -> None:
        self.added.append(key)

    def forget(self, key: str) -> None:
        self.forgotten.append(key)


@pytest.fixture
def handlers() -> Handlers:
    return Handlers(Watched(), cast("Any", Keys()), cast("Any", Keys()), Freshness(), cast("Any", None))


async def arrive(handlers: Handlers, kind: Any, change: str | None, body: dict[str, Any]) -> None:
    """As kopf does it: while it lists, the index first, unless the object is gone, then the handler."""
    see, drop = {
        TENANT: (handlers.see_tenant, handlers.drop_tenant),
        INGEST_JOB: (handlers.see_ingest_job, handlers.drop_ingest_job),
        JOB: (handlers.see_child, handlers.drop_job),
    }[kind]
    if change != DELETED and handlers.is_listing():
        await handlers._remembering(kind)(body=body)
    await handlers._proving(kind, see, drop)(event={"type": change, "object": body})


async def test_listed_and_added_objects_are_queued_once_and_echoes_never(handlers: Handlers) -> None:
    queue = cast("Keys", handlers.ingest_jobs)
    await arrive(handlers, INGEST_JOB, None, ingest_job("5"))
    assert queue.added == ["j1"]
    await arrive(handlers, INGEST_JOB, "MODIFIED", ingest_job("5"))
    handlers.watched.put_ingest_job(ingest_job("7"))
    await arrive(handlers, INGEST_JOB, "MODIFIED", ingest_job("7"))
    assert queue.added == ["j1"]
    await arrive(handlers, INGEST_JOB, "MODIFIED", ingest_job("8"))
    assert queue.added == ["j1", "j1"]
    await arrive(handlers, INGEST_JOB, DELETED, ingest_job("9"))
    assert queue.forgotten == ["j1"]
    assert handlers.watched.ingest_jobs == {}


async def test_what_is_listed_is_known_before_anything_is_done_and_later_nothing_is_looked_at_twice(
    handlers: Handlers,
) -> None:
    queue = cast("Keys", handlers.ingest_jobs)
    for kind, body in ((INGEST_JOB, ingest_job()), (JOB, job())):
        await handlers._remembering(kind)(body=body)
    assert (queue.added, handlers.is_listing()) == ([], True)
    assert (set(handlers.watched.ingest_jobs), set(handlers.watched.jobs)) == ({"j1"}, {"j1"})
    await arrive(handlers, INGEST_JOB, None, ingest_job())
    assert (queue.added, handlers.is_listing()) == (["j1"], False)
    await arrive(handlers, JOB, None, job())
    assert queue.added == ["j1", "j1"], "it was indexed as news, and acted upon when its turn came"
    await arrive(handlers, JOB, "MODIFIED", job())
    assert queue.added == ["j1", "j1"]


async def test_a_tenants_change_wakes_its_waiting_jobs(handlers: Handlers) -> None:
    await arrive(handlers, INGEST_JOB, None, ingest_job())
    await arrive(handlers, TENANT, None, tenant())
    assert cast("Keys", handlers.tenants).added == ["t1"]
    assert cast("Keys", handlers.ingest_jobs).added == ["j1", "j1"]


async def test_a_childs_change_wakes_its_owner_and_strangers_wake_nobody(handlers: Handlers) -> None:
    queue = cast("Keys", handlers.ingest_jobs)
    await arrive(handlers, JOB, "ADDED", job())
    await arrive(handlers, JOB, "MODIFIED", job())
    await arrive(handlers, JOB, DELETED, job())
    assert queue.added == ["j1", "j1"]
    await arrive(handlers, JOB, "ADDED", {"metadata": {"name": "other", "uid": "z"}})
    assert len(queue.added) == 2


def test_watches_end_before_their_clients_lose_patience() -> None:
    settings = build_settings()
    assert settings.watching.server_timeout is not None
    assert settings.watching.client_timeout is not None
    assert settings.watching.server_timeout < settings.watching.client_timeout < LIMIT_SECONDS
    assert settings.queueing.worker_limit is None


def test_a_watch_without_a_sign_of_life_is_stale() -> None:
    now = [0.0]
    freshness = Freshness(clock=lambda: now[0])
    assert freshness.find_stale() == []
    freshness.start()
    now[0] = LIMIT_SECONDS + 1
    for kind in (POD, *REFLECTED):
        freshness.prove(kind.plural)
    assert freshness.find_stale() == ["ingestjobs", "jobs", "tenants"]
    assert freshness.ages()["pods"] == 0


@pytest.mark.parametrize(
    ("query", "status", "proved"), [("?watch=true", 200, True), ("?watch=true", 410, False), ("", 200, False)]
)
def test_an_accepted_watch_is_a_sign_of_life(query: str, status: int, *, proved: bool) -> None:
    freshness = Freshness(clock=lambda: 1.0)
    url = URL(f"https://x/apis/batch/v1/jobs{query}")
    params = cast("Any", SimpleNamespace(url=url, response=SimpleNamespace(status=status)))
    asyncio.run(freshness._on_request_end(cast("Any", None), SimpleNamespace(), params))
    assert ("jobs" in freshness.ages()) is proved
    assert not freshness.all_opened()

"""The watch cache against an API server that does what the test says, and refusals as our errors."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import Any

import pytest

from dreamhub.errors import UnavailableError
from dreamhub_api.cluster.kubernetes import Object, WatchExpiredError, error_of
from dreamhub_api.cluster.resources import parse_ingest_job
from dreamhub_api.cluster.watch_cache import Source, WatchCache


def item(name: str, version: int, value: str = "", namespace: str = "ns") -> Object:
    return {"metadata": {"name": name, "namespace": namespace, "resourceVersion": str(version)}, "value": value}


class Script:
    """Answers lists in turn; a watch yields its events and then waits, unless its last step is an error."""

    def __init__(self, lists: list[list[Object]], watches: list[list[Any]]) -> None:
        self.lists = lists
        self.watches = watches
        self.watched_from: list[str | None] = []
        self.calls: list[tuple[str, str, Mapping[str, str] | None, Object | None]] = []
        self.idle = asyncio.Event()

    async def request(
        self, method: str, path: str, *, query: Mapping[str, str] | None = None, body: Object | None = None
    ) -> Object:
        self.calls.append((method, path, query, body))
        items = self.lists.pop(0)
        return {"items": items, "metadata": {"resourceVersion": "100"}}

    async def watch(self, path: str, query: Mapping[str, str]) -> AsyncIterator[Object]:
        self.calls.append(("WATCH", path, query, None))
        self.watched_from.append(query.get("resourceVersion"))
        for step in self.watches.pop(0):
            if isinstance(step, Exception):
                raise step
            yield step
        if not self.watches:
            self.idle.set()
            await asyncio.Event().wait()


def value_of(found: Object) -> str:
    value: str = found["value"]
    if value == "bad":
        raise ValueError("cannot be read")
    return value


async def run(script: Script, cache: WatchCache[str]) -> None:
    task = asyncio.create_task(cache.run())
    async with asyncio.timeout(60):
        await script.idle.wait()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def build(lists: list[list[Object]], watches: list[list[Any]]) -> tuple[Script, WatchCache[str], list[Any]]:
    script = Script(lists, watches)
    cache = WatchCache(script, Source("/things", value_of))
    heard: list[Any] = []
    cache.listen(lambda key, value: heard.append((key[1], value)))
    return script, cache, heard


async def test_list_then_watch() -> None:
    added = {"type": "ADDED", "object": item("b", 101, "two")}
    bookmark = {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "150"}}}
    script, cache, heard = build([[item("a", 1, "one")]], [[added, bookmark], []])
    assert not cache.synced
    await run(script, cache)
    assert cache.synced
    assert (cache.get(("ns", "a")), cache.get(("ns", "b"))) == ("one", "two")
    assert heard == [("a", "one"), ("b", "two")]
    assert script.watched_from == ["100", "150"]
    assert [call[:2] for call in script.calls] == [("GET", "/things"), ("WATCH", "/things"), ("WATCH", "/things")]


async def test_expired_watch_lists_again_and_notices_deletions() -> None:
    script, cache, heard = build(
        [[item("a", 1, "x"), item("b", 2, "y")], [item("a", 1, "x")]], [[WatchExpiredError()], []]
    )
    await run(script, cache)
    assert cache.get(("ns", "b")) is None
    assert heard == [("a", "x"), ("b", "y"), ("b", None)]


async def test_one_bad_object_blinds_nobody() -> None:
    script, cache, _ = build([[item("a", 1, "bad"), item("b", 2, "good")]], [[]])
    await run(script, cache)
    assert (cache.get(("ns", "a")), cache.get(("ns", "b"))) == (None, "good")


async def test_lost_connection_goes_on_from_the_last_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dreamhub_api.cluster.watch_cache.FIRST_DELAY_SECONDS", 0.0)
    script, cache, _ = build([[item("a", 1, "x")]], [[UnavailableError("away")], []])
    await run(script, cache)
    assert script.watched_from == ["100", "100"]


def test_own_writes_are_read_and_older_events_ignored() -> None:
    _, cache, heard = build([], [])
    cache.store(item("a", 7, "new"))
    cache.store(item("a", 5, "old"))
    cache.store(item("a", 7, "new"))
    assert cache.get(("ns", "a")) == "new"
    cache.forget(("ns", "a"))
    cache.forget(("ns", "a"))
    assert heard == [("a", "new"), ("a", None)]
    assert dict(cache.namespace("ns")) == {}


async def test_what_was_deleted_here_does_not_come_back_by_a_late_event() -> None:
    """The watch tells of its making only after it is gone."""
    late = {"type": "ADDED", "object": item("a", 7, "x")}
    script, cache, heard = build([[]], [[late], []])
    cache.store(item("a", 7, "x"))
    cache.forget(("ns", "a"))
    await run(script, cache)
    assert cache.get(("ns", "a")) is None
    assert heard == [("a", "x"), ("a", None)]
    cache.store(item("a", 8, "made again"))
    assert cache.get(("ns", "a")) == "made again"


@pytest.mark.parametrize(
    ("status", "message", "code", "shown"),
    [
        (400, "bad", "RefusedByCluster", True),
        (422, "spec.source must hold exactly one", "RefusedByCluster", True),
        (403, "exceeded quota: objects, used: 5", "OverQuota", False),
        (403, "namespace dh-acme is being terminated", "TenantDeleting", False),
        (403, 'User "system:serviceaccount:x" cannot create', "ClusterRole", True),
        (404, "not found", "NotFound", False),
        (409, "etcd says exists", "Conflict", False),
        (500, "etcd leader changed", "KubernetesUnavailable", False),
    ],
)
def test_refusals(status: int, message: str, code: str, shown: bool) -> None:  # noqa: FBT001 - a table's column
    error = error_of(status, json.dumps({"message": message}).encode())
    assert error.code == code
    assert (message in error.message) == shown


def test_refusal_that_is_no_json() -> None:
    assert error_of(502, b"<html>").code == "KubernetesUnavailable"


def test_inline_text_is_not_kept() -> None:
    spec = {"source": {"inline": {"name": "n", "text": "secret"}}}
    job = parse_ingest_job({"metadata": {"name": "a"}, "spec": spec})
    assert "secret" not in job.model_dump_json()
    assert spec["source"]["inline"]["text"] == "secret"

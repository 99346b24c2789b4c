"""A job's feed and its watchers, over a real Redis whose stream a tenant's worker may have filled with anything."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from redis.asyncio import Redis

from dreamhub import names
from dreamhub.crd.ingest_job import IngestJob
from dreamhub.domain.progress import Progress
from dreamhub.storage.progress import Deltas, Position, Snapshot, WakeUps, publish, read_since
from dreamhub_api.hub import job_feed as module
from dreamhub_api.hub.job_feed import JobFeed
from dreamhub_api.hub.outbox import Frame
from dreamhub_api.hub.subscription import Subscription

TENANT = "feeds"


class Receiver:
    def __init__(self) -> None:
        self.messages: list[Any] = []

    def send(self, frame: Frame) -> None:
        self.messages.append(json.loads(frame.text))

    @property
    def percents(self) -> list[int]:
        return [message["data"]["progress"]["percent"] for message in self.messages if "data" in message]

    async def reach(self, percent: int) -> None:
        async with asyncio.timeout(60):
            while percent not in self.percents:
                await asyncio.sleep(0.01)

    async def fail(self) -> Any:
        async with asyncio.timeout(60):
            while not (errors := [message for message in self.messages if message["type"] == "error"]):
                await asyncio.sleep(0.01)
        assert len(errors) == 1
        return errors[0]


class Rig:
    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        self.uid = f"uid-{secrets.token_hex(4)}"
        self.key = names.progress_key(TENANT, self.uid)
        self.feed = JobFeed(redis, TENANT, self.resource())

    def resource(self) -> IngestJob:
        return IngestJob.model_validate(
            {
                "metadata": {"name": "a", "uid": self.uid, "creationTimestamp": "2026-01-01T00:00:00Z"},
                "spec": {"source": {"inline": {"name": "n", "text": "-"}}},
            }
        )

    async def publish(self, percent: int) -> Position:
        return await publish(self.redis, TENANT, self.uid, Progress(stage="Embedding", percent=percent))

    async def publish_raw(self, document: bytes) -> None:
        offset = await self.redis.hincrby(f"{self.key}:head", "offset", 1)
        await self.redis.xadd(self.key, {"progress": document}, id=f"{offset}-0")
        await self.redis.publish(self.key, str(offset))

    async def watch(self, since: Position | None = None) -> Receiver:
        receiver = Receiver()
        await self.feed.subscribe(Subscription(receiver, "job:feeds/a"), since)
        return receiver


@asynccontextmanager
async def running(redis: Redis) -> AsyncIterator[Rig]:
    rig = Rig(redis)
    async with WakeUps(redis) as wake_ups:
        task = asyncio.create_task(rig.feed.run(wake_ups))
        try:
            yield rig
            assert not task.done(), "the feed lives"
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_what_comes_in_the_middle_of_a_resume_reaches_everybody(
    redis_admin: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the feed's own look and the look for whoever resumes, the worker reports once more."""
    rig = Rig(redis_admin)
    first = await rig.publish(10)
    earlier = await rig.watch()
    plain = read_since

    async def read_late(redis: Redis, tenant: str, uid: str, since: Position | None) -> Snapshot | Deltas | None:
        if since == first and earlier.percents != [10]:
            await rig.publish(30)
        return await plain(redis, tenant, uid, since)

    await rig.publish(20)
    monkeypatch.setattr(module, "read_since", read_late)
    late = await rig.watch(first)
    assert late.percents == [20, 30], "the newest progress stands at the newest offset"
    assert [message["offset"] for message in late.messages] == [2, 3]
    assert earlier.percents == [10, 20, 30]


async def test_entries_that_nobody_can_read_are_passed_over(redis_admin: Redis) -> None:
    async with running(redis_admin) as rig:
        watcher = await rig.watch()
        await rig.publish(10)
        await watcher.reach(10)
        for document in (b"{", b"\xff", b'{"percent": "much"}', b'{"errors": [{}]}'):
            await rig.publish_raw(document)
        await rig.publish(20)
        await watcher.reach(20)
        assert "error" not in {message["type"] for message in watcher.messages}


async def test_a_stream_that_is_none_is_admitted_once_and_outlived(redis_admin: Redis) -> None:
    async with running(redis_admin) as rig:
        watcher = await rig.watch()
        await rig.publish(10)
        await watcher.reach(10)
        await redis_admin.set(rig.key, "no stream")
        await redis_admin.publish(rig.key, "0")
        error = await watcher.fail()
        assert error["code"] == "ProgressUnavailable"
        await redis_admin.delete(rig.key, f"{rig.key}:head")
        await rig.publish(20)
        await watcher.reach(20)
        assert len([message for message in watcher.messages if message["type"] == "error"]) == 1


async def test_a_fault_of_ours_is_outlived_too(redis_admin: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object) -> None:
        raise KeyError("a bug")

    async with running(redis_admin) as rig:
        watcher = await rig.watch()
        await rig.publish(10)
        await watcher.reach(10)
        with monkeypatch.context() as patch:
            patch.setattr(module, "read_since", fail)
            await redis_admin.publish(rig.key, "0")
            assert "KeyError" in (await watcher.fail())["message"]
        await rig.publish(20)
        await watcher.reach(20)


async def test_an_unreadable_end_falls_back_to_the_resource(redis_admin: Redis) -> None:
    rig = Rig(redis_admin)
    await rig.publish(10)
    await rig.publish_raw(b"{")
    watcher = await rig.watch()
    assert watcher.percents == [0]
    assert watcher.messages[0]["offset"] == 2


async def test_who_joins_a_job_as_it_goes_is_told(redis_admin: Redis) -> None:
    rig = Rig(redis_admin)
    rig.feed.end()
    watcher = await rig.watch()
    assert watcher.messages[-1]["code"] == "JobNotFound"
    assert rig.feed.empty

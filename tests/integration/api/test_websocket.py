"""Live progress: snapshot, deltas, resuming after a lost connection, and who may listen."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from redis.asyncio import Redis

from dreamhub import names
from dreamhub.domain.progress import DocumentCounts, Progress
from dreamhub.storage.progress import publish
from dreamhub_api.auth import token_review
from dreamhub_api.hub import connection
from tests.integration.api.platform import Caller, Cluster, Tenant, until

INLINE = {"source": {"inline": {"name": "note.md", "text": "Some text."}}}
RECEIVE_SECONDS = 60.0


class Socket:
    def __init__(self, inner: aiohttp.ClientWebSocketResponse) -> None:
        self.inner = inner

    async def send(self, **message: Any) -> None:
        await self.inner.send_json(message)

    async def receive(self) -> Any:
        return await self.inner.receive_json(timeout=RECEIVE_SECONDS)

    async def receive_until(self, **fields: Any) -> list[Any]:
        """All messages up to the first whose data has these fields."""
        seen = []
        while True:
            message = await self.receive()
            seen.append(message)
            data = message.get("data", {})
            if all(data.get(key) == value for key, value in fields.items()):
                return seen


@asynccontextmanager
async def connect(caller: Caller, **options: Any) -> AsyncIterator[Socket]:
    headers = options.pop("headers", caller.headers)
    url = caller.url.replace("http", "ws") + "/ws"
    async with caller.session.ws_connect(url, headers=headers, **options) as inner:
        yield Socket(inner)


def progress(percent: int) -> Progress:
    return Progress(stage="Embedding", percent=percent, chunks=percent, documents=DocumentCounts(total=1))


async def make_job(caller: Caller, name: str) -> str:
    await caller.ok("POST", "/ingest-jobs", json={**INLINE, "name": name})
    return name


async def uid_of(caller: Caller, job: str) -> str:
    uid: str = (await caller.ok("GET", f"/ingest-jobs/{job}"))["uid"]
    return uid


async def test_snapshot_then_deltas(caller: Caller, acme: Tenant, redis_admin: Redis) -> None:
    job = await make_job(caller, "live")
    uid = await uid_of(caller, job)
    channel = f"job:{acme.name}/{job}"
    async with connect(caller) as socket:
        await socket.send(op="subscribe", channel=channel)
        first = await socket.receive()
        assert (first["type"], first["channel"], first["offset"]) == ("snapshot", channel, 0)
        assert "recovered" not in first
        assert first["data"]["phase"] == "Pending"
        for percent in (10, 50, 90):
            await publish(redis_admin, acme.name, uid, progress(percent))
        seen = await socket.receive_until(phase="Running")
        while seen[-1]["data"]["progress"]["percent"] < 90:
            seen.append(await socket.receive())
        assert {message["type"] for message in seen} == {"delta"}
        assert seen[-1]["offset"] == 3
        assert seen[-1]["data"]["progress"]["stage"] == "Embedding"


async def test_resume_gives_all_that_was_missed(caller: Caller, acme: Tenant, redis_admin: Redis) -> None:
    job = await make_job(caller, "resume")
    uid = await uid_of(caller, job)
    channel = f"job:{acme.name}/{job}"
    position = await publish(redis_admin, acme.name, uid, progress(10))
    for percent in (20, 30, 40):
        await publish(redis_admin, acme.name, uid, progress(percent))
    async with connect(caller) as socket:
        since = {"epoch": position.epoch, "offset": position.offset}
        await socket.send(op="subscribe", channel=channel, since=since)
        missed = [await socket.receive() for _ in range(3)]
        assert [message["type"] for message in missed] == ["delta"] * 3
        assert [message["offset"] for message in missed] == [2, 3, 4]
        assert [message["data"]["progress"]["percent"] for message in missed] == [20, 30, 40]
        assert [message.get("recovered") for message in missed] == [True, None, None]
        await publish(redis_admin, acme.name, uid, progress(50))
        assert (await socket.receive())["offset"] == 5


async def test_resume_without_news_says_so(caller: Caller, acme: Tenant, redis_admin: Redis) -> None:
    job = await make_job(caller, "quiet")
    uid = await uid_of(caller, job)
    position = await publish(redis_admin, acme.name, uid, progress(10))
    async with connect(caller) as socket:
        since = {"epoch": position.epoch, "offset": position.offset}
        await socket.send(op="subscribe", channel=f"job:{acme.name}/{job}", since=since)
        message = await socket.receive()
        assert (message["recovered"], message["offset"]) == (True, position.offset)
        assert message["data"]["progress"]["percent"] == 10


async def test_lost_stream_is_admitted(caller: Caller, acme: Tenant, redis_admin: Redis) -> None:
    """Redis was wiped: another epoch. The client is told, and gets a snapshot."""
    job = await make_job(caller, "lost")
    uid = await uid_of(caller, job)
    position = await publish(redis_admin, acme.name, uid, progress(10))
    key = names.progress_key(acme.name, uid)
    await redis_admin.delete(key, f"{key}:head")
    await publish(redis_admin, acme.name, uid, progress(60))
    async with connect(caller) as socket:
        since = {"epoch": position.epoch, "offset": position.offset}
        await socket.send(op="subscribe", channel=f"job:{acme.name}/{job}", since=since)
        message = await socket.receive()
        assert (message["type"], message["recovered"]) == ("snapshot", False)
        assert message["epoch"] != position.epoch
        assert message["data"]["progress"]["percent"] == 60


async def test_phase_of_the_resource_is_a_delta(caller: Caller, acme: Tenant, cluster: Cluster) -> None:
    job = await make_job(caller, "phase")
    async with connect(caller) as socket:
        await socket.send(op="subscribe", channel=f"job:{acme.name}/{job}")
        assert (await socket.receive())["data"]["phase"] == "Pending"
        await cluster.set_job_status(acme.name, job, {"phase": "Succeeded", "reason": "Ingested"})
        seen = await socket.receive_until(phase="Succeeded")
        assert seen[-1]["data"]["reason"] == "Ingested"


async def test_deleted_job_ends_its_channel(caller: Caller, acme: Tenant) -> None:
    job = await make_job(caller, "ends")
    async with connect(caller) as socket:
        await socket.send(op="subscribe", channel=f"job:{acme.name}/{job}")
        await socket.receive()
        await caller.call("DELETE", f"/ingest-jobs/{job}")
        message = await socket.receive()
        assert (message["type"], message["code"]) == ("error", "JobNotFound")


async def test_a_job_made_again_under_its_name_begins_anew(caller: Caller, acme: Tenant, redis_admin: Redis) -> None:
    job = await make_job(caller, "again")
    former = await uid_of(caller, job)
    await publish(redis_admin, acme.name, former, progress(90))
    await caller.ok("DELETE", f"/ingest-jobs/{job}")
    assert [key async for key in redis_admin.scan_iter(f"{names.progress_key(acme.name, former)}*")] == []
    await publish(redis_admin, acme.name, former, progress(95))  # its worker did not know yet

    async def made() -> bool:
        return (await caller.call("POST", "/ingest-jobs", json={**INLINE, "name": job}))[0] == 201

    await until(made, "the name is free again")
    async with connect(caller) as socket:
        await socket.send(op="subscribe", channel=f"job:{acme.name}/{job}")
        first = await socket.receive()
        assert (first["type"], first["offset"], first["data"]["progress"]["percent"]) == ("snapshot", 0, 0)
        await publish(redis_admin, acme.name, await uid_of(caller, job), progress(5))
        seen = await socket.receive_until(phase="Running")
        assert seen[-1]["data"]["progress"]["percent"] == 5


async def test_a_broken_stream_ends_no_connection(caller: Caller, acme: Tenant, redis_admin: Redis) -> None:
    job = await make_job(caller, "broken")
    uid = await uid_of(caller, job)
    key = names.progress_key(acme.name, uid)
    await publish(redis_admin, acme.name, uid, progress(5))
    await redis_admin.set(key, "no stream")
    async with connect(caller) as socket:
        await socket.send(op="subscribe", channel=f"job:{acme.name}/{job}")
        answer = await socket.receive()
        assert (answer["type"], answer["code"]) == ("error", "ProgressUnavailable")
        await redis_admin.delete(key)
        await publish(redis_admin, acme.name, uid, progress(7))
        await socket.send(op="subscribe", channel=f"job:{acme.name}/{job}")
        assert (await socket.receive())["data"]["progress"]["percent"] == 7


async def test_board(caller: Caller, acme: Tenant) -> None:
    await make_job(caller, "one")
    async with connect(caller) as socket:
        await socket.send(op="subscribe", channel="jobs")
        snapshot = await socket.receive()
        assert [job["name"] for job in snapshot["data"]["jobs"]] == ["one"]
        await make_job(caller, "two")
        delta = await socket.receive()
        assert (delta["type"], delta["data"]["job"]["name"]) == ("delta", "two")
    await make_job(caller, "three")
    async with connect(caller) as socket:
        since = {"epoch": delta["epoch"], "offset": delta["offset"]}
        await socket.send(op="subscribe", channel="jobs", since=since)
        missed = await socket.receive()
        assert (missed["recovered"], missed["data"]["job"]["name"]) == (True, "three")
        await caller.call("DELETE", "/ingest-jobs/one")
        assert (await socket.receive())["data"] == {"deleted": "one"}
        await socket.send(op="subscribe", channel="jobs", since={"epoch": "other", "offset": 1})
        answer = await socket.receive()
        assert (answer["type"], answer["recovered"]) == ("snapshot", False)
        assert {job["name"] for job in answer["data"]["jobs"]} == {"two", "three"}


async def test_many_channels_on_one_connection(caller: Caller, acme: Tenant, redis_admin: Redis) -> None:
    jobs = [await make_job(caller, f"many-{number}") for number in range(3)]
    async with connect(caller) as socket:
        for job in jobs:
            await socket.send(op="subscribe", channel=f"job:{acme.name}/{job}")
        assert {(await socket.receive())["channel"] for _ in jobs} == {f"job:{acme.name}/{job}" for job in jobs}
        await socket.send(op="unsubscribe", channel=f"job:{acme.name}/{jobs[0]}")
        assert (await socket.receive())["type"] == "unsubscribed"
        for job in jobs:
            await publish(redis_admin, acme.name, await uid_of(caller, job), progress(5))
        heard = {(await socket.receive())["channel"] for _ in range(2)}
        assert heard == {f"job:{acme.name}/{job}" for job in jobs[1:]}
        await socket.send(op="ping")
        assert (await socket.receive())["type"] == "pong"


async def test_foreign_and_absent_channels_read_alike(caller: Caller, stranger: Caller) -> None:
    foreign = await make_job(stranger, "theirs")
    tenant = (await stranger.ok("GET", "/tenants/self"))["name"]
    async with connect(caller) as socket:
        answers = []
        for channel in (f"job:{tenant}/{foreign}", f"job:{tenant}/absent", "job:nobody/x", "nonsense", "job:"):
            await socket.send(op="subscribe", channel=channel)
            answer = await socket.receive()
            assert answer.pop("channel") == channel
            answers.append(answer)
        assert all(answer == answers[0] for answer in answers)
        assert answers[0]["code"] == "ChannelNotFound"
        own = (await caller.ok("GET", "/tenants/self"))["name"]
        await socket.send(op="subscribe", channel=f"job:{own}/absent")
        assert (await socket.receive())["code"] == "JobNotFound"


async def test_bad_messages_do_not_end_the_connection(caller: Caller) -> None:
    async with connect(caller) as socket:
        for text in ("{", "[]", '{"op":"shout"}', '{"op":"subscribe"}', '{"op":"ping","more":1}'):
            await socket.inner.send_str(text)
            answer = await socket.receive()
            assert (answer["type"], answer["code"]) == ("error", "BadMessage")
        await socket.inner.send_bytes(b"\x00")
        assert (await socket.receive())["code"] == "BadMessage"
        await socket.send(op="ping")
        assert (await socket.receive())["type"] == "pong"


async def test_ticket_opens_once(caller: Caller, acme: Tenant) -> None:
    ticket = (await caller.ok("POST", "/ws-tickets"))["ticket"]
    async with connect(caller, headers={}, params={"ticket": ticket}) as socket:
        await socket.send(op="ping")
        assert (await socket.receive())["type"] == "pong"
    for used in (ticket, "nonsense", f"{acme.name}.wrong", ""):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            async with connect(caller, headers={}, params={"ticket": used}):
                pass
        assert refused.value.status == 401


async def test_a_ticket_keeps_its_token_to_itself(caller: Caller, acme: Tenant, redis_admin: Redis) -> None:
    await caller.ok("POST", "/ws-tickets")
    (key,) = [key async for key in redis_admin.scan_iter(f"{names.redis_prefix(acme.name)}ticket:*")]
    held = await redis_admin.get(key)
    assert held is not None
    assert acme.token.encode()[:40] not in held
    assert b"owner" not in held


@pytest.fixture
def checked_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "RECHECK_SECONDS", 0.1)
    monkeypatch.setattr(token_review, "ACCEPTED_SECONDS", 0.1)


@pytest.mark.usefixtures("checked_often")
@pytest.mark.parametrize("way", ["header", "ticket"])
async def test_a_login_that_is_taken_back_ends_the_connection(
    caller: Caller, acme: Tenant, cluster: Cluster, way: str
) -> None:
    """The token would live for an hour, but its service account is deleted. Kubernetes too takes some seconds."""
    options: dict[str, Any] = {}
    if way == "ticket":
        ticket = (await caller.ok("POST", "/ws-tickets"))["ticket"]
        options = {"headers": {}, "params": {"ticket": ticket}}
    async with connect(caller, **options) as socket:
        await socket.send(op="ping")
        assert (await socket.receive())["type"] == "pong"
        path = f"/api/v1/namespaces/{names.namespace(acme.name)}/serviceaccounts/{names.OWNER_SERVICE_ACCOUNT}"
        await cluster.api.ok("DELETE", path)
        message = await socket.inner.receive(timeout=60)
        assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 4401)


async def test_no_login_no_connection(caller: Caller) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        async with connect(caller, headers={}):
            pass
    assert refused.value.status == 401


async def test_connections_are_counted(caller: Caller) -> None:
    async def value(name: str) -> float:
        async with caller.session.get(f"{caller.url}/metrics") as response:
            lines = (await response.text()).splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(name))

    async def all_closed() -> bool:
        return await value("dreamhub_ws_connections ") == 0

    await until(all_closed, "those of other tests are closed")
    closed = await value('dreamhub_ws_closed_total{reason="client"}')
    async with connect(caller) as socket:
        await socket.send(op="ping")
        await socket.receive()
        assert await value("dreamhub_ws_connections ") == 1
    async with asyncio.timeout(RECEIVE_SECONDS):
        while await value('dreamhub_ws_closed_total{reason="client"}') < closed + 1:
            await asyncio.sleep(0.02)

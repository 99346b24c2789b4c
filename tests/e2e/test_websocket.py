"""The WebSocket as programs use it that do not use our client: subscribe, resume, tickets, and what is refused."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from dreamhub_client.kube import create_token
from dreamhub_client.models import IngestJobCreate
from dreamhub_client.sources import DocumentsSource, InlineSource, JobSource
from tests.e2e.files import long_text
from tests.e2e.tenants import JOB_SECONDS, Tenant, new_name

RECEIVE_SECONDS = JOB_SECONDS
Message = dict[str, Any]


@asynccontextmanager
async def open_socket(tenant: Tenant, **options: Any) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    headers = {} if "params" in options else {"Authorization": f"Bearer {await create_token(tenant.access)}"}
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{tenant.server}/ws", headers=headers, **options) as socket,
    ):
        yield socket


async def receive(socket: aiohttp.ClientWebSocketResponse) -> Message:
    message: Message = json.loads(await socket.receive_str(timeout=RECEIVE_SECONDS))
    return message


async def start_job(tenant: Tenant) -> str:
    source = JobSource(inline=InlineSource(name=f"{new_name('ws')}.md", text="Follow me. " * 200))
    return (await tenant.client.create_ingest_job(IngestJobCreate(source=source))).name


async def start_longer_job(tenant: Tenant) -> str:
    """One that announces its progress more than once: several seconds of work for the fastest machine."""
    document = await tenant.upload(f"{new_name('ws')}.txt", long_text(8, seed=5))
    source = JobSource(documents=DocumentsSource(ids=(document.id,)))
    return (await tenant.client.create_ingest_job(IngestJobCreate(source=source))).name


async def test_snapshot_then_deltas_then_resumption(tenant: Tenant) -> None:
    job = await start_longer_job(tenant)
    channel = f"job:{tenant.name}/{job}"
    async with open_socket(tenant) as socket:
        await socket.send_json({"op": "subscribe", "channel": channel})
        first = await receive(socket)
        assert (first["type"], first["channel"]) == ("snapshot", channel)
        seen = [first]
        while seen[-1]["data"]["phase"] not in {"Succeeded", "Failed"}:
            seen.append(await receive(socket))
    assert {message["type"] for message in seen[1:]} <= {"delta"}
    assert seen[-1]["data"]["phase"] == "Succeeded"
    percents = [message["data"]["progress"]["percent"] for message in seen]
    assert percents == sorted(percents)
    offsets = [message["offset"] for message in seen]
    assert offsets == sorted(offsets)
    assert offsets[-1] > 1, "progress came live and not only with the end"

    begun = {"epoch": seen[-1]["epoch"], "offset": 1}
    async with open_socket(tenant) as socket:
        await socket.send_json({"op": "subscribe", "channel": channel, "since": begun})
        again = [await receive(socket)]
        assert again[0]["recovered"] is True
        while again[-1]["offset"] < offsets[-1]:
            again.append(await receive(socket))
        assert [message["offset"] for message in again] == list(range(2, offsets[-1] + 1))
        assert again[-1]["data"]["phase"] == "Succeeded"
        await socket.send_json({"op": "subscribe", "channel": channel, "since": {"epoch": "other", "offset": 1}})
        while (lost := await receive(socket))["type"] != "snapshot":
            pass
        assert (lost["recovered"], lost["data"]["phase"]) == (False, "Succeeded")


async def test_board_shows_a_new_job_and_its_deletion(tenant: Tenant) -> None:
    async with open_socket(tenant) as socket:
        await socket.send_json({"op": "subscribe", "channel": "jobs"})
        assert "jobs" in (await receive(socket))["data"]
        job = await start_job(tenant)
        while (await receive(socket))["data"].get("job", {}).get("name") != job:
            pass
        await tenant.client.wait_job(job, JOB_SECONDS)
        await tenant.client.delete_ingest_job(job)
        while (await receive(socket))["data"].get("deleted") != job:
            pass


async def test_foreign_job_is_refused_like_an_absent_one(tenant: Tenant, rival: Tenant) -> None:
    job = await start_job(tenant)
    refusals = []
    async with open_socket(rival) as socket:
        for channel in (f"job:{tenant.name}/{job}", f"job:{tenant.name}/no-such-job", "job:no-such-tenant/x"):
            await socket.send_json({"op": "subscribe", "channel": channel})
            message = await receive(socket)
            refusals.append((message["type"], message["code"], message["message"]))
    assert len(set(refusals)) == 1
    assert refusals[0][0] == "error"


async def test_ticket_opens_one_socket_once(tenant: Tenant) -> None:
    ticket = (await tenant.client.create_ws_ticket()).ticket
    async with open_socket(tenant, params={"ticket": ticket}) as socket:
        await socket.send_json({"op": "ping"})
        assert (await receive(socket))["type"] == "pong"
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        async with open_socket(tenant, params={"ticket": ticket}):
            pass
    assert refused.value.status == 401


async def test_malformed_message_is_an_error_and_the_socket_stays(tenant: Tenant) -> None:
    async with open_socket(tenant) as socket:
        for text in ("{", '{"op": "dance"}', '{"op": "subscribe"}', "[]"):
            await socket.send_str(text)
            assert (await receive(socket))["type"] == "error"
        await socket.send_json({"op": "ping"})
        assert (await receive(socket))["type"] == "pong"

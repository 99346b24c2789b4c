"""The server as a process: its start, its end, and a start that cannot succeed."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from dreamhub_api.settings import Settings
from tests.integration.api.conftest import MakeTenant, ready_caller
from tests.integration.api.platform import run_server, until
from tests.integration.servers import pick_port

MAX_RSS_MEBIBYTES = 200


def environment(settings: Settings, port: int) -> dict[str, str]:
    given = settings.model_dump(mode="json", exclude_none=True)
    ours = {f"DREAMHUB_{name.upper()}": str(value) for name, value in given.items()}
    ports = {"DREAMHUB_LISTEN_PORT": str(port), "DREAMHUB_INTERNAL_PORT": str(pick_port())}
    return {**os.environ, **ours, **ports, "DREAMHUB_LISTEN_HOST": "127.0.0.1"}


@asynccontextmanager
async def process(env: dict[str, str]) -> AsyncIterator[asyncio.subprocess.Process]:
    command = [sys.executable, "-m", "dreamhub_api"]
    pipe = asyncio.subprocess.PIPE
    running = await asyncio.create_subprocess_exec(*command, env=env, stdout=pipe, stderr=pipe)
    try:
        yield running
    finally:
        if running.returncode is None:
            running.kill()
        await running.communicate()


def rss_mebibytes(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    match = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert match
    return int(match.group(1)) / 1024


async def test_serves_and_ends_on_sigterm(
    http: aiohttp.ClientSession,
    settings: Settings,
    make_tenant: MakeTenant,
) -> None:
    port = pick_port()
    url = f"http://127.0.0.1:{port}"
    env = environment(settings, port)
    async with process(env) as server:

        async def ready() -> bool:
            try:
                async with http.get(f"{url}/readyz") as response:
                    return response.status == 200
            except aiohttp.ClientConnectionError:
                assert server.returncode is None
                return False

        await until(ready, "the process is ready")
        caller = await ready_caller(http, url, await make_tenant())
        assert (await caller.upload("a.txt", b"Some text."))[0] == 201
        await caller.ok("POST", "/search", json={"query": "text"})
        assert rss_mebibytes(server.pid) < MAX_RSS_MEBIBYTES
        for where, status in ((url, 404), (f"http://127.0.0.1:{env['DREAMHUB_INTERNAL_PORT']}", 401)):
            async with http.post(f"{where}/internal/v1/links", json={}) as response:
                assert response.status == status
        server.send_signal(signal.SIGTERM)
        async with asyncio.timeout(60):
            out, _ = await server.communicate()
        assert server.returncode == 0
        assert b'"route":"/api/v1/documents"' in out.replace(b'": "', b'":"')
        assert caller.token is not None
        assert caller.token.encode() not in out


async def test_says_what_is_missing() -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith("DREAMHUB_")}
    async with process(env) as server:
        _, err = await server.communicate()
        assert server.returncode == 1
        assert b"DREAMHUB_DATABASE_URL_FILE: Field required" in err


async def test_shutdown_sends_watchers_elsewhere(
    http: aiohttp.ClientSession, settings: Settings, make_tenant: MakeTenant
) -> None:
    tenant = await make_tenant()
    async with run_server(settings) as url:
        caller = await ready_caller(http, url, tenant)
        socket = await http.ws_connect(f"{url}/ws".replace("http", "ws"), headers=caller.headers)
        await socket.send_json({"op": "ping"})
        assert (await socket.receive_json(timeout=60))["type"] == "pong"
        last = asyncio.create_task(socket.receive(timeout=60))
    message = await last
    assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1001)
    await socket.close()

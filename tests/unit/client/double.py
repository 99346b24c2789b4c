"""A server on the loopback interface whose answers a test scripts, and which remembers what it was asked."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSMsgType, web
from aiohttp.test_utils import TestServer

DOCUMENT_ID = "doc_" + "0" * 32
VERSION_ID = "ver_" + "0" * 32
TIME = "2026-01-15T12:00:00Z"
TENANT = {
    "name": "acme",
    "displayName": "Acme",
    "phase": "Active",
    "suspended": False,
    "models": {"embedding": "builtin/wordllama-256", "chat": "builtin/extractive"},
    "subject": "system:serviceaccount:dh-acme:owner",
    "scopes": ["read", "write"],
}

Reply = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    query: list[tuple[str, str]]
    authorization: str
    body: bytes


@dataclass
class Double:
    """Answers of `script[(method, path)]` one after the other; the last one stays. Absent paths are problems 404."""

    script: dict[tuple[str, str], list[Reply]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    server: str = ""

    def on(self, method: str, path: str, *replies: Reply) -> None:
        self.script[method, path] = list(replies)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Upgrade") is None:
            body = await request.read()
        else:
            body = b""
        authorization = request.headers.get("Authorization", "")
        self.asked.append(
            Asked(request.method, request.path, list(request.query.items()), authorization, body),
        )
        replies = self.script.get((request.method, request.path))
        if not replies:
            return await problem(404, "NotFound", "there is no such thing")(request)
        reply = replies.pop(0) if len(replies) > 1 else replies[0]
        return await reply(request)

    def count(self, method: str, path: str) -> int:
        return sum(1 for asked in self.asked if (asked.method, asked.path) == (method, path))


def answer(body: object, status: int = 200, headers: dict[str, str] | None = None) -> Reply:
    async def reply(_: web.Request) -> web.StreamResponse:
        return web.json_response(body, status=status, headers=headers)

    return reply


def problem(status: int, code: str, detail: str, headers: dict[str, str] | None = None, **more: object) -> Reply:
    async def reply(request: web.Request) -> web.StreamResponse:
        body = {"type": "about:blank", "title": "T", "status": status, "detail": detail, "code": code}
        return web.Response(
            body=json.dumps({**body, "instance": request.path, **more}),
            status=status,
            content_type="application/problem+json",
            headers=headers,
        )

    return reply


def plain(status: int, text: str) -> Reply:
    async def reply(_: web.Request) -> web.StreamResponse:
        return web.Response(text=text, status=status)

    return reply


def hang_up() -> Reply:
    async def reply(request: web.Request) -> web.StreamResponse:
        if request.transport is not None:
            request.transport.abort()
        return web.Response()

    return reply


def socket(*messages: dict[str, Any], subscriptions: list[dict[str, Any]] | None = None) -> Reply:
    """A WebSocket that answers the first subscription with `messages` and closes."""

    async def reply(request: web.Request) -> web.StreamResponse:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        first = await ws.receive()
        if first.type is WSMsgType.TEXT and subscriptions is not None:
            subscriptions.append(json.loads(first.data))
        for message in messages:
            await ws.send_json(message)
        await ws.close()
        return ws

    return reply


def document(**fields: object) -> dict[str, object]:
    return {
        "id": DOCUMENT_ID,
        "name": "note.md",
        "mediaType": "text/markdown",
        "source": "upload",
        "latestVersion": VERSION_ID,
        "state": "uploaded",
        "sizeBytes": 12,
        "createdAt": TIME,
        "updatedAt": TIME,
        **fields,
    }


def job(**fields: object) -> dict[str, object]:
    return {
        "name": "job-1",
        "uid": "0197f0c2-a5d4-7c1e-8b3f-6a90d1e2c4b7",
        "source": {"documents": {"ids": [DOCUMENT_ID]}},
        "phase": "Pending",
        "createdAt": TIME,
        **fields,
    }


def update(phase: str, percent: int) -> dict[str, object]:
    return {"name": "job-1", "phase": phase, "progress": {"percent": percent}}


def message(kind: str, offset: int, data: dict[str, object]) -> dict[str, Any]:
    return {"type": kind, "channel": "job:acme/job-1", "epoch": "e1", "offset": offset, "data": data}


@asynccontextmanager
async def run_double() -> AsyncIterator[Double]:
    double = Double()
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_route("*", "/{path:.*}", double.handle)
    async with TestServer(app) as server:
        double.server = str(server.make_url("")).rstrip("/")
        double.on("GET", "/api/v1/tenants/self", answer(TENANT))
        yield double

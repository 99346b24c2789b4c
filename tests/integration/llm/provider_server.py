"""A local server that speaks OpenAI's embeddings and chat protocol, with a provider's moods."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from aiohttp import web

DIMENSIONS = 8


@dataclass(frozen=True)
class Mood:
    """One bad answer."""

    status: int = 500
    code: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    hang_seconds: float = 0.0


@dataclass
class Provider:
    port: int = 0
    moods: list[Mood] = field(default_factory=list)
    """Given first, one a request."""
    requests: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    dimensions: int = DIMENSIONS
    gate: asyncio.Semaphore | None = None
    """Each embedding request takes one; without any left it waits."""
    plain_numbers: bool = False
    """Ignore the wish for base64, as some servers do."""

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    async def embeddings(self, request: web.Request) -> web.Response:
        body = await request.json()
        if (refusal := await self._note(request, body)) is not None:
            return refusal
        if self.gate is not None:
            await self.gate.acquire()
        data = [
            {"object": "embedding", "index": index, "embedding": self._encode(text)}
            for index, text in enumerate(body["input"])
        ]
        data.reverse()  # the protocol promises indexes, not an order
        tokens = sum(len(text.split()) for text in body["input"])
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return web.json_response({"object": "list", "model": body["model"], "data": data, "usage": usage})

    async def chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        if (refusal := await self._note(request, body)) is not None:
            return refusal
        words = ["Thirty ", "days ", "[1]."]
        if body.get("stream"):
            return await self._stream(request, words)
        message = {"role": "assistant", "content": "".join(words)}
        usage = {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return web.json_response(self._envelope("chat.completion") | {"choices": [choice], "usage": usage})

    async def _stream(self, request: web.Request, words: list[str]) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for word in words:
            choice = {"index": 0, "delta": {"content": word}, "finish_reason": None}
            event = self._envelope("chat.completion.chunk") | {"choices": [choice]}
            await response.write(f"data: {json.dumps(event)}\n\n".encode())
        await response.write(b"data: [DONE]\n\n")
        return response

    async def _note(self, request: web.Request, body: dict[str, Any]) -> web.Response | None:
        self.requests.append(body)
        self.keys.append(request.headers.get("Authorization", ""))
        if not self.moods:
            return None
        mood = self.moods.pop(0)
        if mood.hang_seconds:
            await asyncio.sleep(mood.hang_seconds)
        error = {"message": "no", "type": "x", "code": mood.code, "param": None}
        return web.json_response({"error": error}, status=mood.status, headers=mood.headers)

    def _encode(self, text: str) -> str | list[float]:
        vector = vector_of(text, self.dimensions)
        return vector.tolist() if self.plain_numbers else base64.b64encode(vector.tobytes()).decode()

    @staticmethod
    def _envelope(kind: str) -> dict[str, Any]:
        return {"id": "1", "object": kind, "created": 1, "model": "served"}


def vector_of(text: str, dimensions: int = DIMENSIONS) -> "np.ndarray[tuple[int], np.dtype[np.float32]]":
    """The same text, the same vector; never of length one."""
    counts = np.bincount(np.frombuffer(text.encode(), dtype=np.uint8) % dimensions, minlength=dimensions)
    return (counts + 1).astype("<f4")


@asynccontextmanager
async def run_provider() -> AsyncIterator[Provider]:
    provider = Provider()
    app = web.Application(client_max_size=2**26)
    app.router.add_post("/v1/embeddings", provider.embeddings)
    app.router.add_post("/v1/chat/completions", provider.chat)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    provider.port = runner.addresses[0][1]
    yield provider
    await runner.cleanup()

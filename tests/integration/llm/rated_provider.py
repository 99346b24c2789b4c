"""A provider as one meets it in the wild: limits over any minute, errors, hangs, keys that are revoked, outages.

Its answers are right or none, so that whoever loses or mixes up a text is found out.
"""

import asyncio
import base64
import random
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.integration.llm.provider_server import vector_of

WINDOW_SECONDS = 60.0


@dataclass
class Window:
    """What was let in within the last minute."""

    limit: float
    entries: deque[tuple[float, int]] = field(default_factory=deque)
    used: int = 0

    def wait(self, amount: int, now: float) -> float:
        """0 when it fits now, else until it would."""
        while self.entries and self.entries[0][0] <= now - WINDOW_SECONDS:
            self.used -= self.entries.popleft()[1]
        lacking = self.used + amount - self.limit
        for at, entered in self.entries:
            if lacking <= 0:
                break
            lacking -= entered
            wait = at + WINDOW_SECONDS - now
        return wait if self.used + amount > self.limit and self.entries else 0.0

    def enter(self, amount: int, now: float) -> None:
        self.entries.append((now, amount))
        self.used += amount


@dataclass
class RatedProvider:
    requests_per_minute: int = 10**9
    tokens_per_minute: int = 10**9
    error_share: float = 0.0
    hang_share: float = 0.0
    hang_seconds: float = 120.0
    latency: float = 0.02
    seconds_per_token: float = 0.0
    keys: set[str] = field(default_factory=lambda: {"none"})
    """Those that are accepted."""
    away: bool = False
    """Answers 503 to everybody."""
    seed: int = 7
    port: int = 0
    calls: int = 0
    served: int = 0
    limited: int = 0
    refused_keys: int = 0
    admitted_tokens: int = 0
    """Of calls that were let in, whatever became of them: what a provider charges its limits with."""
    served_tokens: int = 0
    admissions: list[tuple[float, int]] = field(default_factory=list)
    _chance: random.Random = field(init=False)
    _requests: Window = field(init=False)
    _tokens: Window = field(init=False)

    def __post_init__(self) -> None:
        self._chance = random.Random(self.seed)  # noqa: S311 - chance that can be repeated
        self._requests, self._tokens = Window(self.requests_per_minute), Window(self.tokens_per_minute)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    async def embeddings(self, request: web.Request) -> web.Response:
        self.calls += 1
        body = await request.json()
        if self.away:
            return refuse(503)
        if request.headers["Authorization"].removeprefix("Bearer ") not in self.keys:
            self.refused_keys += 1
            return refuse(401, "invalid_api_key")
        tokens = sum(len(text.split()) for text in body["input"])
        if (refusal := self._admit(tokens)) is not None:
            return refusal
        luck = self._chance.random()
        if luck < self.hang_share:
            await asyncio.sleep(self.hang_seconds)
        await asyncio.sleep(self.latency + self.seconds_per_token * tokens)
        if luck < self.hang_share + self.error_share:
            return refuse(500)
        return self._answer(body, tokens)

    def _admit(self, tokens: int) -> web.Response | None:
        now = time.monotonic()
        wait = max(self._requests.wait(1, now), self._tokens.wait(tokens, now))
        if wait > 0:
            self.limited += 1
            return refuse(429, "rate_limit_exceeded", {"retry-after-ms": str(round(wait * 1000))})
        self._requests.enter(1, now)
        self._tokens.enter(tokens, now)
        self.admitted_tokens += tokens
        self.admissions.append((now, tokens))
        return None

    def _answer(self, body: dict[str, Any], tokens: int) -> web.Response:
        self.served += 1
        self.served_tokens += tokens
        data = [
            {"object": "embedding", "index": index, "embedding": base64.b64encode(vector_of(text).tobytes()).decode()}
            for index, text in enumerate(body["input"])
        ]
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return web.json_response({"object": "list", "model": body["model"], "data": data, "usage": usage})


def refuse(status: int, code: str | None = None, headers: dict[str, str] | None = None) -> web.Response:
    error = {"message": "no", "type": "x", "code": code, "param": None}
    return web.json_response({"error": error}, status=status, headers=headers)


@asynccontextmanager
async def run_rated_provider(provider: RatedProvider) -> AsyncIterator[RatedProvider]:
    app = web.Application(client_max_size=2**26)
    app.router.add_post("/v1/embeddings", provider.embeddings)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    provider.port = runner.addresses[0][1]
    yield provider
    await runner.cleanup()

"""The part of the API server that workers talk to, with real stores behind it and no cluster."""

import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from aiohttp import web

from dreamhub.domain.job_input import InputLinks
from dreamhub.domain.job_token import JobClaims, check_keys, sign_token
from dreamhub.domain.keys import DataKeys
from dreamhub.sql.connections import Pool
from dreamhub.storage.objects import ObjectStore
from dreamhub_api.app import create_internal_app
from dreamhub_api.metrics import build_metrics
from dreamhub_api.services.links import LinksService
from dreamhub_api.services.sessions import Sessions

KEY = "a key for the tokens of all workers"


@dataclass(frozen=True)
class LinkServer:
    url: str

    def links(self, tenant: str, run: str, *, seconds: float = 600, key: str = KEY) -> InputLinks:
        """What the operator hands to a run's workers."""
        claims = JobClaims(tenant, run, int(time.time() + seconds))
        return InputLinks(url=self.url, token=sign_token(claims, check_keys([key])))


async def _keep_keys() -> None:
    """The tests' keys do not change."""


@asynccontextmanager
async def run_links(
    api_pool: Pool,
    keys: Mapping[str, DataKeys],
    store: ObjectStore,
    token_keys: Callable[[], tuple[bytes, ...]] = lambda: check_keys([KEY]),
) -> AsyncIterator[LinkServer]:
    sessions = Sessions(api_pool, keys.get, _keep_keys)
    service = LinksService(sessions, store, token_keys, time.time)
    services: Any = SimpleNamespace(links=service, metrics=build_metrics())
    runner = web.AppRunner(create_internal_app(services), access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield LinkServer(f"http://127.0.0.1:{runner.addresses[0][1]}")
    finally:
        await runner.cleanup()

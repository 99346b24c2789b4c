"""Calls to a model's provider with true limits: how much of them is used, and what errors, an outage and new keys cost.

Three tenants of different weight, each with two workers that never run out of work, share a provider that counts
requests and tokens over any minute, fails 5 % of calls and leaves 1 % without an answer. The budget is divided by the
operator's own duty, over a real Redis.
"""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis

from dreamhub.cancelling import cancel_all
from dreamhub.errors import DreamHubError
from dreamhub.llm.embedding import Embedder, normalise, open_embedder
from dreamhub.llm.models import ModelList, ModelSettings
from dreamhub.storage.functions import load_functions
from dreamhub.storage.model_budget import Place, SharedBudget
from dreamhub_operator.duties.budget import ModelBudgets
from dreamhub_operator.metrics import Metrics
from dreamhub_operator.stores import RedisCache
from dreamhub_operator.watched import Watched
from tests.bench.environment import Environment
from tests.bench.process import BenchmarkError
from tests.bench.table import Aim, Row
from tests.integration.llm.provider_server import DIMENSIONS, vector_of
from tests.integration.llm.rated_provider import WINDOW_SECONDS, RatedProvider, run_rated_provider

TENANTS = {"small": 100, "large": 200, "third": 100}
WORKERS = 2
AT_ONCE = 4
TEXTS, WORDS = 8, 400
WARM_SECONDS, MEASURED_SECONDS, OUTAGE_SECONDS, RECOVERY_SECONDS = 30, 90, 60, 30
RECOVERED_AFTER = 5


@dataclass
class Load:
    """What the workers have had embedded, and what went wrong with it."""

    batches: int = 0
    by_tenant: dict[str, int] = field(default_factory=lambda: dict.fromkeys(TENANTS, 0))
    begun: int = 0
    wrong: int = 0
    failures: list[str] = field(default_factory=list)
    stop: bool = False

    async def work(self, tenant: str, embedder: Embedder) -> None:
        while not self.stop:
            self.begun += 1
            texts = [f"{tenant} {self.begun} {number} " + "word " * (WORDS - 3) for number in range(TEXTS)]
            try:
                result = await embedder.embed(texts)
            except DreamHubError as error:
                self.failures.append(type(error).__name__)
                continue
            expected = normalise(np.stack([vector_of(text) for text in texts]))
            self.wrong += not np.allclose(result.vectors, expected, atol=1e-6)
            self.batches += 1
            self.by_tenant[tenant] += 1


@dataclass(frozen=True)
class Mark:
    """Counters at one moment."""

    at: float
    calls: int
    limited: int
    served: int
    admitted: int

    @classmethod
    def of(cls, provider: RatedProvider) -> "Mark":
        return cls(time.monotonic(), provider.calls, provider.limited, provider.served, provider.admitted_tokens)


def write(file: Path, text: str) -> None:
    file.write_text(text)


async def measure_models(environment: Environment) -> list[Row]:
    provider = RatedProvider(
        requests_per_minute=600, tokens_per_minute=1_000_000, error_share=0.05, hang_share=0.01, latency=0.25
    )
    load = Load()
    with tempfile.TemporaryDirectory() as name:
        key = Path(name, "key")
        write(key, "sk-old")
        provider.keys = {"sk-old"}
        async with run_rated_provider(provider), _running(environment, provider, load, key):
            steady = await _measure_steady(provider)
            swap = asyncio.create_task(_swap_keys(provider, key))
            shares = dict(load.by_tenant)
            outage = await _measure_outage(provider)
            await swap
            load.stop = True
    if load.failures or load.wrong:
        raise BenchmarkError(f"batches were lost: {load.failures[:5]}, {load.wrong} wrong")
    return [*steady, *outage, *_report(load, shares)]


@asynccontextmanager
async def _running(environment: Environment, provider: RatedProvider, load: Load, key: Path) -> AsyncIterator[None]:
    settings = ModelSettings(
        name="rated",
        kind="embedding",
        endpoint=provider.endpoint,
        dimensions=DIMENSIONS,
        api_key_file=key,
        requests_per_minute=provider.requests_per_minute,
        tokens_per_minute=provider.tokens_per_minute,
    )
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(Redis.from_url(environment.stores.redis.url()))
        await load_functions(redis)
        duty = asyncio.create_task(ModelBudgets(_operator(redis, settings)).run())
        workers = [
            asyncio.create_task(load.work(tenant, embedder))
            for tenant in TENANTS
            for embedder in [_open(redis, tenant, settings, stack) for _ in range(WORKERS)]
            for _ in range(AT_ONCE)
        ]
        try:
            yield
            await asyncio.wait(workers, timeout=60)
            load.failures += [repr(task.exception()) for task in workers if task.done() and task.exception()]
        finally:
            await cancel_all((duty, *workers))


def _open(redis: Redis, tenant: str, settings: ModelSettings, stack: AsyncExitStack) -> Embedder:
    """As a worker does."""
    embedder = open_embedder(settings)
    stack.push_async_callback(embedder.close)
    budget = SharedBudget(redis, Place(tenant, settings.name), settings.rates.times(settings.fallback_share))
    return embedder.charged_to(budget, urgent=False)


def _operator(redis: Redis, settings: ModelSettings) -> Any:
    """What the duty needs of the operator's Context."""
    watched = Watched()
    for number, (tenant, weight) in enumerate(TENANTS.items()):
        metadata = {"name": tenant, "uid": str(number), "resourceVersion": "1"}
        watched.put_tenant({"metadata": metadata, "spec": {"weight": weight}})
    return SimpleNamespace(
        cache=RedisCache(redis),
        watched=watched,
        models=ModelList(models=(settings,)),
        metrics=Metrics(CollectorRegistry()),
    )


async def _let_run(seconds: float) -> None:
    """The workers are at work meanwhile."""
    await asyncio.sleep(seconds)


async def _measure_steady(provider: RatedProvider) -> list[Row]:
    await _let_run(WARM_SECONDS)
    before = Mark.of(provider)
    await _let_run(MEASURED_SECONDS)
    after = Mark.of(provider)
    minutes = (after.at - before.at) / WINDOW_SECONDS
    used = (after.admitted - before.admitted) / (provider.tokens_per_minute * minutes)
    calls = after.calls - before.calls
    served = after.served - before.served
    note = f"{calls} calls in {after.at - before.at:.0f} s, 5 % fail, 1 % hang; limits over any minute"
    return [
        Row("models: of the provider's budget used", "share", used, None, Aim("ours", ">=", 0.95), note),
        Row(
            "models: calls answered 429",
            "share",
            (after.limited - before.limited) / calls,
            None,
            Aim("ours", "<=", 0.01),
        ),
        Row("models: calls for a batch", "calls", calls / served, None, Aim("ours", "<=", 1.1)),
    ]


async def _swap_keys(provider: RatedProvider, key: Path) -> None:
    """Right after the steady part: the old key dies, and the new one arrives three seconds later."""
    provider.keys = {"sk-new"}
    await _let_run(3)
    write(key, "sk-new")


async def _measure_outage(provider: RatedProvider) -> list[Row]:
    await _let_run(10)
    usual = await _served_a_second(provider, 10)
    provider.away, before = True, Mark.of(provider)
    await _let_run(OUTAGE_SECONDS)
    wasted = provider.calls - before.calls
    provider.away = False
    await _let_run(RECOVERED_AFTER)
    after = await _served_a_second(provider, RECOVERY_SECONDS - RECOVERED_AFTER)
    note = f"{wasted} calls in {OUTAGE_SECONDS} s; {WORKERS * len(TENANTS)} workers probe by themselves"
    return [
        Row(
            "models: calls during an outage, of the usual", "share", wasted / (usual * OUTAGE_SECONDS), None, None, note
        ),
        Row(
            f"models: answers a second from {RECOVERED_AFTER} s after an outage, of the usual",
            "1/s",
            after,
            usual,
            Aim("ratio", ">=", 0.9),
        ),
    ]


async def _served_a_second(provider: RatedProvider, seconds: float) -> float:
    before = Mark.of(provider)
    await asyncio.sleep(seconds)
    after = Mark.of(provider)
    return (after.served - before.served) / (after.at - before.at)


def _report(load: Load, shares: dict[str, int]) -> list[Row]:
    return [
        Row(
            "models: batches lost or wrong by errors, hangs, an outage and a new key",
            "batches",
            len(load.failures) + load.wrong,
            None,
            Aim("ours", "<=", 0),
            f"of {load.batches}; any vector that is not its text's counts",
        ),
        Row(
            "models: share of a tenant of weight 200 beside two of 100",
            "batches",
            shares["large"],
            shares["small"] + shares["third"],
            Aim("ratio", ">=", 0.9),
        ),
    ]

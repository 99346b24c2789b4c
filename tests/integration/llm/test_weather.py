"""Embedding through errors, hangs, an outage, revoked keys and a limit: all texts come back, each with its vector."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dreamhub.domain.call_budget import Rates
from dreamhub.errors import UnavailableError
from dreamhub.llm.budget import LocalBudget
from dreamhub.llm.embedding import Embedder, normalise, open_embedder
from dreamhub.llm.models import ModelSettings
from tests.integration.llm.provider_server import DIMENSIONS, vector_of
from tests.integration.llm.rated_provider import RatedProvider, run_rated_provider

BATCHES = [[f"batch {batch} text {number} " + "word " * 20 for number in range(8)] for batch in range(120)]


def open_model(provider: RatedProvider, **fields: Any) -> Embedder:
    entry = {"name": "small", "kind": "embedding", "endpoint": provider.endpoint, "dimensions": DIMENSIONS}
    return open_embedder(ModelSettings.model_validate(entry | {"timeoutSeconds": 3, "budgetSeconds": 60} | fields))


async def embed_all(embedder: Embedder, batches: Sequence[list[str]]) -> None:
    """Some at a time, as several workers would; raises when a vector is not its text's."""
    waiting = list(batches)

    async def work() -> None:
        while waiting:
            texts = waiting.pop()
            result = await embedder.embed(texts)
            expected = normalise(np.stack([vector_of(text) for text in texts]))
            assert np.allclose(result.vectors, expected, atol=1e-6)

    await asyncio.gather(*(work() for _ in range(6)))


async def until_served(provider: RatedProvider, count: int) -> None:
    async with asyncio.timeout(60):
        while provider.served < count:
            await asyncio.sleep(0.005)


async def while_workers_try(seconds: float, provider: RatedProvider, before: int) -> None:
    """So long, and until one has tried."""
    await asyncio.sleep(seconds)
    async with asyncio.timeout(60):
        while provider.calls == before:
            await asyncio.sleep(0.01)


async def test_errors_and_hangs_lose_nothing_and_are_asked_for_once_more_only() -> None:
    """By the list's own timeout a hang would take ten minutes."""
    weather = RatedProvider(error_share=0.05, hang_share=0.02, hang_seconds=3600)
    async with run_rated_provider(weather) as provider, asyncio.timeout(120):
        embedder = open_model(provider, timeoutSeconds=600)
        await embed_all(embedder, BATCHES)
        await embedder.close()
    failed = provider.calls - provider.served
    assert failed > 0
    assert provider.calls <= len(BATCHES) * 1.5


async def test_a_provider_that_is_slower_than_expected_gets_its_time() -> None:
    """A third of the timeout at first, and twice as long with each try."""
    async with run_rated_provider(RatedProvider(latency=1.0)) as provider:
        embedder = open_model(provider, timeoutSeconds=2.4)
        await embedder.embed(["x"])
        await embedder.close()
    assert provider.calls >= 2


async def test_an_outage_under_load_loses_nothing_and_few_calls_are_wasted_on_it() -> None:
    async with run_rated_provider(RatedProvider()) as provider:
        embedder = open_model(provider)
        load = asyncio.ensure_future(embed_all(embedder, BATCHES))
        await until_served(provider, 20)
        provider.away, before = True, provider.calls
        await while_workers_try(3, provider, before)
        during = provider.calls - before
        provider.away = False
        await load
        await embedder.close()
    assert 0 < during < 40, "a breaker lets a probe through now and then"


async def test_a_key_swap_under_load_loses_nothing(tmp_path: Path) -> None:
    """The old key is dead before the new one has arrived, as when a Secret travels to the pods."""
    (tmp_path / "key").write_text("sk-old")
    async with run_rated_provider(RatedProvider(keys={"sk-old"})) as provider:
        embedder = open_model(provider, apiKeyFile=str(tmp_path / "key"))
        load = asyncio.ensure_future(embed_all(embedder, BATCHES))
        await until_served(provider, 20)
        provider.keys = {"sk-new"}
        async with asyncio.timeout(60):
            while provider.refused_keys < 2:
                await asyncio.sleep(0.005)
        assert not load.done()
        (tmp_path / "key").write_text("sk-new")
        await load
        await embedder.close()
    assert provider.refused_keys > 0


async def test_with_two_keys_one_may_die_unnoticed(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("a", "b")]
    for file in files:
        file.write_text(f"sk-{file.name}")
    async with run_rated_provider(RatedProvider(keys={"sk-a", "sk-b"})) as provider:
        embedder = open_model(provider, apiKeyFiles=[str(file) for file in files], keyGraceSeconds=0)
        await embed_all(embedder, BATCHES[:10])
        provider.keys = {"sk-b"}
        await embed_all(embedder, BATCHES[10:60])
        provider.keys = set()
        with pytest.raises(UnavailableError) as caught:
            await embedder.embed(["x"])
        await embedder.close()
    assert caught.value.code == "ProviderUnauthorized"


async def test_a_limit_is_kept_to_instead_of_run_into() -> None:
    async with run_rated_provider(RatedProvider(requests_per_minute=60)) as provider:
        embedder = open_model(provider, requestsPerMinute=60)
        await embed_all(embedder.charged_to(LocalBudget(Rates(requests=50)), urgent=False), BATCHES[:4])
        await embedder.close()
    assert (provider.limited, provider.calls) == (0, 4)
    assert len(provider.admissions) == 4


async def test_a_process_that_is_to_end_waits_for_nobody() -> None:
    async with run_rated_provider(RatedProvider(away=True)) as provider:
        embedder = open_model(provider, budgetSeconds=600)
        waiting = asyncio.ensure_future(embedder.embed(["x"]))
        async with asyncio.timeout(60):
            while provider.calls < 5:
                await asyncio.sleep(0.01)
        embedder.hurry()
        with pytest.raises(UnavailableError):
            await asyncio.wait_for(waiting, 60)
        await embedder.close()


async def test_who_waits_is_told_soon_that_a_provider_is_away() -> None:
    async with run_rated_provider(RatedProvider(away=True)) as provider:
        embedder = open_model(provider, urgentBudgetSeconds=0.5)
        with pytest.raises(UnavailableError) as caught:
            await embedder.charged_to(LocalBudget(Rates()), urgent=True).embed(["x"])
        await embedder.close()
    assert caught.value.code == "ProviderLimited"

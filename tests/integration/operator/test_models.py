"""Models that somebody else runs: the operator divides their limits, tells their calls and hands on their keys."""

import base64
import re
from pathlib import Path
from typing import Any

from redis.asyncio import Redis

from dreamhub.domain.call_budget import PACE, CallRecord, Rates
from dreamhub.storage.model_budget import Place, SharedBudget
from dreamhub_operator.desired.credentials import read_entry
from tests.integration.operator.control_plane import Api
from tests.integration.operator.deployment import REMOTE_MODEL, OperatorProcess, eventually, ready_tenant
from tests.integration.operator.test_ingest_job import INLINE, create, wait_for_job
from tests.integration.operator.test_secrets import write

FALLBACK = Rates(requests=12, tokens=1_200)


async def open_worker(api: Api, tenant: str) -> Redis:
    """With the login of the tenant's workers."""
    secret = await api.ok("GET", f"/api/v1/namespaces/dh-{tenant}/secrets/dreamhub-credentials")
    return Redis.from_url(read_entry(secret, "redis-url") or "")


async def read_share(redis: Redis, place: Place) -> float | None:
    client: Any = redis  # redis-py does not type the answer
    found = await client.hget(place.share, "tokens")
    return None if found is None else float(found)


async def metric(operator: OperatorProcess, name: str, **labels: str) -> float | None:
    """A sample with these labels, others aside."""
    for line in (await operator.fetch("/metrics")).splitlines():
        sample = re.fullmatch(r"(\w+)\{(.*)\} (\S+)", line)
        if sample and sample[1] == name and all(f'{key}="{value}"' in sample[2] for key, value in labels.items()):
            return float(sample[3])
    return None


async def test_limits_are_divided_by_weight_among_those_who_call(
    api: Api, operator: OperatorProcess, redis_client: Redis
) -> None:
    light, heavy = Place("calls-light", REMOTE_MODEL), Place("calls-heavy", REMOTE_MODEL)
    await ready_tenant(api, light.tenant, weight=100)
    await ready_tenant(api, heavy.tenant, weight=300)
    async with await open_worker(api, light.tenant) as one, await open_worker(api, heavy.tenant) as other:
        budgets = SharedBudget(one, light, FALLBACK), SharedBudget(other, heavy, FALLBACK)

        async def divided() -> bool:
            for budget in budgets:
                await budget.take(10_000, urgent=False)
            shares = [await read_share(redis_client, place) for place in (light, heavy)]
            return shares == [60_000 * PACE / 4, 60_000 * PACE * 3 / 4]

        await eventually(divided, "shares by weight")
        for _ in range(3):
            await budgets[0].settle(CallRecord("ok", 0.3, reserved=40, tokens=40, embedding=True))
        await budgets[0].settle(CallRecord("failed", 0.3, reserved=0))

    async def told() -> bool:
        """The last of them."""
        return await metric(operator, "openai_req_total", model=REMOTE_MODEL, outcome="failed") == 1

    await eventually(told, "the calls are told")
    assert await metric(operator, "dreamhub_model_tokens_total", model=REMOTE_MODEL, tenant=light.tenant) == 120
    assert await metric(operator, "openai_req_total", model=REMOTE_MODEL, outcome="ok") == 3
    assert await metric(operator, "openai_error_rate", model=REMOTE_MODEL) == 0.25
    assert await metric(operator, "embedding_seconds_count", model=REMOTE_MODEL) == 3
    assert await metric(operator, "quota_used_pct", model=REMOTE_MODEL) is not None


async def test_a_changed_key_reaches_a_job_that_runs(
    api: Api, operator: OperatorProcess, operator_environment: dict[str, str]
) -> None:
    tenant = "rekeyed-model"
    await ready_tenant(api, tenant, models={"embedding": REMOTE_MODEL})
    kubelet = await create(api, "long", tenant, **INLINE)
    await wait_for_job(api, kubelet)
    path = f"/api/v1/namespaces/dh-{tenant}/secrets/{kubelet.job}-input"

    async def keys() -> list[str]:
        data: dict[str, str] = (await api.ok("GET", path))["data"]
        return [base64.b64decode(data[name]).decode() for name in data if name.startswith("api-key")]

    assert await keys() == ["sk-old"]
    file = str(Path(operator_environment["DREAMHUB_MODELS_FILE"]).with_name("provider-key"))
    write(file, "sk-new")
    try:

        async def handed_on() -> bool:
            return await keys() == ["sk-new"]

        await eventually(handed_on, "the new key in the job's Secret")
        assert "job.json" in (await api.ok("GET", path))["data"]
    finally:
        write(file, "sk-old")

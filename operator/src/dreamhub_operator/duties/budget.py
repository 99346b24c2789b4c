"""Models' providers, looked after by the leader: their limits are divided, their calls told, their keys handed on.

Without it, shares stand for two minutes and processes then keep to small fixed ones: calls go on.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import structlog

from dreamhub.domain.call_budget import Rates
from dreamhub.errors import ConflictError, DreamHubError, InvalidInputError, NotFoundError
from dreamhub.llm.models import ModelSettings
from dreamhub.names import job_input_secret
from dreamhub.storage.model_budget import Calls, Place
from dreamhub_operator.cluster import ObjectKey
from dreamhub_operator.context import Context
from dreamhub_operator.desired.model_keys import build_key_patch, read_keys
from dreamhub_operator.duties.budget_metrics import Growth, subtract
from dreamhub_operator.duties.budget_shares import adjust, divide_rates, hear, read_want
from dreamhub_operator.kinds import SECRET

LOOK_SECONDS = 2.0

log = structlog.get_logger()


@dataclass
class ModelBudgets:
    """Divides and tells."""

    context: Context
    clock: Callable[[], float] = time.monotonic
    _seen: Mapping[Place, Calls] = field(default_factory=dict)
    _seen_at: float = 0.0
    _factors: dict[str, float] = field(default_factory=dict)
    """Of a model's limits, what is given out."""
    _given: dict[str, dict[str, Rates]] = field(default_factory=dict)
    """By model and tenant, at the last look."""
    _sharing: set[Place] = field(default_factory=set)
    """Those with a share."""

    async def run(self) -> None:
        keys = KeyCourier(self.context)
        while True:
            for step in (self.look, keys.look):
                try:
                    await step()
                except DreamHubError as error:
                    log.warning("models not looked after", code=error.code, error=error.message)
                except Exception:
                    log.exception("models not looked after")
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Once. Raises UnavailableError when Redis does not answer."""
        places = list(self._find_places())
        found = await self.context.cache.fetch_calls(places)
        now, shares = self.clock(), dict[Place, Rates]()
        for model in self._remote_models():
            shares |= self._divide(model, found, now)
        gone = [place for place in self._sharing if place not in shares]
        self._seen, self._seen_at = found, now
        if shares or gone:
            await self.context.cache.put_shares(shares, gone)
        self._sharing = set(shares)

    def _divide(self, model: ModelSettings, found: Mapping[Place, Calls], now: float) -> dict[Place, Rates]:
        mine = {place.tenant: calls for place, calls in found.items() if place.model == model.name}
        before = {tenant: self._seen.get(Place(tenant, model.name)) for tenant in mine}
        growths = {tenant: self._subtract(calls, before[tenant]) for tenant, calls in mine.items()}
        self.context.metrics.models.add(model.name, model.rates, now, growths)
        outcomes = {tenant: growth.outcomes for tenant, growth in growths.items()}
        factor = adjust(self._factors.get(model.name, 1.0), *hear(outcomes, self._given.get(model.name, {})))
        self._factors[model.name] = factor
        seconds = now - self._seen_at
        wants = {
            tenant: want
            for tenant, calls in mine.items()
            if (want := read_want(self._weight(tenant), before[tenant], calls, seconds)) is not None
        }
        rates = self._given[model.name] = divide_rates(model.rates.times(factor), wants)
        return {Place(tenant, model.name): given for tenant, given in rates.items()}

    def _subtract(self, now: Calls, before: Calls | None) -> Growth:
        """The first look of a process only learns: another one before it has told what was there."""
        return subtract(now, before if self._seen_at else now)

    def _find_places(self) -> Iterator[Place]:
        remote = [model.name for model in self._remote_models()]
        for tenant in self.context.watched.tenants.values():
            for model in remote:  # also one that the spec names no more: the index was made with it
                yield Place(tenant.metadata.name, model)

    def _remote_models(self) -> Iterator[ModelSettings]:
        return (model for model in self.context.models.models if not model.builtin)

    def _weight(self, tenant: str) -> float:
        watched = self.context.watched
        return watched.tenants[watched.tenant_uids[tenant]].spec.weight


@dataclass
class KeyCourier:
    """Hands changed keys on to jobs that run: their Secrets hold copies, which kubelets bring into the pods."""

    context: Context
    _handed: dict[str, dict[str, str]] = field(default_factory=dict)
    """By model. Empty at the start: another leader may have died between a change and its end."""

    async def look(self) -> None:
        """Raises TransientError when Kubernetes does not answer; the next look goes on."""
        for model in self.context.models.models:
            if not model.key_files:
                continue
            try:
                keys = read_keys(model)
            except InvalidInputError as error:
                log.warning("a model's keys cannot be read; jobs keep those before", error=error.message)
                continue
            if keys != self._handed.get(model.name):
                await self._hand_on(model, keys)
                self._handed[model.name] = keys

    async def _hand_on(self, model: ModelSettings, keys: dict[str, str]) -> None:
        running = [uid for uid in self._running() if self._may_use(uid, model)]
        for uid in running:
            space = self.context.watched.ingest_jobs[uid].metadata.namespace or ""
            secret = ObjectKey(SECRET, job_input_secret(uid), space)
            try:
                await self.context.cluster.patch(secret, build_key_patch(keys))
            except (NotFoundError, ConflictError):
                log.info("job ended before its keys were replaced", uid=uid)
        log.info("keys handed on", model=model.name, jobs=len(running))

    def _running(self) -> list[str]:
        watched = self.context.watched
        return [
            uid
            for uid, state in watched.jobs.items()
            if uid in watched.ingest_jobs and not state.complete and state.failure is None
        ]

    def _may_use(self, uid: str, model: ModelSettings) -> bool:
        tenant = self.context.watched.tenant_of(self.context.watched.ingest_jobs[uid])
        return tenant is not None and tenant.spec.models.embedding == model.name

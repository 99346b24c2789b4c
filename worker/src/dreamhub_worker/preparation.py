"""What a worker can prepare while the rest of it is still being imported: its settings and its model."""

from collections.abc import Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from pkgutil import resolve_name
from typing import Self

from dreamhub.llm.embedding import Embedder, open_embedder
from dreamhub_worker.settings import WorkerSettings, read_settings


@dataclass(frozen=True, slots=True)
class Preparation:
    settings: Future[WorkerSettings]
    """Raises InvalidInputError for a bad mount."""
    embedder: Future[Embedder]

    @classmethod
    def begin(cls, environment: Mapping[str, str], executor: Executor) -> Self:
        settings = executor.submit(read_settings, environment)
        return cls(settings, executor.submit(lambda: open_model(settings.result())))


def open_model(settings: WorkerSettings) -> Embedder:
    """One that somebody else runs takes turns with all of the tenant's workers. Only then is Redis' client loaded."""
    embedder, model = open_embedder(settings.model), settings.model
    if not embedder.remote:
        return embedder
    redis = resolve_name("dreamhub.storage.redis_login:open_redis")(settings.redis_url)
    place = resolve_name("dreamhub.storage.model_budget:Place")(settings.job.tenant, model.name)
    fallback = model.rates.times(model.fallback_share)
    budget = resolve_name("dreamhub.storage.model_budget:SharedBudget")(redis, place, fallback)
    return embedder.charged_to(budget, urgent=False)

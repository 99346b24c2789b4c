"""What a worker can prepare while the rest of it is still being imported: its settings and its model."""

from collections.abc import Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass
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
        return cls(settings, executor.submit(lambda: open_embedder(settings.result().model)))

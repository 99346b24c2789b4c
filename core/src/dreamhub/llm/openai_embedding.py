"""Embeddings from any endpoint that speaks OpenAI's protocol."""

import asyncio
import base64
from collections.abc import Mapping, Sequence

import numpy as np
from openai.types import CreateEmbeddingResponse

from dreamhub.errors import InvalidInputError
from dreamhub.llm.budget import Budget, LocalBudget
from dreamhub.llm.embedding import EmbeddingResult, Vectors, normalise
from dreamhub.llm.models import ModelSettings
from dreamhub.llm.packing import pack, request_tokens, spread
from dreamhub.llm.provider import Caller, Provider, Raw, Request, Waited


class OpenAIEmbedder:
    def __init__(self, settings: ModelSettings, provider: Provider | None = None, caller: Caller | None = None) -> None:
        if settings.dimensions is None:
            raise InvalidInputError(f"embedding model {settings.name} needs its dimensions")
        self._settings = settings
        self._dimensions = settings.dimensions
        self._provider = provider or Provider(settings)
        self._caller = caller or Caller(LocalBudget(settings.rates))

    def charged_to(self, budget: Budget, *, urgent: bool) -> "OpenAIEmbedder":
        """The same embedder, with all that it has learned, in another's name."""
        return OpenAIEmbedder(self._settings, self._provider, Caller(budget, urgent))

    @property
    def model(self) -> str:
        return self._settings.name

    @property
    def dimensions(self) -> int:
        return self._dimensions

    @property
    def remote(self) -> bool:
        return True

    @property
    def lexical_weight(self) -> float:
        return self._settings.lexical_weight

    async def embed(self, texts: list[str]) -> EmbeddingResult:
        most = request_tokens(self._settings.tokens_per_minute)
        parts = [texts[span.start : span.stop] for span in pack(texts, max_tokens=most)]
        waits = [Waited() for _ in parts]
        answers = await self._ask(parts, waits)
        vectors = [self._vectors(part, answer) for part, answer in zip(parts, answers, strict=True)]
        tokens = [spread(answer.usage.prompt_tokens, part) for part, answer in zip(parts, answers, strict=True)]
        stacked = np.concatenate(vectors) if vectors else np.zeros((0, self._dimensions), dtype=np.float32)
        waited = max((wait.seconds for wait in waits), default=0.0)  # they waited side by side
        return EmbeddingResult(normalise(stacked), tuple(n for part in tokens for n in part), waited)

    def hurry(self) -> None:
        self._provider.hurry()

    async def close(self) -> None:
        await self._provider.close()
        await self._caller.budget.close()

    async def _ask(self, parts: list[list[str]], waits: list[Waited]) -> list[CreateEmbeddingResponse]:
        """Side by side. One that fails for good ends the others: what they would bring is not used."""
        try:
            async with asyncio.TaskGroup() as group:
                asked = [group.create_task(self._request(part, wait)) for part, wait in zip(parts, waits, strict=True)]
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        return [task.result() for task in asked]

    async def _request(self, texts: list[str], waited: Waited) -> CreateEmbeddingResponse:
        client, served = self._provider.client, self._provider.served_name

        async def send(headers: Mapping[str, str]) -> Raw[CreateEmbeddingResponse]:
            return await client.embeddings.with_raw_response.create(
                model=served, input=texts, encoding_format="base64", extra_headers=headers
            )

        def count(answer: CreateEmbeddingResponse) -> int:
            self._provider.scale.learn(texts, answer.usage.prompt_tokens)
            return answer.usage.prompt_tokens

        request = Request(self._provider.scale.expect(texts), send, count, embedding=True)
        return await self._provider.call(self._caller, request, waited)

    def _vectors(self, texts: Sequence[str], answer: CreateEmbeddingResponse) -> Vectors:
        rows = [decode_vector(item.embedding) for item in sorted(answer.data, key=lambda item: item.index)]
        if len(rows) != len(texts) or any(len(row) != self._dimensions for row in rows):
            lengths = sorted({len(row) for row in rows})
            raise InvalidInputError(
                f"model {self.model} answered {len(rows)} vectors of {lengths} dimensions for {len(texts)} texts; "
                f"the model list says {self._dimensions} dimensions: correct the list or the endpoint",
                code="ProviderAnswer",
            )
        return np.stack(rows)


def decode_vector(value: str | list[float]) -> Vectors:
    """One vector from base64 (little-endian float32), or from numbers where a server ignores the wish for base64."""
    if isinstance(value, str):
        return np.frombuffer(base64.b64decode(value), dtype="<f4").astype(np.float32, copy=False)
    return np.asarray(value, dtype=np.float32)

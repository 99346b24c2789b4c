"""Embeddings from any endpoint that speaks OpenAI's protocol."""

import asyncio
import base64
from collections.abc import Sequence

import numpy as np
from openai.types import CreateEmbeddingResponse

from dreamhub.errors import InvalidInputError
from dreamhub.llm.embedding import EmbeddingResult, Vectors, normalise
from dreamhub.llm.models import ModelSettings
from dreamhub.llm.packing import pack, spread
from dreamhub.llm.provider import Waited, call_provider, open_client

_CONCURRENT_REQUESTS = 4


class OpenAIEmbedder:
    def __init__(self, settings: ModelSettings) -> None:
        if settings.dimensions is None:
            raise InvalidInputError(f"embedding model {settings.name} needs its dimensions")
        self._settings = settings
        self._dimensions = settings.dimensions
        self._client = open_client(settings)
        self._slots = asyncio.Semaphore(_CONCURRENT_REQUESTS)

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
        waited = Waited()
        parts = [texts[span.start : span.stop] for span in pack(texts)]
        answers = await asyncio.gather(*(self._request(part, waited) for part in parts))
        vectors = [self._vectors(part, answer) for part, answer in zip(parts, answers, strict=True)]
        tokens = [spread(answer.usage.prompt_tokens, part) for part, answer in zip(parts, answers, strict=True)]
        stacked = np.concatenate(vectors) if vectors else np.zeros((0, self._dimensions), dtype=np.float32)
        return EmbeddingResult(normalise(stacked), tuple(n for part in tokens for n in part), waited.seconds)

    async def close(self) -> None:
        await self._client.close()

    async def _request(self, texts: list[str], waited: Waited) -> CreateEmbeddingResponse:
        served = self._settings.served_name or self._settings.name

        async def request() -> CreateEmbeddingResponse:
            return await self._client.embeddings.create(model=served, input=texts, encoding_format="base64")

        async with self._slots:
            return await call_provider(self._settings, request, waited)

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

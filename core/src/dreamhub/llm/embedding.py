"""Text to vectors: the one interface that the worker and the search use, and the factory behind it."""

from dataclasses import dataclass
from pkgutil import resolve_name
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dreamhub.errors import InvalidInputError
from dreamhub.llm.budget import Budget
from dreamhub.llm.models import BUILTIN_EMBEDDING, ModelSettings

Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class EmbeddingResult:
    """Vectors of length one, in the order of the texts."""

    vectors: Vectors
    """Shape (texts, dimensions)."""
    tokens: tuple[int, ...]
    """For each text: exact for the built-in model, the provider's total spread by length for others."""
    wait_seconds: float = 0
    """In which nobody worked: for a turn of the budget, and for a provider that refused or was away."""


class Embedder(Protocol):
    @property
    def model(self) -> str: ...

    @property
    def dimensions(self) -> int: ...

    @property
    def remote(self) -> bool:
        """Whether somebody else runs it, so that each call costs whatever becomes of its result."""
        ...

    @property
    def lexical_weight(self) -> float:
        """Share of BM25 in the fused ranking that suits this model."""
        ...

    def charged_to(self, budget: Budget, *, urgent: bool) -> "Embedder":
        """The same embedder for calls in another's name; `urgent` where a person waits."""
        ...

    async def embed(self, texts: list[str]) -> EmbeddingResult:
        """Raises UnavailableError when the provider stays away, InvalidInputError when it refuses the texts."""
        ...

    def hurry(self) -> None:
        """The process is to end: calls that are under way end as they would, those that wait fail as unavailable."""
        ...

    async def close(self) -> None: ...


def open_embedder(settings: ModelSettings) -> Embedder:
    """The embedder for an entry of the model list.

    Loaded by name: start-up pays for one library only, and the SDK takes a second.
    """
    if settings.kind != "embedding":
        raise InvalidInputError(f"{settings.name} is a {settings.kind} model, not an embedding model")
    if settings.name == BUILTIN_EMBEDDING:
        return _open("dreamhub.llm.wordllama:WordLlamaEmbedder", settings)
    if settings.builtin:
        raise InvalidInputError(f"there is no built-in embedding model {settings.name!r}", code="UnknownModel")
    return _open("dreamhub.llm.openai_embedding:OpenAIEmbedder", settings)


def _open(name: str, settings: ModelSettings) -> Embedder:
    embedder: Embedder = resolve_name(name)(settings)
    return embedder


def normalise(vectors: Vectors) -> Vectors:
    """Rows scaled to length one; a row of zeros (a text without a known token) stays as it is."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    lengths[lengths == 0] = 1
    scaled: Vectors = vectors / lengths
    return scaled

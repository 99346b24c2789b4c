"""The built-in embedding model: WordLlama's 256-dimensional token table, averaged over a text's tokens.

Only the two files inside the `wordllama` wheel are used, read by the libraries that it reads them with. Importing the
package itself takes over half a second (an HTTP client for downloads that must not happen here) and reconfigures the
root logger; a worker has 0.6 s to be ready. A test holds the vectors equal to the package's own.
"""

import asyncio
import importlib.util
import os
from pathlib import Path

import numpy as np
from safetensors import safe_open
from tokenizers import Tokenizer

from dreamhub.errors import BugError
from dreamhub.llm.budget import Budget
from dreamhub.llm.embedding import EmbeddingResult, Vectors, normalise
from dreamhub.llm.models import ModelSettings

_TOKENIZER = "tokenizers/l2_supercat_tokenizer_config.json"
_WEIGHTS = "weights/l2_supercat_256.safetensors"
_TENSOR = "embedding.weight"
_INLINE_CHARACTERS = 2_000
"""Below this a thread costs more than it frees: a query is embedded where it stands."""


def package_folder() -> Path:
    """Where the wheel lies, found without importing it."""
    spec = importlib.util.find_spec("wordllama")
    if spec is None or not spec.submodule_search_locations:
        raise BugError("the wordllama package is not installed, so the built-in embedding model has no weights")
    return Path(spec.submodule_search_locations[0])


class WordLlamaEmbedder:
    def __init__(self, settings: ModelSettings) -> None:
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # one text is one core's work; pods have one
        folder = package_folder()
        self._tokenizer = Tokenizer.from_file(str(folder / _TOKENIZER))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        with safe_open(folder / _WEIGHTS, framework="np") as file:
            self._table: Vectors = file.get_tensor(_TENSOR).astype(np.float32)
        self._settings = settings
        if settings.dimensions != self._table.shape[1]:
            raise BugError(f"{settings.name} has {self._table.shape[1]} dimensions, not {settings.dimensions}")

    @property
    def model(self) -> str:
        return self._settings.name

    @property
    def dimensions(self) -> int:
        return int(self._table.shape[1])

    @property
    def remote(self) -> bool:
        return False

    @property
    def lexical_weight(self) -> float:
        return self._settings.lexical_weight

    def charged_to(self, budget: Budget, *, urgent: bool) -> "WordLlamaEmbedder":  # noqa: ARG002 - nobody is charged
        return self

    async def embed(self, texts: list[str]) -> EmbeddingResult:
        if sum(map(len, texts)) < _INLINE_CHARACTERS:
            return self.embed_now(texts)
        return await asyncio.to_thread(self.embed_now, texts)

    def embed_now(self, texts: list[str]) -> EmbeddingResult:
        """The same without a loop: for callers that are in a thread already."""
        encodings = self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        vectors = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        for row, encoding in enumerate(encodings):
            if encoding.ids:
                self._table[encoding.ids].mean(axis=0, out=vectors[row])
        return EmbeddingResult(normalise(vectors), tuple(len(encoding.ids) for encoding in encodings))

    def hurry(self) -> None:
        """Nothing is waited for."""

    async def close(self) -> None:
        """Nothing is held open."""

"""The built-in embedding model: WordLlama's 256-dimensional token table, averaged over a text's tokens.

Only the two files inside the `wordllama` wheel are used, read by the libraries that it reads them with. Importing the
package itself takes over half a second (an HTTP client for downloads that must not happen here) and reconfigures the
root logger; a worker has 0.6 s to be ready. A test holds the vectors equal to the package's own.
"""

import asyncio
import importlib.util
import re
from collections.abc import Callable
from itertools import chain
from pathlib import Path

import numpy as np
from safetensors import safe_open
from tokenizers import Tokenizer

from dreamhub.errors import BugError
from dreamhub.llm.budget import Budget
from dreamhub.llm.embedding import EmbeddingResult, Vectors, normalise
from dreamhub.llm.models import ModelSettings

TOKENIZER = "tokenizers/l2_supercat_tokenizer_config.json"
_WEIGHTS = "weights/l2_supercat_256.safetensors"
_TENSOR = "embedding.weight"
_SPACE = "\u2581"
"""As the tokenizer writes a space; it also puts one in front of a text."""
_WORD = re.compile(" +[^ ]*")
_RESERVED = re.compile(r"<(?:unk|/?s)>")
"""What the tokenizer takes for a sign of its own, wherever it stands."""
_KEPT_WORDS, _KEPT_LETTERS = 50_000, 40
"""How many words are remembered, and how long they may be."""
_INLINE_CHARACTERS = 2_000
"""Below this a thread costs more than it frees: a query is embedded where it stands."""


def package_folder() -> Path:
    """Where the wheel lies, found without importing it."""
    spec = importlib.util.find_spec("wordllama")
    if spec is None or not spec.submodule_search_locations:
        raise BugError("the wordllama package is not installed, so the built-in embedding model has no weights")
    return Path(spec.submodule_search_locations[0])


class _Words(dict[str, tuple[int, ...]]):
    """The tokens of a word that has a space in front. Those of words that may recur are remembered."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        super().__init__()
        self._model = tokenizer.model

    def __missing__(self, word: str) -> tuple[int, ...]:
        tokens = tuple([token.id for token in self._model.tokenize(f"{_SPACE}{word}".replace(" ", _SPACE))])
        if len(word) <= _KEPT_LETTERS:
            if len(self) >= _KEPT_WORDS:
                self.clear()
            self[word] = tokens
        return tokens


def cut_by_words(tokenizer: Tokenizer) -> Callable[[str], list[int]]:
    """A text's tokens as `tokenizer` has them, in a fifth of the time: texts are made of few words, and it knows none.

    It takes a whole text for one word. But none of its vocabulary has a space behind a letter, so that what it merges
    never reaches over the start of a word: each one's tokens are the same wherever it stands.
    """
    known = _Words(tokenizer).__getitem__

    def tokenize(text: str) -> list[int]:
        if not text or _RESERVED.search(text):
            ids: list[int] = tokenizer.encode(text, add_special_tokens=False).ids
            return ids
        return list(chain.from_iterable(map(known, _cut(text.replace(_SPACE, " ")))))

    return tokenize


def _cut(text: str) -> list[str]:
    """Words without the one space in front that each has; further ones belong to the word behind them."""
    if "  " in text or text[0] == " ":
        return [word[1:] for word in _WORD.findall(f" {text}")]
    return text.split(" ")


class WordLlamaEmbedder:
    def __init__(self, settings: ModelSettings) -> None:
        folder = package_folder()
        tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
        tokenizer.no_padding()
        tokenizer.no_truncation()
        self._tokenize = cut_by_words(tokenizer)
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
        tokens = list(map(self._tokenize, texts))
        lengths = tuple(map(len, tokens))
        vectors = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        taken = np.empty((max(lengths, default=0), self.dimensions), dtype=np.float32)
        for row, ids in enumerate(tokens):
            rows = taken[: len(ids)]
            # "clip" is the one mode that writes into `out` without a copy in between
            self._table.take(np.fromiter(ids, np.intp, len(ids)), axis=0, out=rows, mode="clip")
            np.add.reduce(rows, axis=0, out=vectors[row])
        vectors /= np.maximum(np.array(lengths, dtype=np.float32), 1)[:, np.newaxis]
        return EmbeddingResult(normalise(vectors), lengths)

    def hurry(self) -> None:
        """Nothing is waited for."""

    async def close(self) -> None:
        """Nothing is held open."""

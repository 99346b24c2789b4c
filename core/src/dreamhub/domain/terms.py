"""Words of a text as a blind index: keyed hashes with BM25 weights.

PostgreSQL sees only numbers below 10^9 under the tenant's key. A chunk's vector holds the term-frequency part of BM25
with a fixed average length, so that no row depends on others; the query's vector holds the inverse document
frequencies. Their inner product is the BM25 score.
"""

import math
import re
import threading
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise

import numpy as np
import numpy.typing as npt
import Stemmer

from dreamhub.domain.keys import DataKeys
from dreamhub.errors import InvalidInputError

DIMENSIONS = 1_000_000_000
"""Term ids are below this: the most that `sparsevec` allows."""

MAX_TERMS = 16_000
"""Distinct terms of one chunk: the most non-zeros that `sparsevec` allows."""

MAX_QUERY_TERMS = 64

K1, B = 1.2, 0.75
"""BM25's usual constants."""

AVERAGE_WORDS = 200
"""Words of a usual chunk (about 1.2 kB): the length that counts as neither long nor short."""

_PLACE = 32
_TERM = (1 << _PLACE) - 1
"""Ids fit in the lower half of 64 bits, so that one sort orders the terms of many chunks, chunk by chunk."""

WORD_CACHE = 50_000
_LONGEST = 64
"""Characters of a word that count: longer ones are encoded data."""

_CJK = "\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
_SIGN = re.compile(f"[{_CJK}]")
_LETTER = rf"[^\W_{_CJK}]"
_RUN = re.compile(rf"([{_CJK}]+)|({_LETTER}+(?:['\u2019]{_LETTER}+)*)")
_WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*")
"""Of texts without Chinese, Japanese and Korean signs: the same words in half the time."""
_BETWEEN = {code: " " for code in range(128) if not chr(code).isalnum() and chr(code) != "'"}
_OUTSIDE = re.compile(r"'(?:\B|(?<=\B'))")
"""An apostrophe that does not stand between two letters. It comes first, for a search goes by a first sign."""


def _cut(text: str) -> list[str]:
    """Folded tokens: whole words, and bigrams of Chinese, Japanese and Korean runs (a lone character stands alone).

    Three ways to the same result, the slower the more kinds of letters there may be.
    """
    if text.isascii():
        spaced = text.lower().translate(_BETWEEN)
        return (_OUTSIDE.sub(" ", spaced) if "'" in spaced else spaced).split()
    folded = unicodedata.normalize("NFKC", text).casefold()
    return list(_cut_runs(folded)) if _SIGN.search(folded) else _WORD.findall(folded)


def _cut_runs(folded: str) -> Iterator[str]:
    for run, word in _RUN.findall(folded):
        if word or len(run) == 1:
            yield word or run
        else:
            yield from (run[at : at + 2] for at in range(len(run) - 1))


def _trim(token: str) -> str:
    return token[:_LONGEST].replace("\u2019", "'")


def _new_stem() -> Callable[[str], str]:
    """English Snowball; its object must not be entered twice, and batches are indexed in threads."""
    stemmer = Stemmer.Stemmer("english", 0)
    lock = threading.Lock()

    def stem(word: str) -> str:
        with lock:
            stemmed: str = stemmer.stemWord(word)
        return stemmed

    return stem


def words(text: str) -> list[str]:
    """Normalised index words in order of appearance, repeated as often as they occur.

    NFKC, casefold, then English Snowball stems; runs of Chinese, Japanese or Korean become character bigrams.
    """
    stem = _new_stem()
    return [stem(_trim(token)) for token in _cut(text)]


@dataclass(frozen=True, slots=True)
class TermVector:
    """A text's terms: `ids` ascending and distinct, `weights` of the same length."""

    ids: npt.NDArray[np.int32]
    weights: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class TermStatistics:
    """How many chunks the tenant has, and how many of them hold each of the query's terms (absent: none)."""

    chunks: int
    counts: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class QueryVector:
    """The query's idf weights, and the rarest terms that the candidate set is taken from."""

    vector: TermVector
    rarest: tuple[int, ...]


class _TermIds(dict[str, int]):
    """Of tokens as they were cut, remembered up to `WORD_CACHE`. A dictionary's look-up is half that of a function."""

    def __init__(self, keys: DataKeys) -> None:
        super().__init__()
        self._keys, self._stem = keys, _new_stem()

    def __missing__(self, token: str) -> int:
        stemmed = self._stem(_trim(token)).encode()
        found = int.from_bytes(self._keys.blind("term", stemmed)[:8], "big") % DIMENSIONS
        if len(token) <= _LONGEST:
            if len(self) >= WORD_CACHE:
                self.clear()
            self[token] = found
        return found


class TermIndex:
    """Hashes words under one tenant's key. Keeps a bounded cache of words: build one a tenant and keep it."""

    def __init__(self, keys: DataKeys) -> None:
        self._identify = _TermIds(keys).__getitem__

    def document(self, text: str) -> TermVector:
        """The BM25 term-frequency part of one chunk (title and heading path included by the caller)."""
        return self.documents([text])[0]

    def documents(self, texts: Sequence[str]) -> list[TermVector]:
        """The same for many chunks: all their terms are sorted and counted at once."""
        cut = [_cut(text) for text in texts]
        lengths = np.fromiter(map(len, cut), dtype=np.int64, count=len(cut))
        tokens = map(self._identify, chain.from_iterable(cut))
        places = np.repeat(np.arange(len(cut)) << _PLACE, lengths)
        places += np.fromiter(tokens, dtype=np.int64, count=len(places))
        places.sort()
        first = np.flatnonzero(np.diff(places, prepend=-1))
        frequencies = np.diff(first, append=len(places)).astype(np.float32)
        chunk, ids = places[first] >> _PLACE, (places[first] & _TERM).astype(np.int32)
        norms = (K1 * (1 - B + B * lengths / AVERAGE_WORDS)).astype(np.float32)
        weights = frequencies * np.float32(K1 + 1) / (frequencies + norms[chunk])
        ends = np.searchsorted(chunk, np.arange(len(cut) + 1)).tolist()
        if any(end - start > MAX_TERMS for start, end in pairwise(ends)):
            raise InvalidInputError(f"a chunk has more than {MAX_TERMS} different words; make chunks smaller")
        return [TermVector(ids[start:end], weights[start:end]) for start, end in pairwise(ends)]

    def query(self, text: str) -> tuple[int, ...]:
        """The distinct term ids of a question, in order of appearance; at most 64."""
        return tuple(dict.fromkeys(map(self._identify, _cut(text))))[:MAX_QUERY_TERMS]


def weigh_query(ids: Sequence[int], statistics: TermStatistics, *, candidates: int = 4_000) -> QueryVector:
    """Give a query's terms their idf; take the rarest first until about `candidates` chunks match.

    At 4,000 candidates the top fifty were 98-100 % those of the full ranking (100,000 chunks). Terms that no chunk
    holds are dropped.
    """
    counts = {term: count for term in ids if (count := statistics.counts.get(term, 0)) > 0}
    known = sorted(counts)
    weights = [_idf(statistics.chunks, counts[term]) for term in known]
    vector = TermVector(np.array(known, dtype=np.int32), np.array(weights, dtype=np.float32))
    return QueryVector(vector, _take_rarest(counts, candidates))


def _idf(chunks: int, count: int) -> float:
    """Always positive, also when every chunk holds the term or the counts lag behind."""
    return math.log1p((max(chunks, count) - count + 0.5) / (count + 0.5))


def _take_rarest(counts: Mapping[int, int], candidates: int) -> tuple[int, ...]:
    taken: list[int] = []
    matches = 0
    for term in sorted(counts, key=lambda term: (counts[term], term)):
        if matches >= candidates:
            break
        taken.append(term)
        matches += counts[term]
    return tuple(taken)

"""Answers without a language model: the sentences of the retrieved passages that say what the question asks.

Extraction cannot invent: every sentence of an answer is quoted from a document and cited. It can only fail to find, and
says so when the passages are hardly closer to the question than to any other question. Pure: the caller retrieves,
embeds the texts that a draft asks for, and presents.

The weights and the threshold were chosen by a grid on the evaluation sets in `tests/bench/data` and on 28 questions
that no sample answers. On those same questions, so without a claim for others: 73 of the 111 whose passage was among
the eight retrieved are answered right, 22 of the 28 are refused. Of 28 further unanswerable questions, written
afterwards and tried once, 18 were refused: near misses (a driving licence shown, when one was to be renewed) are what
extraction gets wrong.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dreamhub.domain.sentences import plain, sentences
from dreamhub.domain.terms import words

NO_ANSWER = "No answer was found in your documents."

MAX_SENTENCES = 3
MAX_QUOTE_CHARACTERS = 600

MIN_EVIDENCE = 0.28
"""Below it nothing is answered. Evidence is the closeness of the best passage, from 0 (as close to the question as to
questions about anything) to 1 (the question itself), with the share of the question's words that it holds."""

COVERAGE_EVIDENCE = 0.1
MISSING_NAME_PENALTY = 0.15
"""A name or number in the question that no passage holds: the documents speak of something similar, not of it."""

SENTENCE_COVERAGE, SENTENCE_CLOSENESS, PASSAGE_SCORE, PASSAGE_COVERAGE = 0.5, 1.0, 0.5, 0.3
"""What ranks a sentence: the share of the question's words in it, its likeness to the question, and both of its
passage."""

HEADING_WEIGHT = 0.6
"""A question's word found only in the headings counts this much: the sentence speaks about it without naming it."""

KEEP_SHARE = 0.7
"""A further sentence is added only when its rank reaches this share of the best one's."""

PROBES = (
    "Where can I buy fresh bread?",
    "How old is the oldest tree?",
    "Which actor played the king?",
    "What time does the museum open?",
    "Who wrote this song?",
    "How many people live on the island?",
    "Why is the sky blue?",
    "When was the bridge built?",
)
CJK_PROBES = (
    "哪里能买到新鲜的面包",
    "最老的树有多少岁",
    "谁演了那个国王",
    "博物馆几点开门",
    "这首歌是谁写的",
    "岛上住着多少人",
    "天空为什么是蓝色的",
    "那座桥是什么时候建的",
)
"""Questions about anything. Models differ in how alike they find unrelated texts, and so do scripts within one model:
the likeness of a passage to these is its zero."""

_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_NAME = re.compile(r"(?<=[a-z,] )[A-Z][\w-]+|\b\d[\d.,]*\b")
_STOP_WORDS = (
    "a an and are as at be been being but by can could did do does for from get had has have he her his how i if in "
    "into is it its long many may me might much must my of on or our shall she should so such than that the their them "
    "then there these they this those to us was we were what when where which who whom whose why will with would you "
    "your tell explain describe give list name please happen happens take takes need needs last lasts about"
)
_CJK_STOP_WORDS = (
    "什么 怎么 怎样 如何 多少 多久 多长 哪些 哪个 哪里 为什 是否 可以 请问 我们 你们 他们 "
    "的是 是什 么是 有多 需要 可否 少天 长时 时间"
)

Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Passage:
    """A retrieved chunk; `score` is its fused retrieval score, 0..1."""

    text: str
    score: float
    title: str = ""
    heading_path: tuple[str, ...] = ()

    @property
    def headings(self) -> str:
        return " ".join((self.title, *self.heading_path))


@dataclass(frozen=True)
class Quote:
    """`text` stands at `start:end` of passage number `passage` (an index into what was given)."""

    passage: int
    start: int
    end: int
    text: str


@dataclass(frozen=True)
class Answer:
    """`text` cites its quotes as [1], [2], ... in their order. Without quotes, it says that nothing was found."""

    text: str
    quotes: tuple[Quote, ...] = ()

    @property
    def found(self) -> bool:
        return bool(self.quotes)


class Draft:
    """An answer in the making: embed `texts`, one vector of length one each, and `finish` with the vectors."""

    def __init__(self, question: str, passages: Sequence[Passage]) -> None:
        self._passages = tuple(passages)
        self._asked = question_terms(question)
        self._names = frozenset(term for name in _NAME.findall(question) for term in words(name))
        self._quotes = [quote for index, passage in enumerate(passages) for quote in _quotes(index, passage)]
        self._probes = CJK_PROBES if _CJK.search(question) else PROBES
        self._question = question

    @property
    def texts(self) -> list[str]:
        """Empty when there is nothing to answer from."""
        if not self._asked or not self._quotes:
            return []
        passages = [f"{passage.headings} {passage.text}" for passage in self._passages]
        quotes = [f"{self._passages[quote.passage].headings} {quote.text}" for quote in self._quotes]
        return [self._question, *self._probes, *passages, *quotes]

    def finish(self, vectors: Vectors) -> Answer:
        """The best sentences, best first, or the honest statement that there is none."""
        if not self.texts:
            return Answer(NO_ANSWER)
        ends = np.cumsum([1, len(self._probes), len(self._passages)])
        question, probes, passages, quotes = np.split(vectors, ends)
        coverage = self._coverage()
        evidence = _closeness(question[0], passages, probes).max() + COVERAGE_EVIDENCE * max(coverage.passages)
        if evidence - self._penalty() < MIN_EVIDENCE:
            return Answer(NO_ANSWER)
        chosen = self._choose(quotes @ question[0], coverage)
        return Answer(" ".join(f"{plain(quote.text)} [{n}]" for n, quote in enumerate(chosen, 1)), chosen)

    def _choose(self, likeness: Vectors, coverage: "_Coverage") -> tuple[Quote, ...]:
        ranks = [
            (
                SENTENCE_COVERAGE * coverage.quotes[position]
                + SENTENCE_CLOSENESS * float(likeness[position])
                + PASSAGE_SCORE * self._passages[quote.passage].score
                + PASSAGE_COVERAGE * coverage.passages[quote.passage],
                quote,
            )
            for position, quote in enumerate(self._quotes)
        ]
        ranks.sort(key=lambda item: -item[0])
        return _distinct([quote for rank, quote in ranks if rank >= KEEP_SHARE * ranks[0][0]])

    def _penalty(self) -> float:
        held = {term for passage in self._passages for term in words(f"{passage.headings} {passage.text}")}
        return 0.0 if self._names <= held else MISSING_NAME_PENALTY

    def _coverage(self) -> "_Coverage":
        """The share of the question's information, by idf over the candidate sentences."""
        bodies = [frozenset(words(quote.text)) for quote in self._quotes]
        headings = [frozenset(words(passage.headings)) for passage in self._passages]
        idf = _idf(self._asked, bodies)
        texts = [frozenset(words(passage.text)) for passage in self._passages]
        return _Coverage(
            quotes=[
                _share(body, headings[quote.passage], idf) for body, quote in zip(bodies, self._quotes, strict=True)
            ],
            passages=[_share(text, heading, idf, 1.0) for text, heading in zip(texts, headings, strict=True)],
        )


@dataclass(frozen=True)
class _Coverage:
    quotes: list[float]
    passages: list[float]


def question_terms(question: str) -> frozenset[str]:
    """The stems and bigrams that carry the question; all of them when it is made of stop words only."""
    found = frozenset(words(question))
    return found - frozenset(words(_STOP_WORDS)) - frozenset(_CJK_STOP_WORDS.split()) or found


def _quotes(index: int, passage: Passage) -> list[Quote]:
    """The passage's sentences. A heading repeats the question's words and answers nothing."""
    found = []
    for start, end in sentences(passage.text):
        cut = min(end, start + MAX_QUOTE_CHARACTERS)
        text = passage.text[start:cut]
        if plain(text) not in {passage.title, *passage.heading_path} and not text.startswith("#"):
            found.append(Quote(index, start, cut, text))
    return found


def _closeness(question: Vectors, texts: Vectors, probes: Vectors) -> Vectors:
    """0: as like the question as like any other; 1: the same."""
    floor = (texts @ probes.T).mean(axis=1)
    return np.asarray((texts @ question - floor) / (1 - floor), dtype=np.float32)


def _idf(asked: frozenset[str], bodies: Sequence[frozenset[str]]) -> dict[str, float]:
    """BM25's idf over the candidate sentences. A word in none of them weighs most: its absence is what counts."""
    frequency = Counter(term for body in bodies for term in body & asked)
    count = len(bodies)
    return {term: math.log(1 + (count - frequency[term] + 0.5) / (frequency[term] + 0.5)) for term in asked}


def _share(
    body: frozenset[str], heading: frozenset[str], idf: dict[str, float], weight: float = HEADING_WEIGHT
) -> float:
    held = sum(value if term in body else weight * value for term, value in idf.items() if term in body | heading)
    return held / sum(idf.values())


def _distinct(quotes: Sequence[Quote]) -> tuple[Quote, ...]:
    """Overlapping chunks hold the same sentence twice; it is said once."""
    kept: dict[str, Quote] = {}
    for quote in quotes:
        kept.setdefault(plain(quote.text).casefold(), quote)
        if len(kept) == MAX_SENTENCES:
            break
    return tuple(kept.values())

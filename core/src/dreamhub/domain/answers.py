"""Answers without a language model: the sentences of the retrieved passages that say what the question asks.

Extraction cannot invent: every sentence of an answer is quoted from a document and cited. It can only fail to find, and
says so when the best sentence does not hold enough of the question. Pure; the caller retrieves and presents.
"""

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dreamhub.domain.terms import words

NO_ANSWER = "No answer was found in your documents."

MAX_SENTENCES = 3
MIN_EVIDENCE = 0.45
"""Below it nothing is answered. Evidence is 0..1: the share of the question's information that a sentence and its
headings hold, weighed with the passage's semantic similarity."""

KEEP_SHARE = 0.75
"""A further sentence is added only when its evidence reaches this share of the best one's."""

COVERAGE_WEIGHT = 0.7
HEADING_WEIGHT = 0.6
"""A question's word found only in the heading path counts this much: the sentence speaks about it without naming it."""

MAX_QUOTE_CHARACTERS = 600

_BREAK = re.compile(
    r"(?<=[。！？；])"  # noqa: RUF001 - Chinese and Japanese sentences end in full-width marks and need no space
    r"|(?<=[.!?])[\"')\]]?\s+(?=[\"'(\[]?[A-Z0-9\u00c0-\u00de\u3040-\u9fff])"
    r"|\n\s*\n"
    r"|\n(?=\s*(?:[-*+•#>|]|\d{1,3}[.)]\s))"
)
_ABBREVIATION = re.compile(r"(?:\b(?:e\.g|i\.e|cf|vs|Dr|Mr|Mrs|Ms|Prof|No|Fig|Sec|Art|St|approx|etc)|\b[A-Z])\.$")
_MARKUP = re.compile(r"^\s*(?:#{1,6}\s+|[-*+•>]\s+|\d{1,3}[.)]\s+)")
_SPACE = re.compile(r"\s+")

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


@dataclass(frozen=True)
class Passage:
    """A retrieved chunk. `semantic` is its cosine similarity to the question, 0..1; `number` is the caller's."""

    text: str
    semantic: float
    title: str = ""
    heading_path: tuple[str, ...] = ()


@dataclass(frozen=True)
class Quote:
    """`text` stands at `start:end` of passage number `passage` (an index into what was given)."""

    passage: int
    start: int
    end: int
    text: str
    evidence: float


@dataclass(frozen=True)
class Answer:
    """`text` cites its quotes as [1], [2], ... in their order. Without quotes, it says that nothing was found."""

    text: str
    quotes: tuple[Quote, ...]

    @property
    def found(self) -> bool:
        return bool(self.quotes)


def build_answer(question: str, passages: Sequence[Passage]) -> Answer:
    """The best sentences for a question, best first, or the honest statement that there is none."""
    asked = question_terms(question)
    candidates = [quote for index, passage in enumerate(passages) for quote in _quotes(index, passage)]
    if not asked or not candidates:
        return Answer(NO_ANSWER, ())
    scored = _score(asked, passages, candidates)
    best = scored[0].evidence
    if best < MIN_EVIDENCE:
        return Answer(NO_ANSWER, ())
    chosen = _distinct(quote for quote in scored if quote.evidence >= max(MIN_EVIDENCE, best * KEEP_SHARE))
    return Answer(" ".join(f"{_present(quote.text)} [{n}]" for n, quote in enumerate(chosen, 1)), chosen)


def question_terms(question: str) -> frozenset[str]:
    """The stems and bigrams that carry the question; all of them when it is made of stop words only."""
    found = frozenset(words(question))
    return found - _stop_terms() or found


def sentences(text: str) -> Iterator[tuple[int, int]]:
    """Where each sentence, list item or heading of a text starts and ends, surrounding blanks left out."""
    start = 0
    for match in _BREAK.finditer(text):
        if _ABBREVIATION.search(text, start, match.start()):
            continue
        yield from _trimmed(text, start, match.start())
        start = match.end()
    yield from _trimmed(text, start, len(text))


def _trimmed(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    piece = text[start:end]
    stripped = piece.strip()
    if stripped:
        offset = start + piece.index(stripped[0])
        yield offset, offset + len(stripped)


def _quotes(index: int, passage: Passage) -> Iterator[Quote]:
    for start, end in sentences(passage.text):
        cut = min(end, start + MAX_QUOTE_CHARACTERS)
        yield Quote(index, start, cut, passage.text[start:cut], 0.0)


def _score(asked: frozenset[str], passages: Sequence[Passage], candidates: Sequence[Quote]) -> list[Quote]:
    """The candidates with their evidence, best first; ties keep the order of retrieval."""
    bodies = [frozenset(words(quote.text)) for quote in candidates]
    headings = [frozenset(words(" ".join((passage.title, *passage.heading_path)))) for passage in passages]
    idf = _idf(asked, bodies)
    total = sum(idf.values())
    scored = []
    for quote, body in zip(candidates, bodies, strict=True):
        passage = passages[quote.passage]
        coverage = _coverage(asked, body, headings[quote.passage], idf) / total
        evidence = COVERAGE_WEIGHT * coverage + (1 - COVERAGE_WEIGHT) * min(1.0, max(0.0, passage.semantic))
        if not body & asked or _is_heading(quote.text, passage):
            evidence = 0.0
        scored.append(Quote(quote.passage, quote.start, quote.end, quote.text, round(evidence, 6)))
    return sorted(scored, key=lambda quote: -quote.evidence)


def _idf(asked: frozenset[str], bodies: Sequence[frozenset[str]]) -> dict[str, float]:
    """BM25's idf over the candidate sentences. A word in none of them weighs most: its absence is what counts."""
    frequency = Counter(term for body in bodies for term in body & asked)
    count = len(bodies)
    return {term: math.log(1 + (count - frequency[term] + 0.5) / (frequency[term] + 0.5)) for term in asked}


def _coverage(asked: frozenset[str], body: frozenset[str], heading: frozenset[str], idf: dict[str, float]) -> float:
    in_body = sum(idf[term] for term in asked & body)
    in_heading = sum(idf[term] for term in (asked & heading) - body)
    return in_body + HEADING_WEIGHT * in_heading


def _is_heading(text: str, passage: Passage) -> bool:
    """A chunk may open with its own heading: it repeats the question's words and answers nothing."""
    bare = _present(text)
    return bare in {passage.title, *passage.heading_path} or (text.lstrip().startswith("#") and "\n" not in text)


def _distinct(quotes: Iterator[Quote]) -> tuple[Quote, ...]:
    """Overlapping chunks hold the same sentence twice; it is said once."""
    kept: dict[str, Quote] = {}
    for quote in quotes:
        kept.setdefault(_present(quote.text).casefold(), quote)
        if len(kept) == MAX_SENTENCES:
            break
    return tuple(kept.values())


def _present(text: str) -> str:
    return _SPACE.sub(" ", _MARKUP.sub("", text)).strip()


def _stop_terms() -> frozenset[str]:
    return frozenset(words(_STOP_WORDS)) | frozenset(_CJK_STOP_WORDS.split())

"""How long documents take, learnt from those that were done, and so how long the rest will. Pure.

A document costs something by itself (to claim, fetch, show it) and something for its size. Both are fitted from what
was seen lately, so that notes say something true about a manual. Size is in the tokens that a document was estimated to
have: what an estimate is wrong by, the fitted seconds make up for.
"""

from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from dreamhub.domain.progress import MOST, Amount

HALF_LIFE_SECONDS = 30.0
"""Of work, after which what was seen counts half: a load or a rate limit that changes is soon known."""

TYPICAL_TOKENS = 1_000
"""While all that was seen is of one size: a document costs as much by itself as for so many tokens."""

_SPREAD = 0.05
"""Of sizes, as a variance relative to their mean, from which on two costs can be told apart."""


class Pace(BaseModel):
    """What one more document takes."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)

    document_seconds: Amount = 0
    token_seconds: Amount = 0

    def predict(self, documents: float, tokens: float) -> float:
        """Seconds of one worker."""
        return documents * self.document_seconds + tokens * self.token_seconds


@dataclass
class Line:
    """Seconds as a constant plus a slope times tokens: a least-squares fit that forgets.

    The first sight is forgotten as soon as there is a second: it is a process that loads and connects. Errors count
    relative to what was measured, so that no single large document decides the constant.
    """

    seen: int = 0
    _one: float = 0.0
    _tokens: float = 0.0
    _squares: float = 0.0
    _seconds: float = 0.0
    _products: float = 0.0

    def add(self, tokens: float, seconds: float) -> None:
        fading = 0.0 if self.seen == 1 else 0.5 ** (seconds / HALF_LIFE_SECONDS)
        weight = 1 / (tokens + TYPICAL_TOKENS)
        self.seen += 1
        self._one = self._one * fading + weight
        self._tokens = self._tokens * fading + weight * tokens
        self._squares = self._squares * fading + weight * tokens * tokens
        self._seconds = self._seconds * fading + weight * seconds
        self._products = self._products * fading + weight * tokens * seconds

    def fit(self) -> Pace:
        """Neither cost is below nothing."""
        if not self.seen:
            return Pace()
        tokens, seconds = self._tokens / self._one, self._seconds / self._one
        spread = self._squares / self._one - tokens * tokens
        if spread <= _SPREAD * (tokens + TYPICAL_TOKENS) ** 2:
            scale = seconds / (tokens + TYPICAL_TOKENS)
            return _pace(scale * TYPICAL_TOKENS, scale)
        slope = (self._products / self._one - tokens * seconds) / spread
        constant = seconds - slope * tokens
        if slope < 0:
            return _pace(seconds, 0)
        return _pace(0, seconds / tokens) if constant < 0 else _pace(constant, slope)


def add_paces(*paces: Pace) -> Pace:
    """Of steps that follow each other."""
    return _pace(sum(pace.document_seconds for pace in paces), sum(pace.token_seconds for pace in paces))


def mean_pace(paces: list[Pace]) -> Pace:
    """Of workers side by side."""
    total = add_paces(*paces)
    return _pace(total.document_seconds / len(paces), total.token_seconds / len(paces))


def _pace(document_seconds: float, token_seconds: float) -> Pace:
    return Pace(
        document_seconds=round(min(MOST, document_seconds), 6), token_seconds=round(min(MOST, token_seconds), 9)
    )


@dataclass(frozen=True, slots=True)
class Rest:
    """What is left of a run."""

    documents: float
    """That nobody has in hand."""
    tokens: float
    in_hand: tuple[float, ...]
    """Seconds that each worker still needs for its document."""
    workers: int


def foretell(rest: Rest, pace: Pace) -> int:
    """Seconds to the end: the work divided by the workers, but never less than what one of them has to do alone."""
    queued = pace.predict(rest.documents, rest.tokens)
    one = pace.predict(1, rest.tokens / rest.documents) if rest.documents >= 1 else 0.0
    shared = (queued + sum(rest.in_hand)) / max(1, rest.workers)
    return round(min(MOST, max(shared, one, *rest.in_hand, 0.0)))

"""Requests that fit a provider's limits: as few as possible, none too large. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil

from dreamhub.domain.call_budget import BURST

MAX_INPUTS = 2_048
MAX_REQUEST_TOKENS = 300_000
"""OpenAI's limits for one embeddings request; both hold at once. Others allow no less in practice."""

MAX_TEXT_TOKENS = 8_192
"""OpenAI's limit for one text."""


def token_bound(text: str) -> int:
    """An upper estimate of a text's tokens without its tokenizer, whose tables would have to be downloaded.

    Two UTF-8 bytes a token is below what any common tokenizer reaches on prose (English 4, Chinese 2 to 3).
    """
    return len(text.encode()) // 2 + 1


def pack(
    texts: Sequence[str], *, max_inputs: int = MAX_INPUTS, max_tokens: int = MAX_REQUEST_TOKENS
) -> Iterator[range]:
    """Ranges of consecutive texts. A text above the limit goes alone: the provider's refusal then names it."""
    start = tokens = 0
    for index, text in enumerate(texts):
        size = token_bound(text)
        if index > start and (index - start == max_inputs or tokens + size > max_tokens):
            yield range(start, index)
            start, tokens = index, 0
        tokens += size
    if start < len(texts):
        yield range(start, len(texts))


def request_tokens(tokens_per_minute: int | None) -> int:
    """How large a request is packed: with a budget, small enough that several are under way and none waits for long."""
    if tokens_per_minute is None:
        return MAX_REQUEST_TOKENS
    return max(MAX_TEXT_TOKENS, min(MAX_REQUEST_TOKENS, round(tokens_per_minute * BURST)))


@dataclass
class TokenScale:
    """What texts take by their bytes, learned from a provider's counts, so that little is reserved in vain."""

    per_byte: float = 0.5
    """As `token_bound` has it, until something is known."""
    _known: bool = False

    def expect(self, texts: Sequence[str]) -> int:
        return ceil(self.per_byte * sum(len(text.encode()) for text in texts)) + 1

    def learn(self, texts: Sequence[str], tokens: int) -> None:
        found = tokens / max(1, sum(len(text.encode()) for text in texts))
        self.per_byte = found if not self._known else self.per_byte + 0.2 * (found - self.per_byte)
        self._known = True


def spread(total: int, texts: Sequence[str]) -> tuple[int, ...]:
    """A request's token count shared among its texts by length, adding up to `total` exactly."""
    lengths = [max(1, len(text)) for text in texts]
    whole = sum(lengths)
    shares, given, seen = [], 0, 0
    for length in lengths:
        seen += length
        upto = total * seen // whole
        shares.append(upto - given)
        given = upto
    return tuple(shares)

"""Requests that fit a provider's limits: as few as possible, none too large. Pure."""

from collections.abc import Iterator, Sequence

MAX_INPUTS = 2_048
MAX_REQUEST_TOKENS = 300_000
"""OpenAI's limits for one embeddings request; both hold at once. Others allow no less in practice."""


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

"""Requests stay inside a provider's limits and lose no text."""

from hypothesis import given
from hypothesis import strategies as st

from dreamhub.llm.packing import pack, spread, token_bound


@given(st.lists(st.text(max_size=60), max_size=40), st.integers(1, 8), st.integers(5, 60))
def test_every_text_goes_once_and_no_request_is_too_large(texts: list[str], inputs: int, tokens: int) -> None:
    spans = list(pack(texts, max_inputs=inputs, max_tokens=tokens))
    assert [index for span in spans for index in span] == list(range(len(texts)))
    for span in spans:
        assert 0 < len(span) <= inputs
        assert len(span) == 1 or sum(token_bound(texts[index]) for index in span) <= tokens


def test_requests_are_as_few_as_possible() -> None:
    assert len(list(pack(["x"] * 100, max_inputs=50, max_tokens=10_000))) == 2


@given(st.integers(0, 10_000), st.lists(st.text(max_size=20), min_size=1, max_size=20))
def test_a_requests_tokens_are_shared_out_exactly(total: int, texts: list[str]) -> None:
    shares = spread(total, texts)
    assert sum(shares) == total
    assert min(shares) >= 0


def test_longer_texts_get_more() -> None:
    assert spread(100, ["a", "aaa"]) == (25, 75)

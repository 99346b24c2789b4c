"""Estimates and prices: what they are made of, and what never happens to them."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dreamhub.domain.cost import (
    FURTHEST,
    PRIOR_BYTES,
    TYPICAL,
    File,
    Price,
    Ratios,
    Seen,
    Threshold,
    estimate,
    format_money,
    weigh,
)

PDF = "application/pdf"
files = st.builds(File, st.integers(0, 10**9), st.sampled_from([*TYPICAL, "application/odd"]))


def test_a_tenant_without_documents_gets_what_is_typical() -> None:
    found = estimate([File(1_000_000, PDF), File(0, "text/plain")])
    assert (found.documents, found.bytes, found.basis) == (2, 1_000_000, "Typical")
    assert found.tokens == weigh(1_000_000, PDF) + 1


def test_nothing_to_embed_takes_nothing() -> None:
    assert estimate([]).tokens == 0
    assert estimate([]).basis == "Typical"


@pytest.mark.parametrize(
    ("seen", "ratio", "basis"),
    [
        (Seen(0, 0), TYPICAL[PDF], "Typical"),
        (Seen(PRIOR_BYTES, PRIOR_BYTES // 5), (0.2 + TYPICAL[PDF]) / 2, "OwnDocuments"),
        (Seen(PRIOR_BYTES * 999, PRIOR_BYTES * 999 // 5), 0.2, "OwnDocuments"),
    ],
    ids=["none", "as many", "many"],
)
def test_own_documents_outweigh_the_typical_ones_as_they_come(seen: Seen, ratio: float, basis: str) -> None:
    ratios = Ratios({PDF: seen})
    assert ratios.of(PDF) == pytest.approx(ratio, rel=1e-2)
    assert ratios.of("text/plain") == TYPICAL["text/plain"]
    assert estimate([File(10, PDF)], ratios).basis == basis
    assert estimate([File(10, PDF), File(10, "text/html")], ratios).basis == "Typical"


@given(st.integers(-(2**63), 2**63), st.integers(-(2**63), 2**63))
def test_whatever_a_tenant_has_written_moves_an_estimate_only_so_far(size: int, tokens: int) -> None:
    ratio = Ratios({PDF: Seen(size, tokens)}).of(PDF)
    assert TYPICAL[PDF] / FURTHEST <= ratio <= TYPICAL[PDF] * FURTHEST


@given(st.lists(files, max_size=20), st.lists(files, max_size=20))
def test_an_estimate_is_the_sum_of_its_parts(some: list[File], others: list[File]) -> None:
    together = estimate([*some, *others])
    assert together.tokens == estimate(some).tokens + estimate(others).tokens
    assert together.tokens >= len(some) + len(others)


@pytest.mark.parametrize(
    ("threshold", "price", "most"),
    [
        (Threshold(), Price(Decimal(1)), None),
        (Threshold(tokens=7), Price(Decimal(1)), 7),
        (Threshold(cost=Decimal("2.50")), Price(Decimal("0.02")), 125_000_000),
        (Threshold(tokens=7, cost=Decimal(1)), Price(Decimal(1)), 7),
        (Threshold(tokens=2_000_000, cost=Decimal(1)), Price(Decimal(1)), 1_000_000),
        (Threshold(cost=Decimal(0)), Price(Decimal(1)), 0),
        (Threshold(cost=Decimal(0)), Price(), None),
        (Threshold(cost=Decimal(0)), Price(Decimal(0)), None),
    ],
)
def test_the_lower_threshold_counts(threshold: Threshold, price: Price, most: int | None) -> None:
    assert threshold.most_tokens(price) == most


def test_a_model_without_a_price_costs_nothing_that_is_known() -> None:
    assert Price().of(10**9) is None
    assert Price(Decimal("0.13")).of(10**6) == Decimal("0.13")


@pytest.mark.parametrize(
    ("amount", "text"),
    [("0.42", "0.42"), ("12", "12"), ("120.0", "120"), ("0", "0"), ("0.00000001", "0.000001"), ("1E+3", "1000")],
)
def test_money_is_written_for_people(amount: str, text: str) -> None:
    assert format_money(Decimal(amount)) == text

"""Limits divided fairly and wholly; calls of all workers told as metrics."""

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from dreamhub.domain.call_budget import PACE, Rates
from dreamhub.storage.model_budget import BOUNDS, Calls
from dreamhub_operator.duties.budget_metrics import ModelMetrics, subtract
from dreamhub_operator.duties.budget_shares import LEAST, Claim, Want, adjust, divide, divide_rates, hear, read_want

CLAIMS = st.lists(
    st.builds(Claim, st.floats(1, 1000), st.one_of(st.just(inf), st.floats(0, 2000))), min_size=1, max_size=20
)


@given(CLAIMS)
def test_all_is_given_out_and_nobody_is_passed_over(claims: list[Claim]) -> None:
    shares = divide(1000.0, claims)
    assert sum(shares) == pytest.approx(1000.0)
    levels = [share / claim.weight for share, claim in zip(shares, claims, strict=True)]
    unmet = [level for level, share, claim in zip(levels, shares, claims, strict=True) if share < claim.demand - 1e-6]
    for level, share, claim in zip(levels, shares, claims, strict=True):
        if unmet and share > claim.demand + 1e-6:
            pytest.fail("more than wanted, while another lacks")
        if unmet and level > min(unmet) + 1e-6:
            pytest.fail("more for its weight than one that wants more")


def test_weights_decide_between_those_that_want_more() -> None:
    assert divide(900.0, [Claim(100, inf), Claim(200, inf)]) == pytest.approx([300, 600])
    assert divide(900.0, [Claim(100, inf), Claim(200, 30)]) == pytest.approx([870, 30])


def test_nobody_wants_anything() -> None:
    assert divide(900.0, []) == []
    assert divide_rates(Rates(10, 10), {}) == {}


def test_requests_and_tokens_are_divided_apart() -> None:
    busy, calm = Want(100, short=True, requests=5, tokens=5), Want(100, short=False, requests=90, tokens=0)
    rates = divide_rates(Rates(300, 10_000), {"busy": busy, "calm": calm})
    assert both(rates["calm"]) == pytest.approx((135, 10_000 * LEAST))
    assert both(rates["busy"]) == pytest.approx((300 * PACE - 135, 10_000 * (PACE - LEAST)))
    assert divide_rates(Rates(None, 100), {"calm": calm})["calm"].requests is None


def both(rates: Rates) -> tuple[float, float]:
    assert rates.requests is not None
    assert rates.tokens is not None
    return rates.requests, rates.tokens


def calls(asked_ago: float = 0.0, short_ago: float | None = None, tokens: int = 0, **outcomes: int) -> Calls:
    return Calls(outcomes, tokens, (0,) * (len(BOUNDS) + 1), 0, asked_ago, short_ago)


def test_what_a_tenant_wants_is_read_from_its_counters() -> None:
    before = calls(tokens=100, ok=10)
    assert read_want(7, before, calls(tokens=300, ok=14, failed=1), 2.0) == Want(7, False, 150, 6000)
    assert read_want(7, before, calls(short_ago=1.0), 2.0) == Want(7, True, 0, 0)
    assert read_want(7, before, calls(asked_ago=60.0, short_ago=60.0), 2.0) is None
    newcomer = read_want(7, None, calls(), 2.0)
    assert newcomer is not None
    assert newcomer.short


def test_less_is_given_out_while_a_provider_refuses_and_more_again_after() -> None:
    assert adjust(1.0, calls=100, limited=1) == 1.0
    assert adjust(1.0, calls=100, limited=5) == pytest.approx(0.95)
    assert adjust(0.5, calls=10, limited=10) == 0.5
    assert 0.5 < adjust(0.5, calls=10, limited=0) < 0.51


def test_refusals_that_one_tenant_alone_tells_of_take_nothing_from_the_others() -> None:
    equal = {tenant: Rates(100, None) for tenant in ("liar", "a", "b")}
    told = {"liar": {"limited": 2**53}, "a": {"ok": 60, "limited": 1}, "b": {"ok": 40}, "idle": {"ok": 0}}
    assert hear(told, equal) == (101, 1)
    assert adjust(1.0, *hear(told, equal)) == 1.0
    refused = {**told, "a": {"ok": 60, "limited": 5}}
    assert adjust(1.0, *hear(refused, equal)) < 1.0


def test_whoever_calls_alone_or_was_given_the_most_is_heard() -> None:
    assert hear({"a": {"ok": 5, "limited": 5}}, {}) == (10, 5)
    told = {"a": {"ok": 5, "limited": 5}, "b": {"ok": 1}}
    assert hear(told, {"a": Rates(None, 600), "b": Rates(None, 300)}) == (11, 5)
    assert hear({}, {}) == (0, 0)


def took(index: int, count: int) -> tuple[int, ...]:
    return tuple(count if place == index else 0 for place in range(len(BOUNDS) + 1))


def test_counters_that_began_anew_count_from_nothing() -> None:
    before, now = calls(tokens=500, ok=50), calls(tokens=20, ok=2)
    assert subtract(now, before).tokens == 20
    assert subtract(now, before).outcomes["ok"] == 2


def test_names_that_nobody_of_ours_counts_are_no_labels() -> None:
    assert "made-up" not in subtract(calls(**{"made-up": 5}), None).outcomes


def test_what_is_told() -> None:
    registry = CollectorRegistry()
    metrics = ModelMetrics(registry)
    whole = Calls({"ok": 95, "failed": 4, "rejected": 1}, 3_000, took(2, 90), 18_000, 0, None)
    growth = subtract(whole, None)
    metrics.add("m", Rates(200, 60_000), 0.0, {"acme": growth})

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(name, labels)

    assert value("openai_req_total", model="m", outcome="ok") == 95
    assert value("openai_error_rate", model="m") == pytest.approx(0.04)
    assert value("quota_used_pct", model="m") == 50
    assert value("dreamhub_model_tokens_total", model="m", tenant="acme") == 3_000
    assert value("embedding_seconds_bucket", model="m", le="0.1") == 0
    assert value("embedding_seconds_bucket", model="m", le="0.25") == 90
    assert value("embedding_seconds_count", model="m") == 90
    assert value("embedding_seconds_sum", model="m") == 18
    assert metrics.embedding_p95() == 0.25
    metrics.add("m", Rates(200, 60_000), 120.0, {})
    assert value("quota_used_pct", model="m") == 0
    assert value("openai_req_total", model="m", outcome="ok") == 95
    assert metrics.embedding_p95() is None

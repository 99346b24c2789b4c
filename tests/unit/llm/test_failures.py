"""What a provider's errors mean, how long it asks to wait, and what they become."""

import base64
from datetime import UTC, datetime
from email.utils import format_datetime

import httpx2
import numpy as np
import openai
import pytest

from dreamhub.errors import DreamHubError, InvalidInputError, LimitExceededError, UnavailableError
from dreamhub.llm.failures import Verdict, judge, parse_span, reset_seconds, retry_after, translate
from dreamhub.llm.openai_embedding import decode_vector

REQUEST = httpx2.Request("POST", "https://models.example/v1/embeddings")
NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


def refused(status: int, code: str | None = None, **headers: str) -> openai.APIStatusError:
    response = httpx2.Response(status, headers=headers, request=REQUEST)
    return openai.APIStatusError("it quotes: my secret text", response=response, body={"code": code})


SPENT = {"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "6s", "x-ratelimit-reset-requests": "1m"}


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (refused(429), Verdict("limited", retried=True, overloaded=True)),
        (refused(429, **{"retry-after": "7"}), Verdict("limited", retried=True, overloaded=True, asked_seconds=7.0)),
        (refused(429, **SPENT), Verdict("limited", retried=True, overloaded=True, asked_seconds=6.0)),
        (refused(429, **{"retry-after": "3600"}), Verdict("limited", False, True, 3600.0)),
        (refused(429, "insufficient_quota", **{"retry-after": "1"}), Verdict("quota", retried=True)),
        (refused(500), Verdict("failed", retried=True)),
        (refused(503), Verdict("failed", retried=True, overloaded=True)),
        (refused(503, **{"retry-after-ms": "250"}), Verdict("failed", True, True, 0.25)),
        (refused(401), Verdict("unauthorized", retried=True)),
        (refused(403), Verdict("unauthorized", retried=True)),
        (refused(400), Verdict("rejected", retried=False)),
        (refused(404), Verdict("rejected", retried=False)),
        (openai.APIConnectionError(request=REQUEST), Verdict("unreachable", retried=True)),
        (openai.APITimeoutError(REQUEST), Verdict("timeout", retried=True, overloaded=True)),
        (TimeoutError(), Verdict("timeout", retried=True, overloaded=True)),
        (openai.OpenAIError(), Verdict("failed", retried=False)),
    ],
)
def test_what_an_error_means(error: openai.OpenAIError | TimeoutError, verdict: Verdict) -> None:
    assert judge(error, NOW.timestamp()) == verdict


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("6m0s", 360), ("1.5s", 1.5), ("20ms", 0.02), ("1h2m3s", 3723), ("5m", 300), ("", None), ("soon", None)],
)
def test_spans(text: str, seconds: float | None) -> None:
    assert parse_span(text) == seconds


def test_a_limit_that_is_not_used_up_holds_nobody() -> None:
    assert reset_seconds({"x-ratelimit-remaining-requests": "3", "x-ratelimit-reset-requests": "9s"}) is None
    assert reset_seconds({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "9s"}) == 9


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": format_datetime(NOW.replace(second=30), usegmt=True)}, 30.0),
        ({"retry-after": format_datetime(NOW.replace(hour=1), usegmt=True)}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after-ms": "x"}, None),
    ],
)
def test_how_long_a_provider_asks_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, NOW.timestamp()) == seconds


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (openai.APITimeoutError(REQUEST), UnavailableError, "Unavailable"),
        (TimeoutError(), UnavailableError, "Unavailable"),
        (openai.APIConnectionError(request=REQUEST), UnavailableError, "Unavailable"),
        (refused(500), UnavailableError, "ProviderLimited"),
        (refused(429), UnavailableError, "ProviderLimited"),
        (refused(429, "insufficient_quota"), LimitExceededError, "ProviderQuota"),
        (refused(401), UnavailableError, "ProviderUnauthorized"),
        (refused(403), UnavailableError, "ProviderUnauthorized"),
        (refused(400), InvalidInputError, "ProviderRejected"),
        (openai.OpenAIError(), UnavailableError, "ProviderAnswer"),
    ],
)
def test_what_an_error_becomes(error: openai.OpenAIError | TimeoutError, kind: type[DreamHubError], code: str) -> None:
    ours = translate("small", error)
    assert isinstance(ours, kind)
    assert ours.code == code
    assert "small" in ours.message
    assert "secret" not in ours.message


def test_vectors_come_as_base64_or_as_numbers() -> None:
    numbers = np.array([0.5, -1.25, 3.0], dtype="<f4")
    assert decode_vector(base64.b64encode(numbers.tobytes()).decode()).tolist() == numbers.tolist()
    assert decode_vector([0.5, -1.25, 3.0]).tolist() == numbers.tolist()

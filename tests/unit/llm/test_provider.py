"""When a provider is asked again, how long is waited, and what its errors become."""

import base64
from datetime import UTC, datetime
from email.utils import format_datetime

import httpx2
import numpy as np
import openai
import pytest

from dreamhub.errors import DreamHubError, InvalidInputError, LimitExceededError, UnavailableError
from dreamhub.llm.openai_embedding import decode_vector
from dreamhub.llm.provider import retry_after, retry_delay, translate

REQUEST = httpx2.Request("POST", "https://models.example/v1/embeddings")
NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


def refused(status: int, code: str | None = None, **headers: str) -> openai.APIStatusError:
    response = httpx2.Response(status, headers=headers, request=REQUEST)
    return openai.APIStatusError("it quotes: my secret text", response=response, body={"code": code})


@pytest.mark.parametrize(
    ("error", "delay"),
    [
        (refused(429), True),
        (refused(500), True),
        (refused(503), True),
        (openai.APIConnectionError(request=REQUEST), True),
        (openai.APITimeoutError(REQUEST), True),
        (refused(429, **{"retry-after": "7"}), 7.0),
        (refused(503, **{"retry-after-ms": "250"}), 0.25),
        (refused(429, **{"retry-after": "3600"}), False),
        (refused(429, "insufficient_quota", **{"retry-after": "1"}), False),
        (refused(400), False),
        (refused(401), False),
        (refused(404), False),
        (ValueError(), False),
    ],
)
def test_what_is_tried_again_and_when(error: Exception, *, delay: float | bool) -> None:
    assert retry_delay(error) == delay
    assert isinstance(retry_delay(error), type(delay))


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
def test_what_an_error_becomes(error: openai.OpenAIError, kind: type[DreamHubError], code: str) -> None:
    ours = translate("small", error)
    assert isinstance(ours, kind)
    assert ours.code == code
    assert "small" in ours.message
    assert "secret" not in ours.message


def test_vectors_come_as_base64_or_as_numbers() -> None:
    numbers = np.array([0.5, -1.25, 3.0], dtype="<f4")
    assert decode_vector(base64.b64encode(numbers.tobytes()).decode()).tolist() == numbers.tolist()
    assert decode_vector([0.5, -1.25, 3.0]).tolist() == numbers.tolist()

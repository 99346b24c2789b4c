"""Calls to an OpenAI-compatible provider: one client, one retry loop, one table of its errors.

The SDK retries on its own by default and waits ten minutes for an answer; both are switched off, so that nothing
happens twice and a caller knows for how long it can be kept.
"""

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TypeVar

import openai
import stamina

from dreamhub.errors import DreamHubError, InvalidInputError, LimitExceededError, UnavailableError
from dreamhub.llm.models import ModelSettings

T = TypeVar("T")

ATTEMPTS = 8
MAX_RETRY_AFTER_SECONDS = 120.0
_CONNECT_SECONDS = 5.0
_RETRIED_STATUS = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
_QUOTA_CODES = frozenset({"insufficient_quota", "billing_hard_limit_reached"})


def open_client(settings: ModelSettings) -> openai.AsyncOpenAI:
    """A client that reads the key's file before each request, so that a changed key is taken over."""

    async def read_api_key() -> str:
        try:
            return settings.read_api_key()
        except InvalidInputError as error:  # the platform's fault and not the caller's
            raise UnavailableError(
                f"model {settings.name} cannot be asked: {error.message}", code=error.code
            ) from error

    return openai.AsyncOpenAI(
        base_url=settings.endpoint,
        api_key=read_api_key,
        max_retries=0,
        timeout=openai.Timeout(settings.timeout_seconds, connect=_CONNECT_SECONDS),
    )


@dataclass
class Waited:
    """Seconds between a refusal and the try after it; the caller reports them apart from work."""

    seconds: float = 0.0


async def call_provider(
    settings: ModelSettings, request: Callable[[], Awaitable[T]], waited: Waited | None = None
) -> T:
    """Run `request` until it succeeds, the error is final or the budget is spent.

    Raises what `translate` makes of the provider's last error.
    """
    waited = waited if waited is not None else Waited()
    refused_at: float | None = None
    try:
        async for attempt in stamina.retry_context(
            on=retry_delay, attempts=ATTEMPTS, timeout=settings.budget_seconds, wait_initial=0.5, wait_max=30
        ):
            if refused_at is not None:
                waited.seconds += time.monotonic() - refused_at
            with attempt:
                try:
                    return await request()
                finally:
                    refused_at = time.monotonic()
    except openai.OpenAIError as error:
        raise translate(settings.name, error) from error
    raise UnavailableError(f"the provider of model {settings.name} was not asked: no attempt was left")


def retry_delay(error: Exception) -> bool | float:
    """The hook of stamina: False ends, True waits by its own schedule, seconds follow the provider's word."""
    if isinstance(error, openai.APIConnectionError):
        return True
    if not isinstance(error, openai.APIStatusError) or error.status_code not in _RETRIED_STATUS:
        return False
    if error.code in _QUOTA_CODES:
        return False
    asked = retry_after(error.response.headers, time.time())
    if asked is None:
        return True
    return asked if asked <= MAX_RETRY_AFTER_SECONDS else False


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds from `retry-after-ms` or `retry-after` (a number or an HTTP date), or None."""
    try:
        if milliseconds := headers.get("retry-after-ms"):
            return max(0.0, float(milliseconds) / 1000)
        value = headers.get("retry-after")
        if value is None:
            return None
        if value.replace(".", "", 1).isdigit():
            return float(value)
        return max(0.0, parsedate_to_datetime(value).timestamp() - now)
    except ValueError:
        return None


def translate(model: str, error: openai.OpenAIError) -> DreamHubError:
    """The provider's error as ours. Its own text is left out: it may quote what was sent."""
    if isinstance(error, openai.APITimeoutError):
        return UnavailableError(f"the provider of model {model} did not answer in time; try again later")
    if isinstance(error, openai.APIConnectionError):
        return UnavailableError(f"the provider of model {model} cannot be reached; check its endpoint and the network")
    if isinstance(error, openai.APIStatusError):
        return _of_status(model, error.status_code, error.code)
    return UnavailableError(f"the provider of model {model} gave an answer that cannot be read", code="ProviderAnswer")


def _of_status(model: str, status: int, code: str | None) -> DreamHubError:
    if code in _QUOTA_CODES:
        return LimitExceededError(
            f"the quota of the API key for model {model} is used up; raise it or change the key", code="ProviderQuota"
        )
    if status in {401, 403}:
        return UnavailableError(
            f"the provider of model {model} refused the API key (HTTP {status}); the platform's operator must "
            "correct the key of this model",
            code="ProviderUnauthorized",
        )
    if status in _RETRIED_STATUS:
        return UnavailableError(
            f"the provider of model {model} kept answering HTTP {status}; try again later", code="ProviderLimited"
        )
    return InvalidInputError(
        f"the provider of model {model} refused the request (HTTP {status}, {code or 'no code'})",
        code="ProviderRejected",
    )

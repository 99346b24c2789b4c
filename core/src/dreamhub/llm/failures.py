"""What a provider's errors mean: for the call, for its key, for everybody. One table of them, and none elsewhere."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

import openai

from dreamhub.domain.call_budget import Outcome
from dreamhub.errors import DreamHubError, InvalidInputError, LimitExceededError, UnavailableError

MAX_RETRY_AFTER_SECONDS = 120.0
RETRIED_STATUS = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
OVERLOADED_STATUS = frozenset({429, 503, 529})
QUOTA_CODES = frozenset({"insufficient_quota", "billing_hard_limit_reached"})
_LIMITS = ("requests", "tokens")
_SPAN = re.compile(r"(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?")

ProviderError = openai.OpenAIError | TimeoutError


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an error says."""

    outcome: Outcome
    retried: bool
    """Whether the same request may succeed, with this key or another."""
    overloaded: bool = False
    """Whether fewer calls at a time would have helped."""
    asked_seconds: float | None = None
    """For so long the provider wants to be left alone."""


def judge(error: ProviderError, now: float) -> Verdict:
    """`now` in Unix time."""
    if isinstance(error, openai.APIStatusError):
        return _judge_status(error, now)
    if isinstance(error, TimeoutError | openai.APITimeoutError):
        return Verdict("timeout", retried=True, overloaded=True)
    if isinstance(error, openai.APIConnectionError):
        return Verdict("unreachable", retried=True)
    return Verdict("failed", retried=False)


def _judge_status(error: openai.APIStatusError, now: float) -> Verdict:
    status = error.status_code
    if error.code in QUOTA_CODES:
        return Verdict("quota", retried=True)
    if status in {401, 403}:
        return Verdict("unauthorized", retried=True)
    if status not in RETRIED_STATUS:
        return Verdict("rejected", retried=False)
    asked = retry_after(error.response.headers, now)
    if asked is None and status == 429:
        asked = reset_seconds(error.response.headers)
    retried = asked is None or asked <= MAX_RETRY_AFTER_SECONDS
    return Verdict("limited" if status == 429 else "failed", retried, status in OVERLOADED_STATUS, asked)


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


def reset_seconds(headers: Mapping[str, str]) -> float | None:
    """From `x-ratelimit-*`: until what is used up fills again; None when nothing is, or nobody says when."""
    resets = [
        parse_span(headers.get(f"x-ratelimit-reset-{limit}", ""))
        for limit in _LIMITS
        if headers.get(f"x-ratelimit-remaining-{limit}", "").strip() == "0"
    ]
    return max((reset for reset in resets if reset is not None), default=None)


def parse_span(text: str) -> float | None:
    """Seconds of a span such as `6m0s`, `1.5s` or `20ms`."""
    match = _SPAN.fullmatch(text.strip())
    if match is None or not any(match.groups()):
        return None
    hours, minutes, seconds, milliseconds = (float(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + seconds + milliseconds / 1000


def translate(model: str, error: ProviderError) -> DreamHubError:
    """The provider's error as ours. Its own text is left out: it may quote what was sent."""
    if isinstance(error, TimeoutError | openai.APITimeoutError):
        return UnavailableError(f"the provider of model {model} did not answer in time; try again later")
    if isinstance(error, openai.APIConnectionError):
        return UnavailableError(f"the provider of model {model} cannot be reached; check its endpoint and the network")
    if isinstance(error, openai.APIStatusError):
        return _of_status(model, error.status_code, error.code)
    return UnavailableError(f"the provider of model {model} gave an answer that cannot be read", code="ProviderAnswer")


def _of_status(model: str, status: int, code: str | None) -> DreamHubError:
    if code in QUOTA_CODES:
        return quota_error(model)
    if status in {401, 403}:
        return unauthorized_error(model)
    if status in RETRIED_STATUS:
        return UnavailableError(
            f"the provider of model {model} kept answering HTTP {status}; try again later", code="ProviderLimited"
        )
    return InvalidInputError(
        f"the provider of model {model} refused the request (HTTP {status}, {code or 'no code'})",
        code="ProviderRejected",
    )


def quota_error(model: str) -> DreamHubError:
    return LimitExceededError(
        f"the quota of the API key for model {model} is used up; raise it or change the key", code="ProviderQuota"
    )


def unauthorized_error(model: str) -> DreamHubError:
    return UnavailableError(
        f"the provider of model {model} refuses the API key; the platform's operator must correct the key of this "
        "model",
        code="ProviderUnauthorized",
    )


def waited_out_error(model: str) -> DreamHubError:
    return UnavailableError(
        f"model {model} had no turn within the time for a call: its provider is away, or its limits are used up; "
        "try again later",
        code="ProviderLimited",
    )

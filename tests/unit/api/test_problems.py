"""The table from errors to HTTP."""

import inspect
import json
from datetime import UTC, datetime

import pytest
from aiohttp import web
from pydantic import BaseModel, ValidationError

from dreamhub import errors
from dreamhub_api.problems import (
    STATUS_BY_ERROR,
    RequestIdentity,
    UnprocessableError,
    UploadTooLargeError,
    describe,
    from_validation,
    headers_of,
    status_of,
)

FIGURES = errors.QuotaFigures("tokensPerDay", 100, 90, 20, datetime(2026, 3, 1, tzinfo=UTC))
REQUEST = RequestIdentity("/api/v1/search", "r-1")
ALL = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.DreamHubError)]


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_every_error_has_a_status(kind: type[errors.DreamHubError]) -> None:
    status = status_of(kind("message", FIGURES) if issubclass(kind, errors.QuotaExceededError) else kind("message"))
    assert status == next(STATUS_BY_ERROR[base] for base in kind.__mro__ if base in STATUS_BY_ERROR)
    assert (400 <= status < 500) == (issubclass(kind, errors.UserError) or kind is errors.FencedError)


def test_user_errors_are_shown() -> None:
    problem = describe(errors.ConflictError("the name is taken", code="JobExists"), REQUEST)
    assert (problem.status, problem.code, problem.detail) == (409, "JobExists", "the name is taken")
    assert (problem.instance, problem.request_id) == ("/api/v1/search", "r-1")
    assert problem.title == "Conflict"


@pytest.mark.parametrize(
    "error", [errors.BugError("row 7 of t_acme is odd", code="Odd"), RuntimeError("password=hunter2"), KeyError("x")]
)
def test_internals_never_leak(error: Exception) -> None:
    problem = describe(error, REQUEST)
    assert (problem.status, problem.code) == (500, "Internal")
    assert all(word not in problem.model_dump_json() for word in ("hunter2", "t_acme", "Odd"))


def test_limit_is_a_number() -> None:
    problem = describe(UploadTooLargeError(1000), REQUEST)
    assert (problem.status, problem.code, problem.limit) == (413, "TooLarge", 1000)


def test_a_quota_that_resets_says_when() -> None:
    error = errors.QuotaExceededError("no tokens are left", FIGURES)
    problem = describe(error, REQUEST)
    assert (problem.status, problem.code, problem.quota) == (429, "QuotaExceeded", "tokensPerDay")
    assert (problem.limit, problem.used, problem.requested) == (100, 90, 20)
    assert json.loads(problem.model_dump_json(by_alias=True))["resetsAt"] == "2026-03-01T00:00:00Z"
    assert headers_of(error) == {"Retry-After": "1"}, "it is past already"


def test_a_full_queue_says_when_to_look_again() -> None:
    error = errors.QuotaExceededError("the queue is full", errors.QuotaFigures("queuedJobs", 5, 5, 1))
    assert (describe(error, REQUEST).status, headers_of(error)) == (429, {"Retry-After": "30"})


def test_a_quota_of_what_is_kept_is_no_matter_of_time() -> None:
    error = errors.CapacityExceededError("no room", errors.QuotaFigures("documents", 5, 5, 1))
    problem = describe(error, REQUEST)
    assert (problem.status, problem.code, problem.limit, problem.resets_at) == (403, "QuotaExceeded", 5, None)
    assert headers_of(error) == {}


def test_unprocessable() -> None:
    assert status_of(UnprocessableError("no", code="IdempotencyMismatch")) == 422


def test_framework_errors() -> None:
    assert describe(web.HTTPNotFound(), REQUEST).code == "NotFound"
    refused = web.HTTPMethodNotAllowed("PUT", {"POST", "GET"})
    assert (describe(refused, REQUEST).code, headers_of(refused)) == ("MethodNotAllowed", {"Allow": "GET, POST"})
    assert describe(web.HTTPRequestEntityTooLarge(10, 20), REQUEST).code == "TooLarge"


def test_headers() -> None:
    assert headers_of(errors.LimitExceededError("later", retry_after_seconds=7)) == {"Retry-After": "7"}
    assert headers_of(errors.LimitExceededError("never")) == {}
    assert headers_of(errors.UnavailableError("away")) == {"Retry-After": "2"}
    assert "Bearer" in headers_of(errors.UnauthenticatedError("who"))["WWW-Authenticate"]
    assert headers_of(errors.NotFoundError("what")) == {}


def test_refused_values_are_not_repeated() -> None:
    class Body(BaseModel):
        secret: int

    with pytest.raises(ValidationError) as refused:
        Body.model_validate({"secret": "hunter2"})
    problem = describe(from_validation("body", refused.value), REQUEST)
    assert problem.errors[0].field == "secret"
    assert "hunter2" not in problem.model_dump_json()

"""The table from errors to HTTP."""

import inspect

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

REQUEST = RequestIdentity("/api/v1/search", "r-1")
ALL = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.DreamHubError)]


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
def test_every_error_has_a_status(kind: type[errors.DreamHubError]) -> None:
    status = status_of(kind("message"))
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

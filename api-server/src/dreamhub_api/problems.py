"""The one table from our errors to HTTP: what a caller sees of each, as an RFC 9457 problem document."""

from dataclasses import dataclass, fields
from datetime import UTC, datetime
from http import HTTPStatus

from aiohttp import web
from pydantic import ValidationError

from dreamhub.errors import (
    CapacityExceededError,
    ConflictError,
    DreamHubError,
    FencedError,
    ForbiddenError,
    InvalidInputError,
    LimitExceededError,
    NotFoundError,
    QuotaExceededError,
    TooLargeError,
    TransientError,
    UnauthenticatedError,
    UnavailableError,
    UnsupportedTypeError,
    UserError,
)
from dreamhub_client.models import FieldError, Problem

PROBLEM_TYPE = "application/problem+json"
UNAVAILABLE_RETRY_SECONDS = 2

STATUS_BY_ERROR: dict[type[DreamHubError], int] = {
    InvalidInputError: 400,
    UnauthenticatedError: 401,
    ForbiddenError: 403,
    NotFoundError: 404,
    ConflictError: 409,
    TooLargeError: 413,
    UnsupportedTypeError: 415,
    LimitExceededError: 429,
    CapacityExceededError: 403,
    UserError: 400,
    UnavailableError: 503,
    FencedError: 409,
    TransientError: 503,
    DreamHubError: 500,
}
"""The nearest class of an error's ancestry decides. A subclass may carry its own `status`."""

_FRAMEWORK = {
    404: ("NotFound", "there is nothing at this path; GET /api/v1/openapi.json lists what there is"),
    405: ("MethodNotAllowed", "this path does not know the method; the header Allow lists those it knows"),
    413: ("TooLarge", "the body is too large"),
}
"""What aiohttp itself refuses, as code and sentence."""

_INTERNAL = "The server failed on this request. It is logged under the request id; try again or report the id."


class UnprocessableError(UserError):
    """422: well-formed, and still contradicts something the server knows. Only HTTP tells it apart from a 400."""

    default_code = "Unprocessable"


class UploadTooLargeError(TooLargeError):
    """An upload above the limit; the limit goes to the caller as a number too."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"the upload is larger than the limit of {limit} bytes; split the document", code="TooLarge")
        self.limit = limit


class InvalidBodyError(InvalidInputError):
    """A body, query or path that its model refused; carries one entry for each field."""

    default_code = "InvalidFields"

    def __init__(self, where: str, errors: tuple[FieldError, ...]) -> None:
        super().__init__(f"{where}: " + "; ".join(f"{error.field}: {error.message}" for error in errors))
        self.errors = errors


@dataclass(frozen=True)
class RequestIdentity:
    """What a problem says about the request it answers."""

    path: str
    request_id: str


def status_of(error: DreamHubError) -> int:
    if isinstance(error, UnprocessableError):
        return HTTPStatus.UNPROCESSABLE_ENTITY
    return next(STATUS_BY_ERROR[kind] for kind in type(error).__mro__ if kind in STATUS_BY_ERROR)


def describe(error: Exception, request: RequestIdentity) -> Problem:
    """What the caller is told. Anything that is not ours, and our own bugs, become one sentence without internals."""
    if isinstance(error, web.HTTPException):
        code, detail = _FRAMEWORK.get(error.status, (error.reason.replace(" ", ""), error.reason))
        return _build(request, error.status, code, detail)
    if not isinstance(error, DreamHubError) or status_of(error) == HTTPStatus.INTERNAL_SERVER_ERROR:
        return _build(request, 500, "Internal", _INTERNAL)
    problem = _build(request, status_of(error), error.code, error.message)
    if isinstance(error, InvalidBodyError):
        return problem.model_copy(update={"errors": error.errors})
    if isinstance(error, UploadTooLargeError):
        return problem.model_copy(update={"limit": error.limit})
    if isinstance(error, QuotaExceededError):
        return problem.model_copy(
            update={field.name: getattr(error.figures, field.name) for field in fields(error.figures)}
        )
    return problem


def _build(request: RequestIdentity, status: int, code: str, detail: str) -> Problem:
    return Problem(
        type=f"urn:dreamhub:problem:{code}",
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        code=code,
        instance=request.path,
        request_id=request.request_id,
    )


def headers_of(error: Exception) -> dict[str, str]:
    """What goes beside the problem: when to come back, how to log in, which methods exist."""
    if isinstance(error, LimitExceededError):
        seconds = _seconds_to_wait(error)
        return {} if seconds is None else {"Retry-After": str(seconds)}
    if isinstance(error, UnauthenticatedError):
        return {"WWW-Authenticate": 'Bearer realm="dreamhub"'}
    if isinstance(error, TransientError):
        return {"Retry-After": str(UNAVAILABLE_RETRY_SECONDS)}
    if isinstance(error, web.HTTPMethodNotAllowed):
        return {"Allow": ", ".join(sorted(error.allowed_methods))}
    return {}


def _seconds_to_wait(error: LimitExceededError) -> int | None:
    if isinstance(error, QuotaExceededError):
        return error.seconds_to_wait(datetime.now(UTC))
    return error.retry_after_seconds


def problem_response(error: Exception, request: RequestIdentity) -> web.Response:
    problem = describe(error, request)
    body = problem.model_dump_json(by_alias=True, exclude_none=True)
    return web.Response(text=body, status=problem.status, content_type=PROBLEM_TYPE, headers=headers_of(error))


def from_validation(where: str, error: ValidationError) -> InvalidBodyError:
    """Pydantic's findings without the values: a refused field may hold a secret or a document's text."""
    found = tuple(
        FieldError(field=".".join(str(part) for part in item["loc"]) or where, message=item["msg"])
        for item in error.errors(include_input=False, include_url=False, include_context=False)[:20]
    )
    return InvalidBodyError(where, found)

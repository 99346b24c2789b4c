"""Everything that the client raises on purpose.

    ClientError
    ├── UnreachableError        no answer: wrong address, refused, reset, timed out
    ├── ProtocolError           an answer, but not one of this API: a proxy's page, another service
    ├── CredentialError         no token could be had: file absent or empty, kubectl failed
    ├── WaitTimeoutError        the caller's deadline passed before a job finished
    └── ApiError                the server answered with a problem document
        ├── BadRequestError         400, 422
        ├── UnauthenticatedError    401
        ├── ForbiddenError          403
        ├── SuspendedError          403 TenantSuspended
        ├── NotFoundError           404
        ├── ConflictError           409
        ├── TooLargeError           413
        ├── UnsupportedTypeError    415
        ├── LimitExceededError      429, and 403 QuotaExceeded: the figures are in `problem`
        └── ServerError             5xx

Programs match on the class and on `code`; the message is a sentence for people: what, why and the next step.
"""

from collections.abc import Mapping

from pydantic import ValidationError

from dreamhub_client.models import Problem

PROBLEM_TYPE = "application/problem+json"


class ClientError(Exception):
    """Base of all."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class UnreachableError(ClientError):
    pass


class ProtocolError(ClientError):
    pass


class CredentialError(ClientError):
    pass


class WaitTimeoutError(ClientError):
    pass


class ApiError(ClientError):
    """A refusal by the server. `retry_after` is in seconds, None when the server named no time."""

    def __init__(self, problem: Problem, *, retry_after: float | None = None) -> None:
        super().__init__(problem.detail)
        self.problem = problem
        self.retry_after = retry_after

    @property
    def code(self) -> str:
        return self.problem.code

    @property
    def status(self) -> int:
        return self.problem.status


class BadRequestError(ApiError):
    pass


class UnauthenticatedError(ApiError):
    pass


class ForbiddenError(ApiError):
    pass


class SuspendedError(ApiError):
    pass


class NotFoundError(ApiError):
    pass


class ConflictError(ApiError):
    pass


class TooLargeError(ApiError):
    pass


class UnsupportedTypeError(ApiError):
    pass


class LimitExceededError(ApiError):
    pass


class ServerError(ApiError):
    pass


_BY_STATUS: dict[int, type[ApiError]] = {
    400: BadRequestError,
    401: UnauthenticatedError,
    403: ForbiddenError,
    404: NotFoundError,
    409: ConflictError,
    413: TooLargeError,
    415: UnsupportedTypeError,
    422: BadRequestError,
    429: LimitExceededError,
}

_BY_CODE: dict[str, type[ApiError]] = {
    "QuotaExceeded": LimitExceededError,
    "TenantSuspended": SuspendedError,
}
"""Where the status alone would mislead."""


def parse_retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds of a Retry-After header. The API sends seconds; a date, which proxies may send, counts as absent."""
    value = headers.get("Retry-After", "")
    return float(value) if value.isdecimal() else None


def error_from_answer(status: int, headers: Mapping[str, str], body: bytes, url: str) -> ClientError:
    """The error that an answer of 400 and above stands for."""
    if headers.get("Content-Type", "").partition(";")[0].strip() != PROBLEM_TYPE:
        return ProtocolError(
            f"{url} answered {status} without a problem document: it is no DreamHub API, or a proxy answered for it; "
            "check the server address"
        )
    try:
        problem = Problem.model_validate_json(body)
    except ValidationError:
        return ProtocolError(f"{url} answered {status} with a problem document that this client cannot read")
    return api_error(problem, retry_after=parse_retry_after(headers))


def api_error(problem: Problem, *, retry_after: float | None = None) -> ApiError:
    fallback = ServerError if problem.status >= 500 else BadRequestError
    kind = _BY_CODE.get(problem.code) or _BY_STATUS.get(problem.status, fallback)
    return kind(problem, retry_after=retry_after)

"""Everything that DreamHub raises on purpose.

    DreamHubError
    ├── UserError            the caller can mend it; shown as it is, never retried
    │   ├── InvalidInputError    400  bad request, bad file, bad field
    │   ├── UnauthenticatedError 401  no token, expired, wrong audience
    │   ├── ForbiddenError       403  known caller, missing scope
    │   ├── NotFoundError        404  absent, or another tenant's: the two never differ
    │   ├── ConflictError        409  the state does not allow it
    │   ├── TooLargeError        413  above a size limit
    │   ├── UnsupportedTypeError 415  a type that is not on the allow-list, or a file that lies about its type
    │   └── LimitExceededError   429  a quota or rate; carries when to come back
    ├── TransientError       another try may succeed: a dependency is away, a lease was lost
    │   ├── UnavailableError     503  a named dependency does not answer
    │   └── FencedError               another process has taken over this work; stop at once
    └── BugError             ours to mend; the caller sees a generic sentence

Each edge (HTTP, kopf, worker exit code, CLI) maps this tree in one table. `code` is stable and machine-readable;
the message names the cause and the next step, and never carries tenant content.
"""

from typing import ClassVar


class DreamHubError(Exception):
    """Base of all. `code` is the stable name that users match on, such as `EncryptedPDF`."""

    default_code: ClassVar[str] = "Internal"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code


class UserError(DreamHubError):
    default_code = "Invalid"


class InvalidInputError(UserError):
    default_code = "InvalidInput"


class UnauthenticatedError(UserError):
    default_code = "Unauthenticated"


class ForbiddenError(UserError):
    default_code = "Forbidden"


class NotFoundError(UserError):
    default_code = "NotFound"


class ConflictError(UserError):
    default_code = "Conflict"


class TooLargeError(UserError):
    default_code = "TooLarge"


class UnsupportedTypeError(UserError):
    default_code = "UnsupportedType"


class LimitExceededError(UserError):
    """A quota or a rate limit. `retry_after_seconds` is None when waiting alone does not help."""

    default_code = "LimitExceeded"

    def __init__(self, message: str, *, code: str | None = None, retry_after_seconds: int | None = None) -> None:
        super().__init__(message, code=code)
        self.retry_after_seconds = retry_after_seconds


class TransientError(DreamHubError):
    default_code = "Transient"


class UnavailableError(TransientError):
    default_code = "Unavailable"


class FencedError(TransientError):
    default_code = "Fenced"


class BugError(DreamHubError):
    default_code = "Internal"

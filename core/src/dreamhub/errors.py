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
    │       └── QuotaExceededError        429  of the tenant's plan, with its figures: waiting helps
    │           └── CapacityExceededError 403  waiting does not: delete something, or get a larger plan
    ├── TransientError       another try may succeed: a dependency is away, a lease was lost
    │   ├── UnavailableError     503  a named dependency does not answer
    │   └── FencedError               another process has taken over this work; stop at once
    └── BugError             ours to mend; the caller sees a generic sentence

Each edge (HTTP, kopf, worker exit code, CLI) maps this tree in one table. `code` is stable and machine-readable;
the message names the cause and the next step, and never carries tenant content.
"""

from dataclasses import dataclass
from datetime import datetime
from math import ceil
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


@dataclass(frozen=True, slots=True)
class QuotaFigures:
    """What a refusal for the plan's sake was about."""

    quota: str
    """Name of the field of a Tenant's `spec.plan`, such as `tokensPerDay`."""
    limit: int
    used: int
    """Before the refused request, which asked for `requested` more."""
    requested: int
    resets_at: datetime | None = None
    """When usage starts again at nothing; None when only the tenant itself can make room."""


class QuotaExceededError(LimitExceededError):
    """A limit of the tenant's plan. Nothing of the refused request was kept."""

    default_code = "QuotaExceeded"
    waiting_helps: ClassVar[bool] = True
    QUEUE_SECONDS: ClassVar[int] = 30
    """When to look again for a place in a queue: jobs end when they end."""

    def __init__(self, message: str, figures: QuotaFigures) -> None:
        super().__init__(message)
        self.figures = figures

    @property
    def passes(self) -> bool:
        """Whether the same request fits once usage starts again at nothing."""
        return self.figures.resets_at is not None and self.figures.requested <= self.figures.limit

    def seconds_to_wait(self, now: datetime) -> int | None:
        """Until asking again may succeed, at least one second; None when waiting alone does not help."""
        if not self.waiting_helps:
            return None
        if self.figures.resets_at is None:
            return self.QUEUE_SECONDS
        return max(1, ceil((self.figures.resets_at - now).total_seconds()))


class CapacityExceededError(QuotaExceededError):
    """A quota of what is kept: it frees nothing by itself."""

    waiting_helps = False


class TransientError(DreamHubError):
    default_code = "Transient"


class UnavailableError(TransientError):
    default_code = "Unavailable"


class FencedError(TransientError):
    default_code = "Fenced"


class BugError(DreamHubError):
    default_code = "Internal"

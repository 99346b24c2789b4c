"""How errors end a document, a run and the process: the one table of this edge."""

import traceback
from enum import Enum, auto

import structlog

from dreamhub.domain.progress import DocumentError
from dreamhub.errors import (
    BugError,
    DreamHubError,
    FencedError,
    LimitExceededError,
    QuotaExceededError,
    TransientError,
    UserError,
)
from dreamhub_worker.context import StoppingError

EXIT_DONE = 0
"""The run is over: every document has an outcome, good or bad; it is in the database."""
EXIT_PERMANENT = 42
"""The job cannot run as it is; another attempt would end the same way."""
EXIT_BUG = 70
"""Ours to mend. Another attempt is made, and counts as one."""
EXIT_TRANSIENT = 75
"""Another attempt may succeed and goes on from the checkpoint; it does not count."""

HOPELESS = frozenset({"ProviderUnauthorized", "ProviderQuota", "UnknownModel", "EmbeddingModelChanged"})
"""Codes that would meet every other document of the run as well."""

MAX_ATTEMPTS = 4
"""After so many passing errors a document is a dead letter."""

MAX_DELIVERIES = 3
"""So many workers may be lost over a document without having stored anything of it."""

_OF_ONE_DOCUMENT = frozenset({"ObjectStoreUnavailable", "ScanFailed"})
"""Codes of passing errors that the next document may well be spared."""

log = structlog.get_logger()


class Verdict(Enum):
    """What an error means for the document in hand."""

    FAIL = auto()
    """It is settled as failed."""
    HOPELESS = auto()
    """So is every other one."""
    AGAIN = auto()
    """It is tried again after a while; that counts."""
    LATER = auto()
    """Somebody else works on it: it is looked at again, which does not count."""
    SETTLED = auto()
    """It has its outcome already."""
    PAUSE = auto()
    """The tenant has no tokens left until a time: the run pauses and goes on with it, which does not count."""
    WAIT = auto()
    """What all documents need is away: it is waited for."""
    END = auto()
    """This worker must not go on."""


_BY_CODE = dict.fromkeys(HOPELESS, Verdict.HOPELESS) | {
    StoppingError.default_code: Verdict.END,
    "Overtaken": Verdict.END,
    "ItemSettled": Verdict.SETTLED,
    "DocumentHeld": Verdict.LATER,
}


def judge(error: DreamHubError) -> Verdict:
    if error.code in _BY_CODE:
        return _BY_CODE[error.code]
    if find_lacking(error):
        return Verdict.PAUSE
    if isinstance(error, FencedError):
        return Verdict.LATER
    if isinstance(error, TransientError):
        return Verdict.AGAIN if error.code in _OF_ONE_DOCUMENT else Verdict.WAIT
    return Verdict.FAIL


def find_lacking(error: DreamHubError) -> int:
    """Tokens that the tenant will have once its day or month is over; 0 of any other error."""
    return error.figures.requested if isinstance(error, QuotaExceededError) and error.passes else 0


def exit_code(error: DreamHubError) -> int:
    if error.code in HOPELESS or isinstance(error, UserError):
        return EXIT_PERMANENT
    return EXIT_TRANSIENT if isinstance(error, TransientError) else EXIT_BUG


def as_ours(error: BaseException) -> DreamHubError:
    """Any error as one of ours. A bug is logged with its place, without its message, which may quote a document."""
    if isinstance(error, DreamHubError):
        return error
    frames = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__)]
    kind = type(error).__name__
    log.error("bug", kind=kind, frames=frames[-12:])
    place = f" at {frames[-1].rpartition('/')[2]}" if frames else ""
    return BugError(f"the worker failed on this document ({kind}{place}); report it with the worker's log")


def document_error(document_id: str, error: DreamHubError) -> DocumentError:
    return DocumentError(
        document=document_id, error_class=_error_class(error), reason=error.code, message=error.message
    )


def _error_class(error: DreamHubError) -> str:
    if isinstance(error, LimitExceededError):
        return "Quota"
    return "Permanent" if judge(error) in {Verdict.FAIL, Verdict.HOPELESS} else "Transient"

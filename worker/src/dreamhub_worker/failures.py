"""How errors end a document, a run and the process: the one table of this edge."""

import traceback

import structlog

from dreamhub.domain.progress import DocumentError
from dreamhub.errors import BugError, DreamHubError, FencedError, LimitExceededError, TransientError, UserError

EXIT_DONE = 0
"""Every document has an outcome, good or bad; it is in the database."""
EXIT_PERMANENT = 42
"""The job cannot run as it is; another attempt would end the same way."""
EXIT_TRANSIENT = 75
"""Another attempt may succeed and goes on from the checkpoint."""

HOPELESS = frozenset({"ProviderUnauthorized", "ProviderQuota", "UnknownModel", "EmbeddingModelChanged"})
"""Codes that would meet every other document of the run as well."""

log = structlog.get_logger()


def exit_code(error: DreamHubError) -> int:
    if error.code in HOPELESS:
        return EXIT_PERMANENT
    return EXIT_TRANSIENT if isinstance(error, TransientError | BugError) else EXIT_PERMANENT


def as_ours(error: BaseException) -> DreamHubError:
    """Any error as one of ours. A bug is logged with its place, without its message, which may quote a document."""
    if isinstance(error, DreamHubError):
        return error
    frames = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__)]
    log.error("bug", kind=type(error).__name__, frames=frames[-12:])
    return BugError(f"the worker failed on this document ({type(error).__name__}); report it with the worker's log")


def ends_run(error: DreamHubError) -> bool:
    """Whether the run must stop here: going on with the next document would fail the same way or write unfenced."""
    if isinstance(error, FencedError) or error.code in HOPELESS:
        return True
    return isinstance(error, TransientError) and error.code != "ObjectStoreUnavailable"


def document_error(document_id: str, error: DreamHubError) -> DocumentError:
    return DocumentError(
        document=document_id, error_class=_error_class(error), reason=error.code, message=error.message
    )


def is_final(error: DreamHubError) -> bool:
    """Whether the document's outcome is settled by this error."""
    return isinstance(error, UserError | BugError) or error.code in HOPELESS


def _error_class(error: DreamHubError) -> str:
    if isinstance(error, LimitExceededError):
        return "Quota"
    return "Permanent" if is_final(error) else "Transient"

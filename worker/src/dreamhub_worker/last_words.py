"""Why a worker ended, for whoever asks after its pod is gone."""

from pathlib import Path

import structlog

from dreamhub.errors import DreamHubError
from dreamhub_worker.failures import exit_code

VARIABLE = "DREAMHUB_TERMINATION_LOG"
"""Names the file whose content becomes the pod's termination message; not set outside of a pod."""

log = structlog.get_logger()


def tell_end(error: DreamHubError, place: Path | None) -> int:
    """Log why the process ends, leave it for the status of the IngestJob, and return the exit code."""
    log.error("run_ended", code=error.code, message=error.message)
    if place is not None:
        try:
            place.write_text(f"{error.code}: {error.message}", encoding="utf-8")
        except OSError as failure:
            log.warning("last_words_not_written", kind=type(failure).__name__)
    return exit_code(error)

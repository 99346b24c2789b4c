"""A run that has met a limit of its tenant's tokens: whether it pauses still, and until when. Pure."""

from dreamhub.crd.ingest_reason import IngestReason
from dreamhub.errors import QuotaFigures
from dreamhub.sql.quota import QuotaUsage, find_exhausted
from dreamhub.sql.runs import RunStatus
from dreamhub_operator.reconcile.ingest_status import Finding


def is_short(run: RunStatus | None) -> bool:
    """Whether its workers have said that they lack tokens. They said so when they were last heard of."""
    return run is not None and run.progress.state == "Running" and run.progress.short_of_tokens > 0


def find_pause(run: RunStatus | None, usage: QuotaUsage | None) -> QuotaFigures | None:
    """The limit that has no room for what the run needs next; None when nothing keeps it from going on."""
    if run is None or usage is None or not is_short(run):
        return None
    refusal = find_exhausted(usage, run.progress.short_of_tokens)
    return None if refusal is None else refusal.figures


def explain_pause(figures: QuotaFigures, run: RunStatus | None) -> Finding:
    field = f"spec.plan.{figures.quota}"
    told = (
        f"paused, and nothing is lost: the next {figures.requested:,} tokens do not fit into the tenant's limit of "
        f"{figures.limit:,} ({field}), of which {figures.used:,} are used"
    )
    if figures.requested > figures.limit:
        message = f"{told}; they never will: raise {field}, or cancel the job"
        return Finding("Pending", IngestReason.LARGER_THAN_PLAN, message, run)
    message = f"{told}; it resumes at {figures.resets_at:%Y-%m-%dT%H:%M:%SZ}, or as soon as the limit is raised"
    return Finding("Queued", IngestReason.QUOTA_EXHAUSTED, message, run, resumes_at=figures.resets_at)

"""What a reading of a source tells beside documents to ingest: what it did not read, and what was deleted upstream."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from dreamhub.domain.progress import DocumentError
from dreamhub.sql.connections import Connection
from dreamhub.sql.ingest import RunAttempt, overtaken
from dreamhub.sql.queries import load_queries

_SQL = load_queries("findings")


@dataclass(frozen=True, slots=True)
class Finding:
    """Of one item of a source."""

    document_id: str
    """Where there is no document, what stands for the item in this run."""
    version_id: str
    what: Literal["Unread", "Deleted"]
    name_ct: bytes | None = field(default=None, repr=False)
    """From `seal_name`, where no document tells its name."""
    error: DocumentError | None = None
    """Why it was not read."""


async def record_findings(conn: Connection, run: RunAttempt, findings: Sequence[Finding]) -> None:
    """Keep and count them. Repeating it changes nothing. Raises FencedError `Overtaken`."""
    unique = {finding.document_id: finding for finding in findings}
    if not unique:
        return
    told = list(unique.values())
    async with conn.transaction():
        attempt = await conn.fetchval(
            _SQL["record_findings"],
            run.uid,
            run.worker,
            run.attempt,
            list(unique),
            [finding.version_id for finding in told],
            [finding.what for finding in told],
            [finding.name_ct for finding in told],
            [finding.error.error_class if finding.error else None for finding in told],
            [finding.error.reason if finding.error else None for finding in told],
            [finding.error.message if finding.error else None for finding in told],
        )
        if attempt is None:
            raise overtaken(run)


async def name_document(conn: Connection, run: RunAttempt, document_id: str, name_ct: bytes) -> None:
    """Keep what people call an item that never became a document, beside its outcome."""
    await conn.execute(_SQL["name_document"], run.uid, document_id, name_ct)

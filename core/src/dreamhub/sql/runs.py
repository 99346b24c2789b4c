"""Runs as others read them: the operator across tenants (schema-qualified, granted table by table), the API as a tenant."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass


from dreamhub.domain.progress import Progress
from dreamhub.sql.documents import Page
from dreamhub.sql.ingest import RunDocument


@dataclass(frozen=True, slots=True)
class RunStatus:
    progress: Progress
    attempt: int
    build: str


@dataclass(frozen=True, slots=True)
class ResolvedDocument:
    """What a job should ingest for a document id."""

    version_id: str
    """The latest version."""
    active: bool
    """Whether that version is searchable already."""


async def fetch_progress(conn: Connection, tenant: str, uids: Collection[str]) -> dict[str, RunStatus]:
    """For the operator: the runs that exist among `uids` (an empty collection reads nothing).

    Raises NotFoundError when the tenant has no schema yet.
    """
    raise NotImplementedError


async def resolve_documents(
    conn: Connection, tenant: str, document_ids: Collection[str]
) -> Mapping[str, ResolvedDocument]:
    """For the operator: the latest version of each document that exists; absent ids are absent from the result."""
    raise NotImplementedError


async def fetch_run(conn: Connection, uid: str) -> RunStatus | None:
    """For the API, as the tenant: one run, or None before its worker has started."""
    raise NotImplementedError


async def list_run_documents(
    conn: Connection, uid: str, *, cursor: str | None = None, limit: int = 50
) -> Page[RunDocument]:
    """For the API, as the tenant: how the run's documents ended, in order of document id."""
    raise NotImplementedError

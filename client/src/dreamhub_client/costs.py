"""The wire's part about what an ingest job costs and what it waits for."""

from typing import Literal

from pydantic import AwareDatetime

from dreamhub_client.wire import Wire

Priority = Literal["Urgent", "Normal", "Cold"]


class JobEstimate(Wire):
    """What the job will use, as computed before it begins."""

    documents: int = 0
    """Documents to embed; unchanged ones are not."""
    bytes: int = 0
    """Size of their originals."""
    tokens: int = 0
    cost: str | None = None
    """Price of the tokens, such as "0.42"; None where the platform names none."""
    currency: str | None = None
    basis: Literal["OwnDocuments", "Typical"] = "Typical"
    """OwnDocuments: from what the tenant's documents of these types have taken. Typical: from documents in general."""
    time: AwareDatetime | None = None
    """When the documents were looked at: an approved job ingests the versions of that moment."""


class JobQueue(Wire):
    """Where the job stands among those that wait for a worker."""

    position: int | None = None
    """1 is the next to begin."""
    share_percent: int | None = None
    """The tenant's share of the workers, among the tenants that want some now."""
    eta_seconds: int | None = None
    """Until it is likely to begin."""
    eta_error_seconds: int | None = None
    """How far off that may be, either way."""


class JobApproval(Wire):
    """Whether a person has to agree to the estimate."""

    required: bool
    """The estimate is above the tenant's threshold."""
    approved: bool
    by: str | None = None
    """Who approved."""

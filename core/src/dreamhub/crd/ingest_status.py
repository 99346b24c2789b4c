"""How an IngestJob goes: the models of its status."""

from typing import Annotated, Literal

from pydantic import Field

from dreamhub.crd.ingest_reason import IngestConditionType, IngestPhase, IngestReason
from dreamhub.crd.schema import Part
from dreamhub.domain.conditions import Condition, MicroTime, Time

MAX_ERRORS = 10


class IngestCounts(Part):
    """Documents by outcome."""

    total: int = 0
    """Documents of this job."""
    done: int = 0
    """Searchable now, unchanged ones included."""
    skipped: int = 0
    """Unchanged since their last ingestion: nothing was done."""
    failed: int = 0
    """Not ingested; see errors."""
    unread: int = 0
    """Stand in the source and were not read, for a reason that the REST API gives; not among the total."""
    deleted: int = 0
    """Were deleted in the source, and here with it; not among the total."""


class IngestProgress(Part):
    """How far the work is."""

    documents: IngestCounts = IngestCounts()
    """Documents by outcome."""
    pages: int = 0
    """Pages read."""
    chunks: int = 0
    """Chunks stored."""
    percent: int = 0
    """Share of the work that is done, 0 to 100."""
    chunks_per_second: int = 0
    """Present rate."""
    eta_seconds: int | None = None
    """Seconds until the end at the present rate; absent while it is unknown."""


class IngestEstimate(Part):
    """What the job will use, as computed before it begins."""

    documents: int = 0
    """Documents to embed; unchanged ones are not."""
    bytes: int = 0
    """Size of their originals."""
    tokens: int = 0
    """Tokens that will be sent to the embedding model."""
    cost: str | None = None
    """Their price, such as "0.42"; absent where the model list names none."""
    currency: str | None = None
    """Of the price, such as USD."""
    basis: Literal["OwnDocuments", "Typical"] = "Typical"
    """OwnDocuments: from what the tenant's documents of these types have taken. Typical: from documents in general."""
    time: MicroTime | None = None
    """When the documents were looked at. A job that was approved ingests the versions of that moment."""


class IngestUsage(Part):
    """What the job has used up."""

    tokens: int = 0
    """Tokens sent to the embedding model."""
    cost: str | None = None
    """Their price, such as "0.42"; absent where the model list names none."""
    currency: str | None = None
    """Of the price, such as USD."""


class IngestQueue(Part):
    """Where the job stands among those that wait for a slot."""

    position: int | None = None
    """Its place; 1 is the next to begin."""
    share_percent: int | None = None
    """The tenant's share of the workers by its weight, among the tenants that want some now."""
    eta_seconds: int | None = None
    """Seconds until it is likely to begin; absent while that is unknown."""
    eta_error_seconds: int | None = None
    """How far off etaSeconds may be, either way."""


class IngestTiming(Part):
    """Where the time went, in seconds summed over documents."""

    queued_seconds: float = 0
    """From creation to the first work on a document."""
    parse_seconds: float = 0
    """Fetching and reading files."""
    embed_seconds: float = 0
    """Computing vectors."""
    embed_wait_seconds: float = 0
    """Waiting for the embedding model's rate limits."""
    store_seconds: float = 0
    """Writing to the database."""


class IngestBuild(Part):
    """The worker build that does the work."""

    name: str
    """Its version."""
    track: Literal["stable", "canary", "shadow"] = "stable"
    """The rollout track it ran on."""


class IngestError(Part):
    """Why one document failed."""

    document: str | None = None
    """Id of the document; absent of an error of the source itself, and of an item that never became a document."""
    error_class: Annotated[Literal["Permanent", "Transient", "Quota"], Field(alias="class")]
    """Permanent: the document must change. Transient: a retry may succeed. Quota: a limit was reached."""
    reason: str
    """Stable name of the cause, such as EncryptedPDF."""
    message: Annotated[str, Field(max_length=1024)]
    """The cause and the next step."""


class IngestCondition(Condition):
    """One observation about the IngestJob."""

    type: IngestConditionType
    """What the condition is about."""
    reason: IngestReason
    """Why, as one word from a closed set; programs match on it."""


class IngestJobStatus(Part):
    """How it goes. Written by the operator only."""

    observed_generation: int = 0
    """The metadata.generation that this status was computed from."""
    phase: IngestPhase = "Pending"
    """Summary for people; programs read the conditions."""
    reason: IngestReason = IngestReason.RECEIVED
    """Why it is in this phase, as one word from a closed set."""
    message: Annotated[str, Field(max_length=1024)] = ""
    """Why it is in this phase, as a sentence."""
    estimate: IngestEstimate | None = None
    """What it will use."""
    queue: IngestQueue | None = None
    """Where it stands while it waits for a slot."""
    resume_time: Time | None = None
    """When it goes on by itself, while it pauses because a limit of the tenant is used up."""
    progress: IngestProgress | None = None
    """How far the work is."""
    usage: IngestUsage | None = None
    """What the job has used up."""
    timing: IngestTiming | None = None
    """Where the time went."""
    build: IngestBuild | None = None
    """The worker build that does the work."""
    errors: Annotated[tuple[IngestError, ...], Field(max_length=MAX_ERRORS)] = ()
    """Why documents failed; the first ten. All of them are in the REST API."""
    job_name: str | None = None
    """The Kubernetes Job that does the work."""
    start_time: Time | None = None
    """When the work began."""
    completion_time: Time | None = None
    """When it ended."""
    conditions: Annotated[
        tuple[IngestCondition, ...],
        Field(
            max_length=16,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
        ),
    ] = ()
    """Ready, Reconciling and Stalled as kstatus reads them; Approved, Admitted, Complete and Failed."""

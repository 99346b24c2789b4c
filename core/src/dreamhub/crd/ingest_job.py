"""The IngestJob: one order to make documents searchable, run as one Kubernetes Job in the tenant's namespace."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from dreamhub.crd.schema import ObjectMeta, Part, Rule, rules
from dreamhub.domain.conditions import Condition, Time
from dreamhub.names import API_GROUP, API_VERSION

MAX_DOCUMENTS = 500
MAX_TAGS = 32
MAX_INLINE_CHARACTERS = 200_000
"""At four bytes each they still fit into the Secret that hands them to the worker (1 MiB)."""
MAX_ERRORS = 10

DOCUMENT_ID_PATTERN = "^doc_[0-9a-f]{32}$"

IngestPhase = Literal["Pending", "Running", "Succeeded", "Failed"]
IngestConditionType = Literal["Ready", "Reconciling", "Stalled", "Admitted", "Complete", "Failed"]


class IngestReason(StrEnum):
    """Why an IngestJob is where it is. A closed set: programs match on it."""

    # Pending: why not yet
    RECEIVED = "Received"
    NOT_A_TENANT_NAMESPACE = "NotATenantNamespace"
    TENANT_NOT_READY = "TenantNotReady"
    TENANT_SUSPENDED = "TenantSuspended"
    SUSPENDED = "Suspended"
    DATABASE_UNAVAILABLE = "DatabaseUnavailable"
    STORAGE_UNAVAILABLE = "StorageUnavailable"
    CLUSTER_REFUSED = "ClusterRefused"
    WAITING_FOR_POD = "WaitingForPod"
    OVER_QUOTA = "OverQuota"
    TENANT_LIMIT = "TenantLimit"
    QUEUE_FULL = "QueueFull"
    ISOLATION_FAILED = "IsolationFailed"
    UNSCHEDULABLE = "Unschedulable"
    IMAGE_UNAVAILABLE = "ImageUnavailable"
    CONTAINER_CONFIG_INVALID = "ContainerConfigInvalid"
    # Running: how far
    STARTING = "Starting"
    FETCHING = "Fetching"
    EXTRACTING = "Extracting"
    CHUNKING = "Chunking"
    EMBEDDING = "Embedding"
    STORING = "Storing"
    FINISHING = "Finishing"
    RETRYING = "Retrying"
    # Succeeded
    INGESTED = "Ingested"
    # Failed
    DOCUMENT_NOT_FOUND = "DocumentNotFound"
    DOCUMENTS_FAILED = "DocumentsFailed"
    OUT_OF_MEMORY = "OutOfMemory"
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    WORKER_FAILED = "WorkerFailed"
    JOB_NAME_TAKEN = "JobNameTaken"
    INTERNAL_ERROR = "InternalError"


class DocumentsSource(Part):
    """Documents that were uploaded before."""

    ids: Annotated[
        tuple[Annotated[str, Field(max_length=36, pattern=DOCUMENT_ID_PATTERN)], ...],
        Field(min_length=1, max_length=MAX_DOCUMENTS, json_schema_extra={"x-kubernetes-list-type": "set"}),
    ]
    """Ids of the documents, such as doc_0197f0c2a5d47c1e8b3f6a90d1e2c4b7."""


class InlineSource(Part):
    """A short text given in the resource itself. It is readable for everyone who may read this IngestJob."""

    name: Annotated[str, Field(min_length=1, max_length=255)]
    """File name of the document, such as note.md."""
    text: Annotated[str, Field(min_length=1, max_length=MAX_INLINE_CHARACTERS)]
    """The text."""


class Source(
    Part,
    json_schema_extra=rules(
        Rule(
            "(has(self.documents) ? 1 : 0) + (has(self.inline) ? 1 : 0) == 1",
            "spec.source must hold exactly one of: documents, inline",
        )
    ),
):
    """Where the documents come from: exactly one of the fields."""

    documents: DocumentsSource | None = None
    """Documents that were uploaded before."""
    inline: InlineSource | None = None
    """A short text given here."""


class IngestJobSpec(
    Part,
    json_schema_extra=rules(
        Rule("self.source == oldSelf.source", "spec.source is immutable: create another IngestJob"),
        Rule("self.force == oldSelf.force", "spec.force is immutable: create another IngestJob"),
        Rule(
            "has(self.tags) == has(oldSelf.tags) && (!has(self.tags) || self.tags == oldSelf.tags)",
            "spec.tags is immutable: create another IngestJob",
        ),
    ),
):
    """What shall be ingested. Cannot be changed after creation, except suspend and ttlSecondsAfterFinished."""

    source: Source
    """Where the documents come from: exactly one of documents, inline."""
    force: bool = False
    """True ingests again what is unchanged since its last ingestion."""
    tags: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=63)], ...],
        Field(max_length=MAX_TAGS, json_schema_extra={"x-kubernetes-list-type": "set"}),
    ] = ()
    """Tags that the documents get; searches can filter by them."""
    suspend: bool = False
    """True stops the work after the batch in hand and keeps what is stored; false goes on from there."""
    ttl_seconds_after_finished: Annotated[int, Field(ge=0, le=31_536_000)] = 86_400
    """How long the finished IngestJob stays before it is deleted. The documents stay."""


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


class IngestUsage(Part):
    """What the job has used up."""

    tokens: int = 0
    """Tokens sent to the embedding model."""


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

    document: str
    """Id of the document."""
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
    """Ready, Reconciling and Stalled as kstatus reads them; Admitted, Complete and Failed."""


class IngestJob(
    Part,
    json_schema_extra=rules(Rule("self.metadata.name.size() <= 63", "metadata.name must have at most 63 characters")),
):
    """An order to make documents of a tenant searchable."""

    api_version: str = f"{API_GROUP}/{API_VERSION}"
    kind: Literal["IngestJob"] = "IngestJob"
    metadata: ObjectMeta = ObjectMeta()
    spec: IngestJobSpec
    """What shall be ingested."""
    status: IngestJobStatus = IngestJobStatus()
    """How it goes. Written by the operator only."""

"""The wire: every JSON body and WebSocket message of the DreamHub API, as both sides see it.

The server builds its OpenAPI document from these classes and validates requests with them; the client parses answers
with them. Requests refuse unknown fields, so that a typing error is a 400 and not a silent default. Answers ignore
them, so that an older client reads a newer server.
"""

from typing import Annotated, Generic, Literal, TypeVar

from pydantic import AwareDatetime, Field

from dreamhub_client.costs import JobApproval, JobEstimate, JobQueue, Priority
from dreamhub_client.sources import JobSource, JobSourceView
from dreamhub_client.tenants import QuotaName
from dreamhub_client.wire import (
    INTEGRAL,
    MAX_HITS,
    MAX_IDS,
    MAX_TAGS,
    DocumentId,
    JobName,
    Name,
    Query,
    Request,
    Tag,
    Wire,
)

VersionState = Literal["uploaded", "landing", "active", "failed"]
JobPhase = Literal["Pending", "Queued", "AwaitingApproval", "Running", "Succeeded", "Failed", "Cancelled"]
Stage = Literal["Starting", "Fetching", "Scanning", "Extracting", "Chunking", "Embedding", "Storing", "Finished"]

WAITING_PHASES: frozenset[str] = frozenset({"Pending", "Queued", "AwaitingApproval"})
FINISHED_PHASES: frozenset[str] = frozenset({"Succeeded", "Failed", "Cancelled"})


Item = TypeVar("Item")


class Page(Wire, Generic[Item]):
    """One page of a list, newest first. `next_cursor` is opaque; None on the last page."""

    items: tuple[Item, ...]
    next_cursor: str | None = None


# Errors


class FieldError(Wire):
    """One field that was refused: `field` is its path in the body, such as `source.documents.ids.0`."""

    field: str
    message: str


class Problem(Wire):
    """An RFC 9457 problem document, sent as `application/problem+json` for every error."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    """Stable and machine-readable, such as `EmptyFile`. Programs match on this, never on `detail`."""
    instance: str
    """Path of the request."""
    request_id: str = ""
    errors: tuple[FieldError, ...] = ()
    limit: int | None = None
    """The limit that was crossed, in its own unit (bytes for an upload), where there is one."""
    quota: QuotaName | None = None
    """Of `QuotaExceeded`, as are the next three: which field of the tenant's plan the limit is."""
    used: int | None = None
    """Before this request."""
    requested: int | None = None
    """How much more it needed."""
    resets_at: AwareDatetime | None = None
    """When usage starts again at nothing; None when only the tenant itself can make room."""


# Logins


class WsTicket(Wire):
    """Opens one WebSocket, once: `/ws?ticket=...`. For browsers, which cannot send an Authorization header there."""

    ticket: str
    expires_in_seconds: int


# Documents


class Document(Wire):
    """A document and the state of its latest version. Searchable when `active_version` is set."""

    id: str
    name: str
    media_type: str
    source: str
    tags: tuple[str, ...] = ()
    active_version: str | None = None
    """What searches find; None until the first ingestion has finished."""
    latest_version: str
    state: VersionState
    """Of the latest version, as are the next three."""
    size_bytes: int
    pages: int | None = None
    chunks: int = 0
    created_at: AwareDatetime
    updated_at: AwareDatetime
    duplicate: bool = False
    """True in the answer to an upload whose content this document already had: nothing new was stored."""


class DocumentVersion(Wire):
    id: str
    document_id: str
    number: int
    """1, 2, 3 ... within the document."""
    state: VersionState
    size_bytes: int
    pages: int | None = None
    chunks: int = 0
    worker_build: str | None = None
    """Which build made its chunks."""
    generation: int | None = None
    """Of the index: chunks of one model and one way of cutting."""
    error_class: str | None = None
    error_reason: str | None = None
    error_message: str | None = None
    created_at: AwareDatetime
    activated_at: AwareDatetime | None = None


Unit = Literal["page", "slide", "sheet", "row", "line"]
"""Rows are those of a CSV file, lines those of JSON Lines. Sheets are named by the heading path."""


class Chunk(Wire):
    """A piece of a document as it is searched. Offsets count characters of the extracted text."""

    ordinal: int
    page: int | None = None
    unit: Unit | None = None
    """What `page` counts."""
    char_start: int
    char_end: int
    tokens: int
    title: str = ""
    heading_path: tuple[str, ...] = ()
    text: str
    worker_build: str | None = None
    """Which build has made it."""
    generation: int | None = None
    """Of the index that it is in: chunks of one model and one way of cutting."""
    strategy: str | None = None
    """How its text was cut."""


class DocumentPage(Page[Document]):
    pass


class DocumentVersionPage(Page[DocumentVersion]):
    pass


class ChunkPage(Page[Chunk]):
    pass


# Ingest jobs


class IngestJobCreate(Request):
    name: JobName | None = None
    """Made by the server when absent."""
    source: JobSource
    force: bool = False
    """Ingest again even when the content is unchanged."""
    tags: Annotated[tuple[Tag, ...], Field(max_length=MAX_TAGS)] = ()
    priority: Priority = "Normal"
    """Urgent goes before Normal within the tenant's share; Cold waits while searches are slow."""
    parallelism: Annotated[int, Field(ge=1, le=64), INTEGRAL] = 1
    """Workers that share the documents."""


class DocumentCounts(Wire):
    total: int = 0
    done: int = 0
    """Searchable now; includes skipped ones."""
    skipped: int = 0
    """Unchanged since their last ingestion: nothing was done."""
    failed: int = 0
    unread: int = 0
    """Stand in the source and were not read, for a reason; not among the total."""
    deleted: int = 0
    """Were deleted in the source, and here with it; not among the total."""


class JobTiming(Wire):
    """Seconds by stage, summed over documents."""

    queued_seconds: float = 0
    """From the order to the first work on a document."""
    parse_seconds: float = 0
    embed_seconds: float = 0
    embed_wait_seconds: float = 0
    store_seconds: float = 0


class JobError(Wire):
    """Why one document failed. `reason` is a stable code such as `EncryptedPDF`."""

    document: str | None = None
    """None of an error of the source itself, and of an item of it that never became a document."""
    error_class: str
    reason: str
    message: str


class JobProgress(Wire):
    stage: Stage | None = None
    waiting: str = ""
    """What a running job waits for, in a sentence; empty while nothing is away. Told to watchers."""
    documents: DocumentCounts = DocumentCounts()
    pages: int = 0
    chunks: int = 0
    tokens: int = 0
    percent: int = 0
    chunks_per_second: float = 0
    eta_seconds: int | None = None
    timing: JobTiming = JobTiming()


class IngestJob(Wire):
    """A job as its custom resource and the worker's last progress tell it."""

    name: str
    uid: str
    source: JobSourceView
    force: bool = False
    tags: tuple[str, ...] = ()
    priority: Priority = "Normal"
    parallelism: int = 1
    phase: JobPhase = "Pending"
    reason: str | None = None
    message: str | None = None
    estimate: JobEstimate | None = None
    """None while it is not known: before the first look, or until a source has been read."""
    resumes_at: AwareDatetime | None = None
    """When it goes on by itself, while it pauses because a limit of the plan is used up."""
    approval: JobApproval | None = None
    """None as long as the estimate."""
    queue: JobQueue | None = None
    """While it waits for a worker."""
    cost: str | None = None
    """Price of the tokens that were used so far; None where the platform names none."""
    currency: str | None = None
    progress: JobProgress = JobProgress()
    errors: tuple[JobError, ...] = ()
    """At most ten; `GET /ingest-jobs/{name}/documents` has all."""
    build: str | None = None
    created_at: AwareDatetime
    started_at: AwareDatetime | None = None
    finished_at: AwareDatetime | None = None


class IngestJobPage(Page[IngestJob]):
    pass


DocumentOutcome = Literal["Queued", "Done", "Skipped", "Failed", "Unread", "Deleted"]


class JobDocument(Wire):
    """How one document of a job ended, or that it has not; or what became of an item of its source that is none."""

    document_id: str | None = None
    """None where there never was one: of an item that could not be read, and of an error of the source itself."""
    name: str | None = None
    """None when the document is gone, or the source as a whole is meant."""
    version_id: str | None = None
    outcome: DocumentOutcome
    """Queued: it waits, or is being worked on; `error` then says what went wrong so far. Skipped: it is unchanged.

    Unread: it stands in the source and was not read; `error` says why. Deleted: it was deleted in the source, and here.
    """
    attempts: int = 0
    """How often a passing error was met."""
    pages: int = 0
    chunks: int = 0
    tokens: int = 0
    error: JobError | None = None
    finished_at: AwareDatetime | None = None


class JobDocumentPage(Page[JobDocument]):
    pass


class Task(Wire):
    """A job as something to wait for: 202 with `done` false and a Retry-After, then 200."""

    name: str
    done: bool
    phase: JobPhase
    reason: str | None = None
    message: str | None = None
    progress: JobProgress = JobProgress()
    errors: tuple[JobError, ...] = ()
    retry_after_seconds: int | None = None


# Search and answers


class SearchFilters(Request):
    """All given filters must hold. Absent is "any"; an empty list is nothing."""

    documents: Annotated[tuple[DocumentId, ...], Field(max_length=MAX_IDS)] | None = None
    tags: Annotated[tuple[Tag, ...], Field(max_length=MAX_TAGS)] | None = None
    """Documents that carry every one of these."""
    media_types: Annotated[tuple[Name, ...], Field(max_length=MAX_TAGS)] | None = None
    created_from: AwareDatetime | None = None
    """Of the document, inclusive."""
    created_until: AwareDatetime | None = None
    """Exclusive."""


class SearchRequest(Request):
    query: Query
    limit: Annotated[int, Field(ge=1, le=MAX_HITS), INTEGRAL] = 10
    filters: SearchFilters = SearchFilters()


class Hit(Wire):
    """A chunk that matches. `score` is the fused score; `lexical` is the raw BM25, `semantic` the cosine."""

    document_id: str
    document_name: str
    version_id: str
    ordinal: int
    page: int | None = None
    unit: Unit | None = None
    """What `page` counts."""
    char_start: int
    char_end: int
    title: str = ""
    heading_path: tuple[str, ...] = ()
    text: str
    score: float
    lexical: float
    semantic: float


class SearchResponse(Wire):
    hits: tuple[Hit, ...]
    model: str
    """The embedding model that read the query."""
    took_ms: float


class AnswerRequest(Request):
    question: Query
    passages: Annotated[int, Field(ge=1, le=MAX_HITS), INTEGRAL] = 8
    """How many chunks to retrieve and answer from."""
    filters: SearchFilters = SearchFilters()


class Citation(Wire):
    """Where a statement of the answer comes from: `[number]` in its text."""

    number: int
    document_id: str
    document_name: str
    version_id: str
    ordinal: int
    page: int | None = None
    unit: Unit | None = None
    """What `page` counts."""
    char_start: int
    char_end: int
    title: str = ""
    heading_path: tuple[str, ...] = ()
    quote: str
    score: float


class AnswerResponse(Wire):
    answer: str
    answered: bool
    """False when the documents do not hold an answer; `answer` then says so and `citations` is empty."""
    citations: tuple[Citation, ...] = ()
    model: str
    took_ms: float

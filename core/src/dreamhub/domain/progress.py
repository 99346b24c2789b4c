"""A job's progress: one shape from the worker through PostgreSQL and Redis to the CR status, REST and WebSocket."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from dreamhub.ids import is_id

Stage = Literal["Starting", "Fetching", "Scanning", "Extracting", "Chunking", "Embedding", "Storing", "Finished"]
RunState = Literal["Running", "Succeeded", "Failed"]

MOST = 2**53
"""No number here is larger: any reader's arithmetic holds, though a tenant's own login may write what it likes."""
Count = Annotated[int, Field(ge=0, le=MOST)]
MOST_LETTERS = 400
Sentence = Annotated[str, Field(max_length=MOST_LETTERS)]
Amount = Annotated[float, Field(ge=0, le=MOST, allow_inf_nan=False)]


SOURCE = "source"
"""In place of a document's id: the run's source as a whole is meant."""


class _Wire(BaseModel):
    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)


class DocumentCounts(_Wire):
    total: Count = 0
    done: Count = 0
    """Searchable now; includes skipped ones."""
    skipped: Count = 0
    """Unchanged since their last ingestion: nothing was done."""
    failed: Count = 0
    unread: Count = 0
    """Stand in the source and were not read, for a reason; not among the total."""
    deleted: Count = 0
    """Were deleted in the source, and here with it; not among the total."""


class Timing(_Wire):
    """Seconds spent by stage, summed over documents."""

    parse_seconds: Amount = 0
    embed_seconds: Amount = 0
    embed_wait_seconds: Amount = 0
    store_seconds: Amount = 0
    embed_p95_seconds: Amount = 0
    """95th percentile of the last calls of the model, of the slowest worker; 0 before the first."""


class DocumentError(_Wire):
    """Why one document failed. Holds ids and reasons only: no text and no file name of a tenant."""

    document: str
    """An id of a document; anything else where there never was one."""
    error_class: Literal["Permanent", "Transient", "Quota"]
    reason: str
    """The `code` of the error, such as `EncryptedPDF`."""
    message: str

    @property
    def document_id(self) -> str | None:
        """None of an error of a source itself, and of an item of it that never became a document."""
        return self.document if is_id("doc", self.document) else None

    @property
    def of_source(self) -> bool:
        return self.document == SOURCE


class Progress(_Wire):
    """A whole snapshot, so that the last one read is enough. `percent` never goes back within a run."""

    state: RunState = "Running"
    stage: Stage = "Starting"
    documents: DocumentCounts = DocumentCounts()
    waiting: Sentence = ""
    """What is away and waited for, in a sentence; empty while nothing is."""
    reading: bool = False
    """The source is still being read: nobody knows how many documents there will be."""
    pages: Count = 0
    chunks: Count = 0
    """Chunks stored so far, of documents already visible or not."""
    tokens: Count = 0
    awaiting_approval: bool = False
    """Everything is collected, is above the job's `hold`, and none of it is embedded before a person approves."""
    short_of_tokens: Count = 0
    """Tokens that it needs next and that a limit of the tenant has no room for: no worker does anything meanwhile."""
    estimated_tokens: Count | None = None
    """Of everything that was collected; None while that is not known, or was known before the run."""
    estimated_bytes: Count | None = None
    percent: Annotated[int, Field(ge=0, le=100)] = 0
    chunks_per_second: Amount = 0
    eta_seconds: Count | None = None
    timing: Timing = Timing()
    errors: tuple[DocumentError, ...] = ()
    """At most ten; all of them are in the database."""

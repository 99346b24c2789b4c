"""The IngestJob: one order to make documents searchable, run as one Kubernetes Job in the tenant's namespace."""

from typing import Annotated, Literal

from pydantic import Field

from dreamhub.crd.ingest_reason import FINAL_PHASES, WAITING_PHASES, IngestConditionType, IngestPhase, IngestReason
from dreamhub.crd.ingest_source import (
    DOCUMENT_ID_PATTERN,
    MAX_DOCUMENTS,
    MAX_INLINE_CHARACTERS,
    DocumentsSource,
    InlineSource,
    Source,
)
from dreamhub.crd.ingest_status import (
    MAX_ERRORS,
    IngestBuild,
    IngestCondition,
    IngestCounts,
    IngestError,
    IngestEstimate,
    IngestJobStatus,
    IngestProgress,
    IngestQueue,
    IngestTiming,
    IngestUsage,
)
from dreamhub.crd.schema import ObjectMeta, Part, Rule, rules
from dreamhub.names import API_GROUP, API_VERSION

__all__ = [
    "DOCUMENT_ID_PATTERN",
    "FINAL_PHASES",
    "MAX_DOCUMENTS",
    "MAX_ERRORS",
    "MAX_INLINE_CHARACTERS",
    "MAX_TAGS",
    "WAITING_PHASES",
    "DocumentsSource",
    "IngestBuild",
    "IngestCondition",
    "IngestConditionType",
    "IngestCounts",
    "IngestError",
    "IngestEstimate",
    "IngestJob",
    "IngestJobSpec",
    "IngestJobStatus",
    "IngestPhase",
    "IngestProgress",
    "IngestQueue",
    "IngestReason",
    "IngestTiming",
    "IngestUsage",
    "InlineSource",
    "Source",
]

MAX_TAGS = 32
MAX_PARALLELISM = 64


class IngestJobSpec(
    Part,
    json_schema_extra=rules(
        Rule("self.source == oldSelf.source", "spec.source is immutable: create another IngestJob"),
        Rule("self.force == oldSelf.force", "spec.force is immutable: create another IngestJob"),
        Rule(
            "has(self.tags) == has(oldSelf.tags) && (!has(self.tags) || self.tags == oldSelf.tags)",
            "spec.tags is immutable: create another IngestJob",
        ),
        Rule(
            "self.parallelism == oldSelf.parallelism",
            "spec.parallelism is immutable: create another IngestJob",
        ),
        Rule("self.approved || !oldSelf.approved", "spec.approved cannot be taken back: set spec.cancel instead"),
        Rule("self.cancel || !oldSelf.cancel", "spec.cancel cannot be taken back: create another IngestJob"),
    ),
):
    """What shall be ingested, and when. What decides the work cannot be changed after creation."""

    source: Source
    """Where the documents come from: exactly one of documents, inline."""
    force: bool = False
    """True ingests again what is unchanged since its last ingestion."""
    tags: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=63)], ...],
        Field(max_length=MAX_TAGS, json_schema_extra={"x-kubernetes-list-type": "set"}),
    ] = ()
    """Tags that the documents get; searches can filter by them."""
    parallelism: Annotated[int, Field(ge=1, le=MAX_PARALLELISM)] = 1
    """Pods that share the documents; never more than there are documents."""
    priority: Literal["Urgent", "Normal", "Cold"] = "Normal"
    """Urgent goes before Normal within the tenant's share; Cold waits while searches are slow."""
    approved: bool = False
    """True releases a job whose estimate is above the tenant's spec.approval. Needs the right to approve."""
    cancel: bool = False
    """True stops the work for good and keeps what is searchable."""
    suspend: bool = False
    """True stops the work after the batch in hand and keeps what is stored; false goes on from there."""
    ttl_seconds_after_finished: Annotated[int, Field(ge=0, le=31_536_000)] = 86_400
    """How long the finished IngestJob stays before it is deleted. The documents stay."""


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

"""What the operator hands to a worker: the `job.json` of a job's input Secret.

The worker has no Kubernetes token and no S3 key, so everything it may touch is named here: its documents as presigned
URLs that expire, its settings as values. Its logins come from the tenant's credentials Secret.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

Track = Literal["stable", "canary", "shadow"]


class _Wire(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)


class Build(_Wire):
    """The worker build that writes: kept on every chunk, so that a rollback can find what a canary wrote."""

    name: str
    track: Track = "stable"


class InputDocument(_Wire):
    """A stored document version to ingest."""

    document_id: str
    version_id: str
    url: str
    """Presigned GET, reachable from the tenant's namespace."""
    tokens: Annotated[int, Field(ge=0)] | None = None
    """Estimated from what the tenant's own documents have taken. None: by its size and type alone."""


class InputText(_Wire):
    """Text given in the IngestJob itself. The worker registers the document and keeps the original by `put_url`."""

    name: str
    text: str
    version_id: str
    """Derived from the IngestJob's UID, so that a second run of the same job writes the same version."""
    put_url: str
    """Presigned PUT for the original bytes."""


SourceKind = Literal["s3", "web", "mail", "calendar", "plugin"]


class OpenNetwork(_Wire):
    """Addresses that are not global and that a source may reach all the same."""

    cidr: str
    ports: tuple[int, ...] = ()
    """Of TCP; none named: all."""


class InputSource(_Wire):
    """What the first worker of the job reads, item by item."""

    kind: SourceKind
    reader: str
    """Name of its entry point in the group `dreamhub.sources`."""
    config: dict[str, Any]
    """Its part of `spec.source` without secretRef; of a plug-in, what its own config says."""
    identity: str
    """Equal in all IngestJobs that read the same source: its items and its checkpoint are found by it."""
    networks: tuple[OpenNetwork, ...] = ()
    secret_dir: str | None = None
    """Where the Secret that `secretRef` names is mounted."""


class InputLinks(_Wire):
    """Where a worker asks for presigned URLs, and the token that says for whom (see `dreamhub.domain.job_token`)."""

    url: str
    token: Annotated[str, Field(repr=False)]


class Hold(_Wire):
    """Of a job whose documents are not known before they are collected: above this it waits for a person."""

    tokens_above: Annotated[int, Field(ge=0)]
    seen: dict[str, tuple[int, int]] = {}
    """Bytes and tokens of the tenant's documents by media type: what its estimate is made of."""


class JobInput(_Wire):
    tenant: str
    job: str
    """Name of the IngestJob."""
    uid: str
    """UID of the IngestJob: key of its run in the database and the first half of every fencing token."""
    build: Build
    embedding_model: str
    """A name from the platform's model list, such as `builtin/wordllama-256`."""
    force: bool = False
    tags: tuple[str, ...] = ()
    documents: tuple[InputDocument, ...] = ()
    texts: tuple[InputText, ...] = Field(default=())
    source: InputSource | None = None
    hold: Hold | None = None
    links: InputLinks | None = None
    """None: every original has its URL here."""
    parallelism: Annotated[int, Field(ge=1)] = 1
    """How many workers share the job."""

"""Where an ingest job's documents come from, as callers order it: exactly one kind."""

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, JsonValue, StringConstraints, model_validator

from dreamhub_client.wire import INTEGRAL, MAX_IDS, MAX_INLINE_CHARACTERS, DocumentId, Name, Request, Wire

KINDS = ("documents", "inline", "s3", "web", "mail", "calendar", "plugin")

Url = Annotated[
    str,
    StringConstraints(min_length=8, max_length=2048, pattern=r"^https?://[^\x00-\x20\x7f-\xa0/?#@]+([/?#][!-~]*)?$"),
]
"""Without user and password: those belong into the Secret."""
Host = Annotated[str, StringConstraints(max_length=253, pattern=r"^[A-Za-z0-9]([-A-Za-z0-9.:]*[A-Za-z0-9])?$")]
Prefix = Annotated[str, StringConstraints(max_length=1024, pattern=r"^([^/\x00-\x1f\x7f][^\x00-\x1f\x7f]*)?$")]
Port = Annotated[int, Field(ge=1, le=65535), INTEGRAL]
SecretName = Annotated[
    str,
    StringConstraints(max_length=253, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"),
]


class SecretRef(Request):
    """A Secret in the tenant's namespace with what the source asks for, such as username and password."""

    name: SecretName


class DocumentsSource(Request):
    """Uploaded documents, by id."""

    ids: Annotated[tuple[DocumentId, ...], Field(min_length=1, max_length=MAX_IDS)]


class InlineSource(Request):
    """A small text given in the job itself; it becomes a document of this name."""

    name: Name
    text: Annotated[str, StringConstraints(min_length=1, max_length=MAX_INLINE_CHARACTERS)]


class S3Source(Request):
    """Objects below a prefix: of the tenant's import folder, or, with endpoint, of a bucket of its own."""

    prefix: Prefix = ""
    endpoint: Url | None = None
    bucket: (
        Annotated[str, StringConstraints(min_length=3, max_length=63, pattern=r"^[a-z0-9][-a-z0-9.]*[a-z0-9]$")] | None
    ) = None
    region: Annotated[str, StringConstraints(max_length=63, pattern=r"^[a-z0-9-]+$")] | None = None
    secret_ref: SecretRef | None = None
    """Entries access-key and secret-key."""

    @model_validator(mode="after")
    def _bucket_is_whole(self) -> Self:
        own = (self.endpoint is not None, self.bucket is not None, self.secret_ref is not None)
        if any(own) != all(own) or (self.region is not None and self.endpoint is None):
            msg = "endpoint, bucket and secretRef belong together (region only with them): give all three or none"
            raise ValueError(msg)
        return self


class WebSource(Request):
    """Pages of web sites, by following links; robots.txt is obeyed."""

    urls: Annotated[tuple[Url, ...], Field(min_length=1, max_length=20)]
    max_depth: Annotated[int, Field(ge=0, le=10), INTEGRAL] = 1
    """Links away from a start page."""
    max_pages: Annotated[int, Field(ge=1, le=5_000), INTEGRAL] = 100
    sitemap: bool = False
    hosts: Annotated[tuple[Host, ...], Field(max_length=20)] = ()
    """Hosts that links may lead to, beside those of the start pages."""
    secret_ref: SecretRef | None = None
    """Entries username and password, or token."""


class ImapMailbox(Request):
    host: Host
    port: Port | None = None
    tls: Literal["Implicit", "StartTLS"] = "Implicit"
    folders: Annotated[
        tuple[Annotated[str, StringConstraints(min_length=1, max_length=255)], ...], Field(min_length=1, max_length=100)
    ] = ("INBOX",)
    secret_ref: SecretRef
    """Entries username and password, or token."""


class MboxFiles(Request):
    prefix: Annotated[Prefix, StringConstraints(min_length=1)]
    """Of the files' keys in the tenant's import folder."""


class MailSource(Request):
    """E-mail: exactly one of the fields."""

    imap: ImapMailbox | None = None
    mbox: MboxFiles | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if (self.imap is None) == (self.mbox is None):
            msg = "exactly one of imap and mbox must be given"
            raise ValueError(msg)
        return self


class CalendarSource(Request):
    """A calendar file at a URL, or the calendars of a CalDAV server."""

    url: Url
    protocol: Literal["ICS", "CalDAV"] = "ICS"
    secret_ref: SecretRef | None = None
    """Entries username and password, or token."""


class PluginSource(Request):
    """A source that the platform's worker image brings along."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
    config: Annotated[dict[str, Annotated[str, StringConstraints(max_length=4096)]], Field(max_length=64)] = Field(
        default={}
    )
    secret_ref: SecretRef | None = None

    @model_validator(mode="after")
    def _is_none_of_ours(self) -> Self:
        if self.name in KINDS:
            msg = f"{self.name} is no plug-in: give source.{self.name}"
            raise ValueError(msg)
        return self


def _only(given: str) -> dict[str, JsonValue]:
    others: dict[str, JsonValue] = {kind: {"type": "null"} for kind in KINDS if kind != given}
    return {"required": [given], "properties": {given: {"type": "object"}, **others}}


class JobSource(Request):
    """Exactly one of the fields."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [_only(kind) for kind in KINDS]})

    documents: DocumentsSource | None = None
    inline: InlineSource | None = None
    s3: S3Source | None = None
    web: WebSource | None = None
    mail: MailSource | None = None
    calendar: CalendarSource | None = None
    plugin: PluginSource | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if sum(getattr(self, kind) is not None for kind in KINDS) != 1:
            msg = f"exactly one of {', '.join(KINDS)} must be given"
            raise ValueError(msg)
        return self


class DocumentsView(Wire):
    ids: tuple[str, ...]


class InlineView(Wire):
    name: str


class JobSourceView(Wire):
    """Where a job's documents come from; an inline text itself is not repeated, others are as they were ordered."""

    documents: DocumentsView | None = None
    inline: InlineView | None = None
    s3: dict[str, JsonValue] | None = None
    web: dict[str, JsonValue] | None = None
    mail: dict[str, JsonValue] | None = None
    calendar: dict[str, JsonValue] | None = None
    plugin: dict[str, JsonValue] | None = None

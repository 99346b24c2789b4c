"""Where an IngestJob's documents come from: the union of `spec.source`, exactly one kind at a time."""

import json
from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from dreamhub.crd.schema import Part, Rule, rules

MAX_DOCUMENTS = 500
MAX_INLINE_CHARACTERS = 200_000
"""At four bytes each they still fit into the Secret that hands them to the worker (1 MiB)."""
MAX_START_URLS = 20
MAX_PAGES = 5_000
MAX_CONFIG_ENTRIES = 64

DOCUMENT_ID_PATTERN = "^doc_[0-9a-f]{32}$"
HTTP_URL_PATTERN = "^https?://[^\\s/?#@]+([/?#]\\S*)?$"
"""Without user and password: those belong into a Secret."""
HOST_PATTERN = "^[A-Za-z0-9]([-A-Za-z0-9.:]*[A-Za-z0-9])?$"
DNS_NAME_PATTERN = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"

Url: TypeAlias = Annotated[str, Field(min_length=8, max_length=2048, pattern=HTTP_URL_PATTERN)]
Port: TypeAlias = Annotated[int, Field(ge=1, le=65535)]
SourceKind = Literal["documents", "inline", "s3", "web", "mail", "calendar", "plugin"]

_AS_SET = {"x-kubernetes-list-type": "set"}


class SecretRef(
    Part,
    json_schema_extra=rules(
        Rule(
            "!self.name.startsWith('dreamhub-') && !self.name.matches('^ij-[0-9a-f]{16}-input$')",
            "secretRef.name must not be a Secret that DreamHub manages: name one that an administrator has made",
        )
    ),
):
    """A Secret in the tenant's namespace with what the source asks for. Mounted into the pod, read by nobody else."""

    name: Annotated[str, Field(min_length=1, max_length=253, pattern=DNS_NAME_PATTERN)]
    """Its name."""


class DocumentsSource(Part):
    """Documents that were uploaded before."""

    ids: Annotated[
        tuple[Annotated[str, Field(max_length=36, pattern=DOCUMENT_ID_PATTERN)], ...],
        Field(min_length=1, max_length=MAX_DOCUMENTS, json_schema_extra=_AS_SET),
    ]
    """Ids of the documents, such as doc_0197f0c2a5d47c1e8b3f6a90d1e2c4b7."""


class InlineSource(Part):
    """A short text given in the resource itself. It is readable for everyone who may read this IngestJob."""

    name: Annotated[str, Field(min_length=1, max_length=255)]
    """File name of the document, such as note.md."""
    text: Annotated[str, Field(min_length=1, max_length=MAX_INLINE_CHARACTERS)]
    """The text."""


class S3Source(
    Part,
    json_schema_extra=rules(
        Rule(
            "has(self.endpoint) == has(self.bucket) && has(self.endpoint) == has(self.secretRef)",
            "endpoint, bucket and secretRef belong together: set all three for a bucket of your own, or none",
        ),
        Rule("!has(self.region) || has(self.endpoint)", "region belongs to a bucket of your own: set endpoint as well"),
        Rule(
            "!has(self.prefix) || !self.prefix.startsWith('/')",
            "prefix must not begin with a slash: keys of objects don't",
        ),
    ),
):
    """Objects below a prefix: of the tenant's import folder in the platform's bucket, or of a bucket of its own."""

    prefix: Annotated[str, Field(max_length=1024)] = ""
    """Objects whose keys begin with it are read, such as handbooks/2026/. Empty: all."""
    endpoint: Url | None = None
    """URL of another S3, such as https://s3.eu-central-1.amazonaws.com."""
    bucket: Annotated[str, Field(min_length=3, max_length=63, pattern="^[a-z0-9][-a-z0-9.]*[a-z0-9]$")] | None = None
    """Its bucket."""
    region: Annotated[str, Field(min_length=1, max_length=63, pattern="^[a-z0-9-]+$")] | None = None
    """Region that requests are signed for; us-east-1 when absent."""
    secret_ref: SecretRef | None = None
    """Secret with the entries access-key and secret-key."""

    def identity(self) -> str:
        return json.dumps([self.endpoint, self.bucket, self.prefix])


class WebSource(Part):
    """Pages of web sites, by following links. What robots.txt disallows is not read."""

    urls: Annotated[tuple[Url, ...], Field(min_length=1, max_length=MAX_START_URLS, json_schema_extra=_AS_SET)]
    """Where the crawl begins."""
    max_depth: Annotated[int, Field(ge=0, le=10)] = 1
    """How many links away from a start page it goes; 0 reads the start pages only."""
    max_pages: Annotated[int, Field(ge=1, le=MAX_PAGES)] = 100
    """Most pages that one run reads."""
    sitemap: bool = False
    """Read the sitemaps of the start pages' hosts as well."""
    hosts: Annotated[
        tuple[Annotated[str, Field(max_length=253, pattern=HOST_PATTERN)], ...],
        Field(max_length=MAX_START_URLS, json_schema_extra=_AS_SET),
    ] = ()
    """Hosts that links may lead to, beside those of the start pages."""
    secret_ref: SecretRef | None = None
    """Secret with username and password, or token: sent to the hosts of the start pages only. Beside: ca.crt."""

    def identity(self) -> str:
        return json.dumps(sorted(self.urls))


class ImapMailbox(Part):
    """Folders of an IMAP server."""

    host: Annotated[str, Field(min_length=1, max_length=253, pattern=HOST_PATTERN)]
    """Its name, such as imap.example.com."""
    port: Port | None = None
    """Its port; 993 or, with StartTLS, 143 when absent."""
    tls: Literal["Implicit", "StartTLS"] = "Implicit"
    """How the connection is encrypted."""
    folders: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=255)], ...],
        Field(min_length=1, max_length=100, json_schema_extra=_AS_SET),
    ] = ("INBOX",)
    """Folders that are read."""
    secret_ref: SecretRef
    """Secret with username and password, or token in place of the password (XOAUTH2). ca.crt may stand beside."""


class MboxFiles(Part):
    """Mailboxes in files, as mail programs export them."""

    prefix: Annotated[
        str,
        Field(
            min_length=1,
            max_length=1024,
            json_schema_extra=rules(Rule("!self.startsWith('/')", "prefix must not begin with a slash")),
        ),
    ]
    """Objects whose keys begin with it, in the tenant's import folder of the platform's bucket, such as mail/2026."""


class MailSource(
    Part,
    json_schema_extra=rules(
        Rule("has(self.imap) != has(self.mbox)", "mail must hold exactly one of: imap, mbox"),
    ),
):
    """E-mail: one document for each message, its attachments included."""

    imap: ImapMailbox | None = None
    """Folders of an IMAP server."""
    mbox: MboxFiles | None = None
    """Mailboxes in files."""

    @property
    def secret_ref(self) -> SecretRef | None:
        return self.imap.secret_ref if self.imap is not None else None

    def identity(self) -> str:
        if self.imap is not None:
            return json.dumps(["imap", self.imap.host, self.imap.port, *sorted(self.imap.folders)])
        return json.dumps(["mbox", self.mbox.prefix if self.mbox is not None else ""])


class CalendarSource(Part):
    """Calendars: one document for each event."""

    url: Url
    """Address of a calendar file or, with CalDAV, of a server, of a user's collection or of one calendar."""
    protocol: Literal["ICS", "CalDAV"] = "ICS"
    """What is at the address."""
    secret_ref: SecretRef | None = None
    """Secret with username and password, or token. ca.crt may stand beside."""

    def identity(self) -> str:
        return json.dumps([self.protocol, self.url])


class PluginSource(
    Part,
    json_schema_extra=rules(
        Rule(
            "!(self.name in ['s3', 'web', 'mail', 'calendar'])",
            "plugin.name must not be one of DreamHub's own sources: use spec.source.s3, web, mail or calendar",
        ),
    ),
):
    """A source that the platform's worker image brings along."""

    name: Annotated[str, Field(min_length=1, max_length=63, pattern="^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
    """Name that the plug-in is registered under in the entry points dreamhub.sources."""
    config: dict[str, Annotated[str, Field(max_length=4096)]] = Field(
        default={}, json_schema_extra={"maxProperties": MAX_CONFIG_ENTRIES}
    )
    """What the plug-in is told, as it documents it."""
    secret_ref: SecretRef | None = None
    """Secret with the entries that the plug-in asks for."""

    def identity(self) -> str:
        return json.dumps([self.name, self.config], sort_keys=True)


Upstream: TypeAlias = S3Source | WebSource | MailSource | CalendarSource | PluginSource
"""A source that is read by a worker, item by item, and can be read again."""

_KINDS: tuple[SourceKind, ...] = ("documents", "inline", "s3", "web", "mail", "calendar", "plugin")


class Source(
    Part,
    json_schema_extra=rules(
        Rule(
            "[" + ", ".join(f"has(self.{kind})" for kind in _KINDS) + "].filter(given, given).size() == 1",
            f"spec.source must hold exactly one of: {', '.join(_KINDS)}",
        )
    ),
):
    """Where the documents come from: exactly one of the fields."""

    documents: DocumentsSource | None = None
    """Documents that were uploaded before."""
    inline: InlineSource | None = None
    """A short text given here."""
    s3: S3Source | None = None
    """Objects below a prefix."""
    web: WebSource | None = None
    """Pages of web sites."""
    mail: MailSource | None = None
    """E-mail."""
    calendar: CalendarSource | None = None
    """Calendars."""
    plugin: PluginSource | None = None
    """A source that the platform's worker image brings along."""

    @property
    def kind(self) -> SourceKind:
        return next(kind for kind in _KINDS if getattr(self, kind) is not None)

    @property
    def upstream(self) -> Upstream | None:
        """What a worker has to read; None where the documents are known from the start."""
        return self.s3 or self.web or self.mail or self.calendar or self.plugin

"""What a route is and what its handler gets: one declaration feeds the dispatcher and the OpenAPI document alike."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Generic, Literal, TypeVar

from aiohttp import web
from pydantic import Field

from dreamhub_api.auth.principal import Principal
from dreamhub_api.services.bundle import Services
from dreamhub_client.models import DocumentOutcome
from dreamhub_client.tenants import Scope
from dreamhub_client.wire import MAX_PAGE, MAX_TAGS, JobName, Name, Request, Tag, Wire

DEFAULT_PAGE = 50
MAX_CURSOR_CHARACTERS = 512


class Query(Request):
    """Base of query strings. `REPEATED` names the parameters that may occur more than once."""

    REPEATED: ClassVar[frozenset[str]] = frozenset()


class NoQuery(Query):
    pass


class PageQuery(Query):
    cursor: Annotated[str, Field(min_length=1, max_length=MAX_CURSOR_CHARACTERS)] | None = None
    """`nextCursor` of the page before."""
    limit: Annotated[int, Field(ge=1, le=MAX_PAGE)] = DEFAULT_PAGE


class JobDocumentsQuery(PageQuery):
    REPEATED: ClassVar[frozenset[str]] = frozenset({"outcome"})

    outcome: Annotated[tuple[DocumentOutcome, ...], Field(max_length=6)] = ()
    """Only documents that stand so; absent is "any"."""
    reason: Annotated[str, Field(min_length=1, max_length=128, pattern="^[A-Za-z0-9]+$")] | None = None
    """Only documents with an error of this reason, such as `EncryptedPDF`."""


class DeadLettersQuery(PageQuery):
    job: JobName | None = None
    """Only those of this ingest job."""


class UploadQuery(Query):
    REPEATED: ClassVar[frozenset[str]] = frozenset({"tags"})

    name: Name | None = None
    """What the document is called; a multipart upload may give it as the part's file name instead."""
    tags: Annotated[tuple[Tag, ...], Field(max_length=MAX_TAGS)] = ()


class NoBody(Request):
    pass


Q = TypeVar("Q", bound=Query)
B = TypeVar("B", bound=Request)


@dataclass(frozen=True)
class Call(Generic[B, Q]):
    """A request that is logged in, allowed, and parsed. `request` is for handlers that stream."""

    services: Services
    principal: Principal
    path: Mapping[str, str]
    query: Q
    body: B
    raw_body: bytes
    request: web.Request

    @property
    def tenant(self) -> str:
        return self.principal.tenant


@dataclass(frozen=True)
class Reply:
    status: int
    body: Wire | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


Handler = Callable[[Call[B, Q]], Awaitable[Reply | web.StreamResponse]]
BodyKind = Literal["json", "upload", "none"]


@dataclass(frozen=True)
class Outcome:
    """One way a call can succeed. Without a model the body is empty, or of the `content` type named."""

    model: type[Wire] | None
    description: str
    content: str | None = None
    headers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Route(Generic[B, Q]):
    method: Literal["GET", "POST", "DELETE"]
    path: str
    """Below the API's prefix, such as `/documents/{document_id}`."""
    handler: Handler[B, Q]
    scope: Scope
    outcomes: Mapping[int, Outcome]
    query: type[Q]
    body: type[B]
    body_kind: BodyKind = "none"
    idempotent_by_key: bool = False
    begins_work: bool = False
    """Refused while the tenant is suspended."""

    @property
    def name(self) -> str:
        return getattr(self.handler, "__name__", "handler")

"""What a source of documents is: the protocol that every reader keeps, those of plug-ins included.

A reader is made of its part of `spec.source` and a SourceContext, and then read once from beginning to end. What it
tells, in any order unless noted:

- `Found`: the item stands upstream, in this revision. Its content is opened only if the revision is new to DreamHub, so
  tell a revision whenever upstream has one (ETag, UID, change key) and give the content as a function.
- `Same`: the item stands and is unchanged; for upstreams that only say so (HTTP 304).
- `Gone`: the item was deleted upstream. Its document is deleted.
- `Skipped`: the item stands, but is not read, for a reason that a person should see.
- `Checkpoint`: everything told so far may be forgotten; the next reading starts from this state. It is stored once all
  before it is safe, so a reader that is killed is started again from the last one and tells some things twice, which
  costs nothing.
- `Begin`: what follows tells everything that stands, whatever was told before. For readers that list all again after
  they had told changes only.
- `Complete`: everything that stands has been told since the last Complete or Begin. Items that were known and not told
  are gone: for upstreams that list but never report a deletion. What begins next starts from its state, and without one
  from the beginning, so that whoever is killed after it does not tell the end of an old list as the whole of a new one.

Errors: raise UserError for what a person must mend (wrong password, refused address), UnavailableError for what may
pass. Both end the run's reading; what was told before stands.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from dreamhub_worker.fetch_guard import AllowedNetwork

Content: TypeAlias = bytes | Path | Callable[[], Awaitable[bytes | Path]]
"""The bytes themselves, a file in the context's folder (the collector deletes it), or a function that fetches either.

A file for what may be large. The function may raise NotFoundError (gone meanwhile: skipped, told again next time) and
TooLargeError.
"""


@dataclass(frozen=True, slots=True)
class Found:
    """An item that stands upstream."""

    key: str
    """What upstream calls the item, unique within the source and the same in every reading. Kept encrypted."""
    name: str
    """What people shall see in citations: a file name, subject or URL. Need not be unique."""
    media_type: str
    """As upstream claims it; empty when it says nothing. The bytes are sniffed all the same."""
    data: Content = field(repr=False)
    revision: str = ""
    """Changes when the content does. Empty: unknown, so the content is fetched and its hash compared."""
    tags: tuple[str, ...] = ()
    """Beside those of the IngestJob."""
    modified: datetime | None = None
    """When upstream says that it changed; None when it does not say."""


@dataclass(frozen=True, slots=True)
class Same:
    """An item that is known and unchanged."""

    key: str


@dataclass(frozen=True, slots=True)
class Gone:
    """An item that was deleted upstream. Unknown keys are fine."""

    key: str


@dataclass(frozen=True, slots=True)
class Skipped:
    """An item that stands but is not read. What is known of it from before stays."""

    key: str
    reason: str
    """One word in CamelCase, the same whenever this is the cause, such as RobotsDisallowed."""
    message: str
    """The cause and the next step, without the item's content or address."""
    name: str = field(default="", repr=False)
    """What people shall see, as of a `Found`. Empty: the name of its document, or the source as a whole."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where the next reading starts."""

    state: Mapping[str, Any]
    """JSON of at most 1 MiB. Kept encrypted; what a person must not see in a log may stand here, secrets may not."""


@dataclass(frozen=True, slots=True)
class Begin:
    """From here on everything that stands is told, up to the next Complete."""


@dataclass(frozen=True, slots=True)
class Complete:
    """Everything that stands has been told: what is known beside it is gone. Stored together with its state."""

    state: Mapping[str, Any] | None = None
    """As a Checkpoint's. None: the next reading starts from the beginning."""


Event: TypeAlias = Found | Same | Gone | Skipped | Checkpoint | Begin | Complete


class Source(Protocol):
    """A reader of one upstream. Nothing is opened before `read`, and everything is closed when its iteration ends."""

    def read(self, checkpoint: Checkpoint | None) -> AsyncIterator[Event]:
        """Everything that is new since the checkpoint; everything there is without one."""
        ...


@dataclass(frozen=True, slots=True)
class ObjectEntry:
    """An object of the tenant's own prefix in the platform's bucket."""

    key: str
    """Below the prefix that was asked for."""
    size: int
    etag: str
    modified: datetime


class ObjectLinks(Protocol):
    """The tenant's own prefix in the platform's bucket, through the API server: workers hold no key of the store."""

    def list(self, prefix: str) -> AsyncIterator[ObjectEntry]: ...

    async def download(self, key: str, path: Path, limit: int) -> int:
        """Into a file; returns its size. Raises NotFoundError and TooLargeError."""
        ...


@dataclass(frozen=True)
class SourceContext:
    """What the collector lends a reader."""

    folder: Path
    """For temporary files. On disk, small: at most a few originals at once."""
    size_limit: int
    """Largest original, in bytes. What is larger upstream need not be fetched: raise TooLargeError."""
    known: Callable[[str], Awaitable[str | None]]
    """The stored revision of the item with this key; None when it is unknown or its document was deleted here."""
    links: ObjectLinks
    secret: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The entries of the Secret that `secretRef` names, such as username and password. Empty without one."""
    private_networks: Sequence[AllowedNetwork] = ()
    """Networks that are not global and yet allowed by the platform. All others are refused at connect time."""


SourceFactory: TypeAlias = Callable[[Mapping[str, Any], SourceContext], Source]
"""What an entry point of the group `dreamhub.sources` names: a class or function that makes a reader.

Its first argument is the kind's part of `spec.source` as JSON, without `secretRef`; for a plug-in, its `config`. It
raises InvalidInputError for a config that it cannot use.
"""

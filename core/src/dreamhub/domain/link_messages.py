"""How a worker asks the API server for links, and what it gets: POST /internal/v1/links and /internal/v1/imports."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from dreamhub.errors import InvalidInputError

MAX_LINKS = 100
"""Of each kind in one request."""
MAX_KEY_CHARACTERS = 1024
PAGE_OBJECTS = 500
LINK_SECONDS = 3600
PUT_SECONDS = 300
"""Short, since a link outlives the registration of its version. What comes late by it is refused at ingest."""

_VERSION_PATTERN = "^ver_[0-9a-f]{32}$"


class _Wire(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)


VersionId = Annotated[str, Field(pattern=_VERSION_PATTERN)]
ImportKey = Annotated[str, Field(max_length=MAX_KEY_CHARACTERS)]


class LinksRequest(_Wire):
    get: tuple[VersionId, ...] = Field(default=(), max_length=MAX_LINKS)
    """Versions that are items of the token's run."""
    put: tuple[VersionId, ...] = Field(default=(), max_length=MAX_LINKS)
    """Versions that were announced and do not stand yet."""
    imports: tuple[ImportKey, ...] = Field(default=(), max_length=MAX_LINKS)
    """Keys of objects in the tenant's import folder."""


class LinksReply(_Wire):
    """Presigned URLs. What may not be had is left out: absent, another run's or another tenant's, the three alike."""

    get: dict[str, str] = {}
    put: dict[str, str] = {}
    imports: dict[str, str] = {}


class ImportsRequest(_Wire):
    prefix: ImportKey = ""
    after: ImportKey | None = None
    """`next` of the page before."""


class ImportedObject(_Wire):
    key: str
    """Within the import folder."""
    size: int
    etag: str
    modified: datetime


class ImportsPage(_Wire):
    objects: tuple[ImportedObject, ...]
    next: str | None = None
    """None on the last page. A page may be empty and not be the last."""


def check_import_key(key: str, *, prefix: bool = False) -> str:
    """A key, or the beginning of keys, that stays in the import folder however a store reads it.

    Some stores are file systems behind S3: there, `..` would lead into another tenant's folder. Raises
    InvalidInputError `BadImportKey`.
    """
    parts = key.split("/")
    last = parts.pop()
    wrong = any(part in {"", ".", ".."} for part in parts) or last in {".", ".."} or (not last and not prefix)
    if wrong or "\\" in key or any(ord(character) < 32 or ord(character) == 127 for character in key):
        raise InvalidInputError(
            "this is no key of an object in the import folder: it must not begin with a slash, nor hold `..`, empty "
            "parts, backslashes or control characters",
            code="BadImportKey",
        )
    return key

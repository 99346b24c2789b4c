"""What lies encrypted in a row, and the associated data that ties it to that row."""

import json
import unicodedata
import uuid
from dataclasses import dataclass

from dreamhub.domain.keys import DataKeys
from dreamhub.domain.places import Unit
from dreamhub.sql.connections import Record


@dataclass(frozen=True, slots=True)
class Meta:
    """A document's name and tags."""

    name: str
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Body:
    """A chunk's text."""

    title: str
    heading_path: tuple[str, ...]
    text: str


def document_identity(document_id: str) -> bytes:
    return f"document:{document_id}".encode()


def seal_meta(keys: DataKeys, document_id: str, meta: Meta) -> bytes:
    plain = json.dumps({"name": meta.name, "tags": meta.tags}, ensure_ascii=False).encode(errors="surrogatepass")
    return keys.encrypt(plain, document_identity(document_id))


def open_meta(keys: DataKeys, document_id: str, sealed: bytes) -> Meta:
    content = json.loads(keys.decrypt(sealed, document_identity(document_id)))
    return Meta(content["name"], tuple(content["tags"]))


def seal_body(keys: DataKeys, landing: uuid.UUID, ordinal: int, body: Body) -> bytes:
    plain = json.dumps([body.title, body.heading_path, body.text], ensure_ascii=False).encode(errors="surrogatepass")
    return keys.encrypt(plain, chunk_identity(landing, ordinal))


def open_body(keys: DataKeys, landing: uuid.UUID, ordinal: int, sealed: bytes) -> Body:
    title, heading_path, text = json.loads(keys.decrypt(sealed, chunk_identity(landing, ordinal)))
    return Body(title, tuple(heading_path), text)


def read_unit(row: Record) -> Unit | None:
    """What a chunk's number counts. Those stored before there were other units count pages."""
    unit: Unit | None = row["unit"]
    return unit or ("page" if row["page"] is not None else None)


def blind_name(keys: DataKeys, name: str) -> bytes:
    """One document for a name, whichever way its accents are composed."""
    return keys.blind("name", unicodedata.normalize("NFC", name).encode())


def blind_tags(keys: DataKeys, tags: tuple[str, ...]) -> list[bytes]:
    return [keys.blind("tag", tag.encode()) for tag in dict.fromkeys(tags)]


def chunk_identity(landing: uuid.UUID, ordinal: int) -> bytes:
    return f"chunk:{landing}:{ordinal}".encode()


def checkpoint_identity(source: bytes) -> bytes:
    return f"source:{source.hex()}".encode()


def item_identity(source: bytes, item: bytes) -> bytes:
    return f"item:{source.hex()}:{item.hex()}".encode()


def finding_identity(run: str, document: str) -> bytes:
    return f"finding:{run}:{document}".encode()


def seal_name(keys: DataKeys, run: str, document: str, name: str) -> bytes:
    """What people call something that a run tells of, and that is no document (any more)."""
    return keys.encrypt(name.encode(errors="surrogatepass"), finding_identity(run, document))


def open_name(keys: DataKeys, run: str, document: str, sealed: bytes) -> str:
    return keys.decrypt(sealed, finding_identity(run, document)).decode(errors="surrogatepass")

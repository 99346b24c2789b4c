"""What is known of systems upstream: their items, and where the next reading of each starts. The role is the tenant.

Sources and items are found by keyed hashes; revisions and checkpoints lie encrypted.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from dreamhub.domain.keys import DataKeys
from dreamhub.domain.progress import DocumentError
from dreamhub.errors import InvalidInputError
from dreamhub.sql.bodies import checkpoint_identity, item_identity
from dreamhub.sql.connections import Connection, Record
from dreamhub.sql.documents import Source, VersionState
from dreamhub.sql.queries import load_queries

_SQL = load_queries("sources")

MAX_STATE_BYTES = 2**20
_SWEEP_ITEMS = 200


@dataclass(frozen=True, slots=True)
class SourceKey:
    """One source of the tenant, in all IngestJobs that read it."""

    key: bytes
    kind: Source

    def item(self, keys: DataKeys, name: str) -> bytes:
        """The hash of an item by what upstream calls it."""
        return keys.blind("item", self.key + name.encode(errors="surrogatepass"))


@dataclass(frozen=True, slots=True)
class OpenedSource:
    round: int
    """What items that are told now are marked with."""
    state: Mapping[str, Any] | None = field(repr=False)
    """The last checkpoint; None before the first."""


@dataclass(frozen=True, slots=True)
class KnownItem:
    revision: str = field(repr=False)
    document_id: str
    version_id: str
    """The latest version."""
    state: VersionState
    error: DocumentError | None
    """Why the version failed, when it did."""
    size: int
    told: bool
    """Whether the run has met it before: another reader of it, or another round."""

    @property
    def settled(self) -> bool:
        """Whether ingesting the same bytes again would bring nothing."""
        return self.state == "active" or self.failed_for_good

    @property
    def failed_for_good(self) -> bool:
        return self.state == "failed" and self.error is not None and self.error.error_class == "Permanent"


def source_key(keys: DataKeys, kind: Source, identity: str) -> SourceKey:
    return SourceKey(keys.blind("source", f"{kind}:{identity}".encode(errors="surrogatepass")), kind)


async def open_source(conn: Connection, keys: DataKeys, source: SourceKey) -> OpenedSource:
    row = await conn.fetchrow(_SQL["fetch_source"], source.key)
    if row is None:
        await conn.execute(_SQL["open_source"], source.key, source.kind)
        return OpenedSource(1, None)
    sealed = row["state_ct"]
    state = None if sealed is None else json.loads(keys.decrypt(sealed, checkpoint_identity(source.key)))
    return OpenedSource(row["round"], state)


async def store_checkpoint(
    conn: Connection, keys: DataKeys, source: SourceKey, state: Mapping[str, Any] | None
) -> None:
    """None: the beginning. Raises InvalidInputError `BadCheckpoint` for what is no JSON, or too much of it."""
    sealed = None if state is None else _seal_state(keys, source, state)
    await conn.execute(_SQL["store_checkpoint"], source.key, sealed)


def _seal_state(keys: DataKeys, source: SourceKey, state: Mapping[str, Any]) -> bytes:
    try:
        plain = json.dumps(state, ensure_ascii=False).encode(errors="surrogatepass")
    except (TypeError, ValueError) as error:
        raise InvalidInputError("the source's checkpoint is no JSON; mend its reader", code="BadCheckpoint") from error
    if len(plain) > MAX_STATE_BYTES:
        raise InvalidInputError(
            f"the source's checkpoint has more than {MAX_STATE_BYTES} bytes; keep less in it", code="BadCheckpoint"
        )
    return keys.encrypt(plain, checkpoint_identity(source.key))


async def fetch_item(conn: Connection, keys: DataKeys, source: SourceKey, item: bytes, run: str) -> KnownItem | None:
    """None also for an item whose document was deleted here. `run`: UID of who asks."""
    row = await conn.fetchrow(_SQL["fetch_item"], source.key, item, run)
    if row is None:
        return None
    return KnownItem(
        revision=keys.decrypt(row["revision_ct"], item_identity(source.key, item)).decode(errors="surrogatepass"),
        document_id=row["document_id"],
        version_id=row["version_id"],
        state=row["state"],
        error=_read_error(row) if row["error_class"] is not None else None,
        size=row["size_bytes"],
        told=bool(row["told"]),
    )


def _read_error(row: Record) -> DocumentError:
    return DocumentError(
        document=row["document_id"],
        error_class=row["error_class"],
        reason=row["error_reason"] or "",
        message=row["error_message"] or "",
    )


@dataclass(frozen=True, slots=True)
class SeenItem:
    item: bytes
    revision: str = field(repr=False)
    document_id: str
    round: int


async def store_item(conn: Connection, keys: DataKeys, source: SourceKey, seen: SeenItem) -> None:
    """In the transaction that registers the document."""
    plain = seen.revision.encode(errors="surrogatepass")
    sealed = keys.encrypt(plain, item_identity(source.key, seen.item))
    await conn.execute(_SQL["store_item"], source.key, seen.item, sealed, seen.document_id, seen.round)


async def see_items(conn: Connection, source: SourceKey, items: Collection[bytes], round_: int, run: str) -> None:
    """They stand upstream, as a run was told. No items: nothing; unknown ones are fine."""
    if items:
        await conn.execute(_SQL["see_items"], source.key, list(items), round_, run)


async def find_untold(
    conn: Connection, source: SourceKey, round_: int, after: bytes = b""
) -> tuple[tuple[bytes, str], ...]:
    """Items, with their documents, that were last seen in an earlier round: some hundred, in order of their hashes."""
    rows = await conn.fetch(_SQL["find_untold"], source.key, round_, after, _SWEEP_ITEMS)
    return tuple((row["item_key"], row["document_id"]) for row in rows)


async def forget_item(conn: Connection, source: SourceKey, item: bytes) -> None:
    await conn.execute(_SQL["forget_item"], source.key, item)


async def end_round(conn: Connection, source: SourceKey, round_: int) -> None:
    await conn.execute(_SQL["end_round"], source.key, round_)

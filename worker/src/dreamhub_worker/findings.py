"""What people are told of a source's items that are not ingested: why they were not read, or that they are gone."""

import hashlib
from dataclasses import dataclass

from dreamhub.domain.keys import DataKeys
from dreamhub.domain.progress import DocumentError
from dreamhub.sql.bodies import seal_name
from dreamhub.sql.findings import Finding
from dreamhub.sql.sources import KnownItem
from dreamhub.sql.work_items import NewItem
from dreamhub_worker.sources.source import Skipped

MOST_LETTERS = 2_000
"""Of a name: a URL may be long, and a row must not be."""


@dataclass(frozen=True)
class Findings:
    keys: DataKeys
    run: str
    """Its UID."""

    def stand_in(self, item: bytes) -> NewItem:
        """For an item that is no document: the same in each try of this run, and no id that anything answers to."""
        mark = hashlib.sha256(self.run.encode() + item).hexdigest()[:32]
        return NewItem(f"ver_{mark}", f"item_{mark}")

    def seal(self, document: str, name: str) -> bytes | None:
        return seal_name(self.keys, self.run, document, name[:MOST_LETTERS]) if name else None

    def passed_over(self, item: bytes, event: Skipped, known: KnownItem | None) -> Finding:
        """Told of its document where there is one, which stays as it is."""
        nothing = self.stand_in(item)
        document, version = (
            (known.document_id, known.version_id) if known else (nothing.document_id, nothing.version_id)
        )
        error = DocumentError(document=document, error_class="Permanent", reason=event.reason, message=event.message)
        return Finding(document, version, "Unread", None if known else self.seal(document, event.name), error)

    def deleted(self, document: str, known: KnownItem | None, name: str) -> Finding:
        return Finding(document, known.version_id if known else "", "Deleted", self.seal(document, name))


def unreadable(known: KnownItem) -> Finding:
    """It stands as it was, and as it is it cannot be ingested: a run before has found out why."""
    return Finding(known.document_id, known.version_id, "Unread", error=known.error)

"""How documents that are found while a run is going become its items."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from dreamhub.domain.progress import SOURCE, DocumentError
from dreamhub.errors import DreamHubError
from dreamhub.ids import new_id
from dreamhub.sql.connections import Connection
from dreamhub.sql.findings import Finding, name_document, record_findings
from dreamhub.sql.ingest import RunAttempt, RunDocument, hold_run
from dreamhub.sql.work_items import NewItem, count_unchanged, enqueue, settle_item
from dreamhub_worker.failures import document_error
from dreamhub_worker.work_queue import WorkQueue


class Intake(Protocol):
    """Where the collector puts what it finds: the items of the run."""

    async def add(self, conn: Connection, item: NewItem) -> None:
        """In the collector's transaction. Repeating it changes nothing."""

    async def refuse(self, conn: Connection, item: NewItem, error: DocumentError, name_ct: bytes | None = None) -> None:
        """In the collector's transaction: an item that never becomes a document, with its sealed name."""

    async def record(self, conn: Connection, findings: Sequence[Finding]) -> None:
        """In the collector's transaction: what was not read, and what was deleted. Repeating it changes nothing."""

    async def count_unchanged(self, conn: Connection, count: int) -> None:
        """In the collector's transaction: documents that stand as they were, of which there are no items."""

    async def hold(self, conn: Connection) -> None: ...

    async def publish(self) -> None:
        """After a commit: let the workers see what came."""


@dataclass
class RunIntake:
    run: RunAttempt
    queue: WorkQueue
    woken: asyncio.Event
    _news: bool = False

    async def hold(self, conn: Connection) -> None:
        """In the caller's transaction. Raises FencedError when this worker must not write for the run any more."""
        await hold_run(conn, self.run)

    async def add(self, conn: Connection, item: NewItem) -> None:
        """In the caller's transaction: the item exists when what it stands for does."""
        self._news |= await enqueue(conn, self.run, [item]) > 0

    async def refuse(self, conn: Connection, item: NewItem, error: DocumentError, name_ct: bytes | None = None) -> None:
        """In the caller's transaction: an item that never becomes a version, with its outcome. May be repeated."""
        if not await enqueue(conn, self.run, [item]):
            return  # told by a reading that was cut short
        outcome = RunDocument(item.document_id, item.version_id, "Failed", error=error)
        await settle_item(conn, self.run, item.version_id, outcome)
        if name_ct is not None:
            await name_document(conn, self.run, item.document_id, name_ct)

    async def refuse_source(self, conn: Connection, error: DreamHubError) -> None:
        """In the caller's transaction: the source as a whole could not be read (to its end)."""
        await self.refuse(conn, NewItem(new_id("ver"), SOURCE), document_error(SOURCE, error))

    async def record(self, conn: Connection, findings: Sequence[Finding]) -> None:
        """In the caller's transaction: what the source tells beside documents. May be repeated."""
        await record_findings(conn, self.run, findings)

    async def count_unchanged(self, conn: Connection, count: int) -> None:
        """In the caller's transaction: documents that stand as they were are skipped ones."""
        if count:
            await count_unchanged(conn, self.run, count)

    def take_news(self) -> bool:
        """Whether anything came that the run did not have, since this was last asked."""
        news, self._news = self._news, False
        return news

    async def publish(self) -> None:
        """After a commit: let the workers see what came. Losing this costs time only."""
        await self.queue.fill()
        self.woken.set()

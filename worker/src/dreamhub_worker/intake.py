"""How documents that are found while a run is going become its items."""

import asyncio
from dataclasses import dataclass

from dreamhub.domain.progress import DocumentError
from dreamhub.sql.connections import Connection
from dreamhub.sql.ingest import RunAttempt, RunDocument, hold_run
from dreamhub.sql.work_items import NewItem, count_unchanged, enqueue, settle_item
from dreamhub_worker.work_queue import WorkQueue


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

    async def refuse(self, conn: Connection, item: NewItem, error: DocumentError) -> None:
        """In the caller's transaction: an item that never becomes a version, with its outcome. May be repeated."""
        if not await enqueue(conn, self.run, [item]):
            return  # told by a reading that was cut short
        outcome = RunDocument(item.document_id, item.version_id, "Failed", error=error)
        await settle_item(conn, self.run, item.version_id, outcome)

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

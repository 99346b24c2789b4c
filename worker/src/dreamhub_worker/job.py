"""One document of a run to its outcome: known, claimed, landed, shown and settled in one transaction."""

import hashlib
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

import structlog

from dreamhub.domain.job_input import InputDocument, InputText, JobInput
from dreamhub.domain.media_types import claimed_type
from dreamhub.errors import ConflictError, DreamHubError, InvalidInputError, TooLargeError
from dreamhub.ids import new_id
from dreamhub.metering import TokenMeter
from dreamhub.sql.connections import Connection
from dreamhub.sql.documents import NewUpload, register_upload
from dreamhub.sql.ingest import (
    Claim,
    ClaimedVersion,
    EmbeddingSpace,
    RunAttempt,
    RunDocument,
    activate_version,
    claim_version,
    ensure_generation,
    fail_version,
    release_version,
)
from dreamhub.sql.outbox import announce_object
from dreamhub.sql.work_items import begin_item, count_attempt, return_item, settle_item, skip_unchanged
from dreamhub_worker.chunking import STRATEGY
from dreamhub_worker.context import Toolbox
from dreamhub_worker.document import Source, land
from dreamhub_worker.failures import MAX_ATTEMPTS, MAX_DELIVERIES, document_error
from dreamhub_worker.meter import Meter
from dreamhub_worker.transfer import download, keep, upload

Sign = Callable[[str], Awaitable[str]]
"""A presigned GET for a version."""

log = structlog.get_logger()


@dataclass
class Current:
    """What is known of the document at hand: enough to record how it ended, wherever it ends."""

    item: str
    """Version id under which the run knows it."""
    document_id: str
    version_id: str
    claimed: ClaimedVersion | None = None


@dataclass
class Ingestion:
    """The documents of one run, as one of its workers does them."""

    job: JobInput
    holder: str
    run: RunAttempt
    tools: Toolbox
    meter: Meter
    sign: Sign | None = None
    """How to get at documents whose link the job does not hold."""
    _begun: set[str] = field(default_factory=set)
    """Items that this worker has begun before: coming back to one is no sign of a worker lost over it."""

    def __post_init__(self) -> None:
        self._documents: Mapping[str, InputDocument] = {item.version_id: item for item in self.job.documents}
        self._texts: Mapping[str, InputText] = {item.version_id: item for item in self.job.texts}

    @property
    def _space(self) -> EmbeddingSpace:
        return EmbeddingSpace(self.tools.embedder.model, self.tools.embedder.dimensions, STRATEGY)

    def describe(self, item: str) -> Current:
        known = self._documents.get(item)
        return Current(item, known.document_id if known else item, item)

    async def ingest(self, current: Current) -> None:
        """To searchable, or to skipped. Raises whatever keeps it from that; nothing is settled then."""
        self.meter.approach()
        text = self._texts.get(current.item)
        if text is not None:
            data = text.text.encode()
            await self._register(text, data, current)
            fetch = partial(keep, data)
        else:
            fetch = partial(download, await self._find_url(current.item), limit=self.tools.size_limit)
        claimed = await self._claim(current)
        if claimed.already_active:
            outcome = RunDocument(claimed.document_id, claimed.version_id, "Skipped")
            async with self.tools.connection() as conn:
                await self._settle(conn, current, outcome)
            _tell(outcome)
            return
        tokens = TokenMeter(self.tools.connection, "ingest", self.job.uid, STRATEGY)
        outcome = await land(self.tools, self.meter, Source(claimed, fetch, tokens))
        async with self.tools.connection() as conn, conn.transaction():
            with self.meter.timed("store"):
                await activate_version(conn, claimed, pages=outcome.pages, chunks=outcome.chunks)
            await self._settle(conn, current, outcome)
        _tell(outcome)

    async def skip_unchanged(self, items: Collection[str]) -> frozenset[str]:
        """Settle those that are searchable as they are, all at once; returns them."""
        versions = [item for item in items if item not in self._texts]
        if self.job.force or not versions:
            return frozenset()
        async with self.tools.connection() as conn:
            try:
                generation = await ensure_generation(conn, self._space)
            except ConflictError:
                return frozenset()  # each document is told why by itself
            skipped = await skip_unchanged(conn, self.run, versions, generation)
        if skipped:
            self.meter.skipped += len(skipped)
            log.info("documents_unchanged", documents=len(skipped))
        return skipped

    async def _find_url(self, item: str) -> str:
        known = self._documents.get(item)
        if known is not None:
            return known.url
        if self.sign is None:
            raise InvalidInputError("the job holds no link to this document; create it again", code="BadJobInput")
        return await self.sign(item)

    async def _register(self, text: InputText, data: bytes, current: Current) -> None:
        """Make a document of a text: first its original, then its row.

        Known bytes under the same name are that document. They are uploaded all the same: they take the place of an
        original that was lost, or are cleared away.
        """
        if len(data) > self.tools.size_limit:
            raise TooLargeError(f"the text is above the limit of {self.tools.size_limit} bytes; split it")
        media_type = claimed_type(text.name, "") or "text/plain"
        new = NewUpload(
            document_id=new_id("doc"),
            version_id=text.version_id,
            name=text.name,
            media_type=media_type,
            size=len(data),
            sha256=hashlib.sha256(data).digest(),
            tags=self.job.tags,
            source="inline",
            announced=True,
        )
        async with self.tools.connection() as conn:
            await announce_object(conn, text.version_id)
        await self.tools.stop.guard(upload(text.put_url, data, media_type))
        async with self.tools.connection() as conn:
            registered = await register_upload(conn, self.tools.keys, new)
        current.document_id, current.version_id = registered.document_id, registered.version_id

    async def _claim(self, current: Current) -> ClaimedVersion:
        """Claim and begin in one transaction: an item that is settled already leaves no claim behind."""
        again = current.item in self._begun
        async with self.tools.connection() as conn:
            generation = await ensure_generation(conn, self._space)
            claim = Claim(
                current.version_id, self.holder, self.job.build.name, generation, force=self.job.force, run=self.run
            )
            async with conn.transaction():
                claimed = await claim_version(conn, self.tools.keys, claim)
                begun = await begin_item(conn, self.run, current.item, stored=claimed.next_ordinal, again=again)
        self._begun.add(current.item)
        self.meter.begin(begun.weight)
        current.document_id = claimed.document_id
        if not claimed.already_active:
            current.claimed = claimed
        if begun.deliveries > MAX_DELIVERIES:
            raise InvalidInputError(
                f"{MAX_DELIVERIES} workers ended abruptly over this document; raise the worker's memory limit in the "
                "chart's values, or split the document",
                code="WorkerLost",
            )
        return claimed

    async def fail(self, current: Current, error: DreamHubError) -> None:
        """Settle it as failed: a dead letter."""
        told = document_error(current.document_id, error)
        outcome = RunDocument(current.document_id, current.version_id, "Failed", error=told)
        async with self.tools.connection() as conn, conn.transaction():
            if current.claimed is not None:
                await fail_version(conn, current.claimed, told)
            await self._settle(conn, current, outcome)
        _tell(outcome)

    async def postpone(self, current: Current, error: DreamHubError) -> int | None:
        """Note a passing error; returns how many there were, or None when that was one too many and it has failed."""
        async with self.tools.connection() as conn:
            attempts = await count_attempt(conn, self.run, current.item, document_error(current.document_id, error))
        if attempts >= MAX_ATTEMPTS:
            await self.fail(current, error)
            return None
        await self.release(current)
        return attempts

    async def release(self, current: Current) -> None:
        """Let others have it before this worker comes back to it."""
        self.meter.end(done=False)
        if current.claimed is not None:
            with suppress(DreamHubError):  # the claim lapses by itself; what went wrong before matters more
                async with self.tools.connection() as conn:
                    await release_version(conn, current.claimed)

    async def leave(self, current: Current) -> None:
        """Somebody else goes on, and this worker was not lost over it."""
        await self.release(current)
        with suppress(DreamHubError):
            async with self.tools.connection() as conn:
                await return_item(conn, self.run, current.item)

    async def _settle(self, conn: Connection, current: Current, outcome: RunDocument) -> None:
        self.meter.end(done=True)
        await settle_item(conn, self.run, current.item, outcome, self.meter.report())


def _tell(outcome: RunDocument) -> None:
    log.info("document_finished", version=outcome.version_id, outcome=outcome.outcome, chunks=outcome.chunks)

"""One run of an IngestJob: its documents one after another, each with its own outcome."""

import asyncio
import hashlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

import structlog

from dreamhub.domain.job_input import InputDocument, InputText, JobInput
from dreamhub.domain.media_types import claimed_type
from dreamhub.errors import DreamHubError, TooLargeError, UnavailableError
from dreamhub.ids import new_id
from dreamhub.metering import TokenMeter
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
    record_run_document,
    release_version,
)
from dreamhub.sql.outbox import announce_object
from dreamhub_worker.chunking import STRATEGY
from dreamhub_worker.context import Toolbox
from dreamhub_worker.document import Source, land
from dreamhub_worker.failures import HOPELESS, as_ours, document_error, ends_run, is_final
from dreamhub_worker.meter import Meter
from dreamhub_worker.transfer import download, keep, upload

Item = InputDocument | InputText

log = structlog.get_logger()

WAIT_SECONDS = 1.0
"""Between looks at a document that another run works on."""


@dataclass
class Current:
    """What is known of the document at hand: enough to record how it ended, wherever it ends."""

    document_id: str
    version_id: str
    claimed: ClaimedVersion | None = None


@dataclass
class Run:
    job: JobInput
    holder: str
    attempt: int
    tools: Toolbox
    meter: Meter
    finished: Sequence[RunDocument] = ()
    """Outcomes of earlier attempts: counted, not repeated."""
    postponed: list[DreamHubError] = field(default_factory=list)
    """Transient failures of single documents: the next attempt takes them up."""

    async def execute(self) -> None:
        """Give every document an outcome, or leave it to the next attempt (`postponed`).

        Raises what ends the run: StoppingError, FencedError, UnavailableError, or a hopeless error after it has been
        recorded for every document that is left.
        """
        for document in self.finished:
            self.meter.settle(document)
        self.meter.start()
        items = self._open_items()
        for index, item in enumerate(items):
            self.tools.stop.check()
            try:
                await self._take(item)
            except DreamHubError as error:
                if error.code in HOPELESS:
                    await self._give_up(items[index + 1 :], error)
                raise

    def _open_items(self) -> list[Item]:
        settled = {document.version_id for document in self.finished}
        items: tuple[Item, ...] = (*self.job.documents, *self.job.texts)
        return [item for item in items if item.version_id not in settled]

    async def _take(self, item: Item) -> None:
        """One document to its outcome. Raises only what ends the run."""
        known = item.document_id if isinstance(item, InputDocument) else item.version_id
        current = Current(known, item.version_id)
        try:
            await self._ingest(item, current)
        except Exception as raised:
            error = as_ours(raised)
            log.warning("document_not_ingested", version=current.version_id, code=error.code, kind=type(error).__name__)
            if is_final(error):
                await self._fail(current, error)
            else:
                await self._postpone(current, error)
            if ends_run(error):
                raise error from raised

    async def _ingest(self, item: Item, current: Current) -> None:
        if isinstance(item, InputText):
            data = item.text.encode()
            await self._register(item, data, current)
            fetch = partial(keep, data)
        else:
            fetch = partial(download, item.url, limit=self.tools.size_limit)
        claimed = current.claimed = await self._claim(current.version_id)
        current.document_id = claimed.document_id
        if claimed.already_active:
            await self._record(RunDocument(claimed.document_id, claimed.version_id, "Skipped"))
            return
        tokens = TokenMeter(self.tools.connection, "ingest", self.job.uid)
        outcome = await land(self.tools, self.meter, Source(claimed, fetch, tokens))
        with self.meter.timed("store"):
            async with self.tools.connection() as conn, conn.transaction():
                await activate_version(conn, claimed, pages=outcome.pages, chunks=outcome.chunks)
                await record_run_document(conn, self.job.uid, self.attempt, outcome)
        self._settle(outcome)

    async def _register(self, item: InputText, data: bytes, current: Current) -> None:
        """Make a document of a text: first its original, then its row.

        Known bytes under the same name are that document. They are uploaded all the same: they take the place of an
        original that was lost, or are cleared away.
        """
        if len(data) > self.tools.size_limit:
            raise TooLargeError(f"the text is above the limit of {self.tools.size_limit} bytes; split it")
        media_type = claimed_type(item.name, "") or "text/plain"
        new = NewUpload(
            document_id=new_id("doc"),
            version_id=item.version_id,
            name=item.name,
            media_type=media_type,
            size=len(data),
            sha256=hashlib.sha256(data).digest(),
            tags=self.job.tags,
            source="inline",
            announced=True,
        )
        async with self.tools.connection() as conn:
            await announce_object(conn, item.version_id)
        await self.tools.stop.guard(upload(item.put_url, data, media_type))
        async with self.tools.connection() as conn:
            registered = await register_upload(conn, self.tools.keys, new)
        current.document_id, current.version_id = registered.document_id, registered.version_id

    async def _claim(self, version_id: str) -> ClaimedVersion:
        """Waits for as long as another run works on the document; it may be searchable then. Raises StoppingError."""
        waiting = False
        while True:
            try:
                return await self._try_claim(version_id)
            except UnavailableError as error:
                if error.code != "DocumentHeld":
                    raise
            if not waiting:
                log.info("document_waited_for", version=version_id)
            waiting = True
            await self.tools.stop.guard(asyncio.sleep(WAIT_SECONDS))

    async def _try_claim(self, version_id: str) -> ClaimedVersion:
        embedder = self.tools.embedder
        space = EmbeddingSpace(embedder.model, embedder.dimensions, STRATEGY)
        async with self.tools.connection() as conn:
            generation = await ensure_generation(conn, space)
            run = RunAttempt(self.job.uid, self.attempt)
            claim = Claim(version_id, self.holder, self.job.build.name, generation, force=self.job.force, run=run)
            return await claim_version(conn, self.tools.keys, claim)

    async def _fail(self, current: Current, error: DreamHubError) -> None:
        told = document_error(current.document_id, error)
        outcome = RunDocument(current.document_id, current.version_id, "Failed", error=told)
        if current.claimed is None:
            await self._record(outcome)
            return
        async with self.tools.connection() as conn, conn.transaction():
            await fail_version(conn, current.claimed, told)
            await record_run_document(conn, self.job.uid, self.attempt, outcome)
        self._settle(outcome)

    async def _record(self, outcome: RunDocument) -> None:
        async with self.tools.connection() as conn:
            await record_run_document(conn, self.job.uid, self.attempt, outcome)
        self._settle(outcome)

    def _settle(self, outcome: RunDocument) -> None:
        self.meter.settle(outcome)
        log.info("document_finished", version=outcome.version_id, outcome=outcome.outcome, chunks=outcome.chunks)

    async def _postpone(self, current: Current, error: DreamHubError) -> None:
        self.postponed.append(error)
        self.meter.errors.append(document_error(current.document_id, error))
        self.meter.fraction, self.meter.current_chunks = 0.0, 0
        if current.claimed is not None:
            with suppress(DreamHubError):  # the claim lapses by itself; what went wrong before matters more
                async with self.tools.connection() as conn:
                    await release_version(conn, current.claimed)

    async def _give_up(self, rest: Sequence[Item], error: DreamHubError) -> None:
        for item in rest:
            known = item.document_id if isinstance(item, InputDocument) else item.version_id
            await self._fail(Current(known, item.version_id), error)

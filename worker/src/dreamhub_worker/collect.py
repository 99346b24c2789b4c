"""From a source upstream to documents and work: what the first worker of a run does beside its documents.

A killed reader costs time and nothing else. For each item, the original is stored first, under an announcement that
clears it away should nothing come of it; then one transaction registers the document, notes the item's revision and
queues the work. A checkpoint is stored when everything told before it is so far. Whoever comes next starts from the
last checkpoint, is told some items twice, and finds them known.
"""

import asyncio
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import structlog

from dreamhub.domain.job_input import InputSource, JobInput
from dreamhub.domain.media_types import claimed_type
from dreamhub.errors import BugError, NotFoundError, TooLargeError, UserError
from dreamhub.ids import new_id
from dreamhub.sql import sources as sql
from dreamhub.sql.connections import Connection
from dreamhub.sql.document_names import fetch_names
from dreamhub.sql.documents import NewUpload, delete_document, register_upload
from dreamhub.sql.findings import Finding
from dreamhub.sql.outbox import announce_object, withdraw_object
from dreamhub.sql.work_items import NewItem
from dreamhub_worker.context import Toolbox
from dreamhub_worker.failures import document_error
from dreamhub_worker.fetch_guard import AllowedNetwork
from dreamhub_worker.findings import Findings, unreadable
from dreamhub_worker.intake import Intake
from dreamhub_worker.links import Links
from dreamhub_worker.sniffing import sniff_file
from dreamhub_worker.sources.credentials import read_secret
from dreamhub_worker.sources.registry import find_factory
from dreamhub_worker.sources.source import (
    Begin,
    Checkpoint,
    Complete,
    Event,
    Found,
    Gone,
    Same,
    Skipped,
    Source,
    SourceContext,
)
from dreamhub_worker.transfer import Original, examine, upload

_AT_ONCE = 4
"""Items under way together: while one is uploaded, another is fetched."""
_SEEN_AT_ONCE = 500
_MAX_NAME = 255
_MAX_TAGS = 32
_MAX_TAG = 63

log = structlog.get_logger()


@dataclass
class Collected:
    """What one reading came to."""

    queued: int = 0
    unchanged: int = 0
    deleted: int = 0
    refused: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    """By reason."""


async def collect(tools: Toolbox, job: JobInput, intake: Intake) -> Collected:
    """Read the job's source to its end, from where the last reading of it was left.

    Raises UserError for what a person must mend, TransientError for what may pass; what came before stands.
    """
    source, service = job.source, job.links
    if source is None or service is None:
        raise BugError("a job without a source has nothing to collect")
    links = Links(service)
    key = sql.source_key(tools.keys, source.kind, source.identity)
    async with tools.connection() as conn:
        opened = await sql.open_source(conn, tools.keys, key)
    with tempfile.TemporaryDirectory(dir=tools.work_dir) as folder:
        collector = _Collector(tools, job, intake, links, Path(folder), key, opened.round)
        reader = find_factory(source.reader)(source.config, collector.lend(source))
        checkpoint = None if opened.state is None else Checkpoint(opened.state)
        await tools.stop.guard(collector.follow(reader, checkpoint))
    told = collector.collected
    log.info(
        "source_read",
        kind=source.kind,
        queued=told.queued,
        unchanged=told.unchanged,
        deleted=told.deleted,
        refused=told.refused,
        skipped=dict(told.skipped),
    )
    return told


@dataclass
class _Collector:
    tools: Toolbox
    job: JobInput
    intake: Intake
    links: Links
    folder: Path
    key: sql.SourceKey
    round: int
    collected: Collected = field(default_factory=Collected)
    _running: set[asyncio.Task[None]] = field(default_factory=set)
    _seen: list[bytes] = field(default_factory=list)
    _unchanged: int = 0
    """Of the seen, those to count with them."""
    _unread: list[Finding] = field(default_factory=list)
    """Of the seen, those to tell of."""

    def __post_init__(self) -> None:
        self.findings = Findings(self.tools.keys, self.job.uid)

    def lend(self, source: InputSource) -> SourceContext:
        networks = [AllowedNetwork(ip_network(entry.cidr), frozenset(entry.ports)) for entry in source.networks]
        return SourceContext(
            folder=self.folder,
            size_limit=self.tools.size_limit,
            known=self._known_revision,
            links=self.links,
            secret=read_secret(Path(source.secret_dir)) if source.secret_dir is not None else {},
            private_networks=networks,
        )

    async def follow(self, reader: Source, checkpoint: Checkpoint | None) -> None:
        events = reader.read(checkpoint)
        try:
            async for event in events:
                await self._take_up(event)
            await self._settle()
        finally:
            await self._abandon()
            await _close(events)

    async def _take_up(self, event: Event) -> None:
        match event:
            case Found():
                await self._start(self._find(event))
            case Same():
                await self._start(self._stay(event.key))
            case Gone():
                await self._settle()
                await self._lose(self._item(event.key))
            case Skipped():
                await self._pass_over(event)
            case Checkpoint():
                await self._settle()
                async with self._held() as conn:
                    await sql.store_checkpoint(conn, self.tools.keys, self.key, event.state)
            case Begin():
                await self._settle()
                await self._end_round()
            case Complete():
                await self._settle()
                await self._sweep(event.state)

    async def _start(self, work: Coroutine[Any, Any, None]) -> None:
        """Beside what is under way; the first failure of any of it is raised here or in `_settle`."""
        self._running.add(asyncio.ensure_future(work))
        if len(self._running) >= _AT_ONCE:
            await self._reap(asyncio.FIRST_COMPLETED)

    async def _settle(self) -> None:
        """Everything told so far is registered and queued, and marked as seen."""
        while self._running:
            await self._reap(asyncio.ALL_COMPLETED)
        await self._mark_seen()
        await self.intake.publish()

    async def _reap(self, when: str) -> None:
        done, self._running = await asyncio.wait(self._running, return_when=when)
        for task in done:
            task.result()
        if len(self._seen) >= _SEEN_AT_ONCE:
            await self._mark_seen()
            await self.intake.publish()

    async def _abandon(self) -> None:
        running, self._running = self._running, set()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _mark_seen(self) -> None:
        seen, self._seen, unchanged, self._unchanged = self._seen, [], self._unchanged, 0
        unread, self._unread = self._unread, []
        if seen:
            async with self._held() as conn:
                await sql.see_items(conn, self.key, seen, self.round, self.job.uid)
                await self.intake.count_unchanged(conn, unchanged)
                await self.intake.record(conn, unread)

    @asynccontextmanager
    async def _held(self) -> AsyncIterator[Connection]:
        """A transaction before whose end no later attempt of this worker begins. Raises FencedError `Overtaken`."""
        async with self.tools.connection() as conn, conn.transaction():
            await self.intake.hold(conn)
            yield conn

    def _item(self, key: str) -> bytes:
        return self.key.item(self.tools.keys, key)

    async def _fetch_known(self, item: bytes) -> sql.KnownItem | None:
        async with self.tools.connection() as conn:
            return await sql.fetch_item(conn, self.tools.keys, self.key, item, self.job.uid)

    async def _known_revision(self, key: str) -> str | None:
        known = await self._fetch_known(self._item(key))
        return None if known is None else known.revision

    async def _find(self, found: Found) -> None:
        item = self._item(found.key)
        known = await self._fetch_known(item)
        if known is not None and found.revision and known.revision == found.revision:
            await self._stand(item, known)
            if isinstance(found.data, Path):
                await asyncio.to_thread(found.data.unlink, missing_ok=True)
            return
        path = None
        try:
            claimed_type(found.name, found.media_type)
            path = await self._bring(found)
            await self._keep(item, found, path)
        except NotFoundError:
            log.info("item_gone_meanwhile")
        except UserError as error:
            await self._refuse(item, found.name, error)
        finally:
            if path is not None:
                path.unlink(missing_ok=True)

    async def _bring(self, found: Found) -> Path:
        """Its content as a file of ours."""
        data = found.data if isinstance(found.data, bytes | Path) else await found.data()
        if isinstance(data, Path):
            return data
        path = self.folder / f"item-{new_id('ver')}"
        await asyncio.to_thread(path.write_bytes, data)
        return path

    async def _keep(self, item: bytes, found: Found, path: Path) -> None:
        original = await examine(path)
        if original.size > self.tools.size_limit:
            raise TooLargeError(f"the document is above the limit of {self.tools.size_limit} bytes; split it")
        media_type = await asyncio.to_thread(sniff_file, path, found.name, found.media_type)
        version = new_id("ver")
        async with self.tools.connection() as conn:
            await announce_object(conn, version)
        try:
            await upload(await self.links.sign_put(version), path, media_type)
            await self._register(item, found, self._describe(item, found, version, original, media_type))
        except UserError:
            async with self.tools.connection() as conn:
                await withdraw_object(conn, version)
            raise

    def _describe(self, item: bytes, found: Found, version: str, original: Original, media_type: str) -> NewUpload:
        tags = tuple(dict.fromkeys((*self.job.tags, *(tag[:_MAX_TAG] for tag in found.tags if tag))))
        return NewUpload(
            document_id=new_id("doc"),
            version_id=version,
            name=found.name if len(found.name) <= _MAX_NAME else f"{found.name[: _MAX_NAME - 1]}…",
            media_type=media_type,
            size=original.size,
            sha256=original.sha256,
            tags=tags[:_MAX_TAGS],
            source=self.key.kind,
            announced=True,
            item_key=item,
        )

    async def _register(self, item: bytes, found: Found, new: NewUpload) -> None:
        keys = self.tools.keys
        async with self._held() as conn:
            outcome = await register_upload(conn, keys, new)
            before = await sql.fetch_item(conn, keys, self.key, item, self.job.uid)
            seen = sql.SeenItem(item, found.revision, outcome.document_id, self.round)
            await sql.store_item(conn, keys, self.key, seen)
            known = await sql.fetch_item(conn, keys, self.key, item, self.job.uid)
            if known is not None and self._is_open(known):
                await self.intake.add(conn, _work(known))
                self.collected.queued += 1
            elif known is not None and known.failed_for_good:
                await self.intake.record(conn, [unreadable(known)])
            elif before is None or not before.told:
                await self.intake.count_unchanged(conn, 1)
                self.collected.unchanged += 1

    async def _stay(self, key: str) -> None:
        item = self._item(key)
        known = await self._fetch_known(item)
        if known is None:
            log.warning("unknown_item_told_as_unchanged", kind=self.key.kind)
            return
        await self._stand(item, known)

    async def _stand(self, item: bytes, known: sql.KnownItem) -> None:
        """It is unchanged upstream. Here it may not have come to its end yet."""
        self._seen.append(item)
        if not self._is_open(known):
            self._leave(known)
            return
        async with self.tools.connection() as conn, conn.transaction():
            await self.intake.add(conn, _work(known))
        self.collected.queued += 1

    def _leave(self, known: sql.KnownItem) -> None:
        """There is nothing to do: it is searchable as it is, or cannot be read as it is."""
        if known.failed_for_good:
            self._leave_unread(unreadable(known))
        elif not known.told:
            self._unchanged += 1
            self.collected.unchanged += 1

    def _leave_unread(self, finding: Finding) -> None:
        self._unread.append(finding)
        self.collected.skipped[finding.error.reason if finding.error else ""] += 1

    async def _pass_over(self, event: Skipped) -> None:
        item = self._item(event.key)
        self._seen.append(item)
        self._leave_unread(self.findings.passed_over(item, event, await self._fetch_known(item)))

    def _is_open(self, known: sql.KnownItem) -> bool:
        return self.job.force or not known.settled

    async def _refuse(self, item: bytes, name: str, error: UserError) -> None:
        self._seen.append(item)
        nothing = self.findings.stand_in(item)
        log.warning("item_refused", code=error.code)
        told, name_ct = document_error(nothing.document_id, error), self.findings.seal(nothing.document_id, name)
        async with self.tools.connection() as conn, conn.transaction():
            await self.intake.refuse(conn, nothing, told, name_ct)
        self.collected.refused += 1

    async def _lose(self, item: bytes) -> None:
        known = await self._fetch_known(item)
        if known is not None:
            await self._delete(item, known.document_id)

    async def _delete(self, item: bytes, document_id: str) -> None:
        keys = self.tools.keys
        async with self._held() as conn:
            known = await sql.fetch_item(conn, keys, self.key, item, self.job.uid)
            name = (await fetch_names(conn, keys, [document_id])).get(document_id, "")
            try:
                await delete_document(conn, document_id)
            except NotFoundError:
                await sql.forget_item(conn, self.key, item)
                return
            await self.intake.record(conn, [self.findings.deleted(document_id, known, name)])
        self.collected.deleted += 1

    async def _sweep(self, state: Mapping[str, Any] | None) -> None:
        """Delete what was known and not told in this round, and begin the next."""
        after = b""
        while True:
            async with self.tools.connection() as conn:
                untold = await sql.find_untold(conn, self.key, self.round, after)
            if not untold:
                break
            for item, document in untold:
                await self._delete(item, document)
            after = untold[-1][0]
        async with self._held() as conn:
            await sql.store_checkpoint(conn, self.tools.keys, self.key, state)
            await sql.end_round(conn, self.key, self.round)
        self.round += 1

    async def _end_round(self) -> None:
        """What was told up to now does not count for the next Complete."""
        async with self._held() as conn:
            await sql.end_round(conn, self.key, self.round)
        self.round += 1


def _work(known: sql.KnownItem) -> NewItem:
    return NewItem(known.version_id, known.document_id, known.size)


async def _close(events: AsyncIterator[Event]) -> None:
    close = getattr(events, "aclose", None)
    if close is not None:
        await close()

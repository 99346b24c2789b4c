"""Dead letters of a tenant: listed, replayed into a new ingest job, purged.

A replay is an order, not an outcome: its job may be deleted, refused or ended before it comes to a document. So each
look first opens the letters again whose job has ended without a word about them.
"""

import structlog

from dreamhub.crd.ingest_job import MAX_DOCUMENTS
from dreamhub.errors import UnavailableError
from dreamhub.sql import dead_letters as sql
from dreamhub.sql.bodies import open_name
from dreamhub.sql.document_names import fetch_names
from dreamhub_api.services.ingest_jobs import IngestJobsService
from dreamhub_api.services.sessions import Sessions
from dreamhub_client.dead_letters import DeadLetter, DeadLetterChoice, DeadLetterPage, Replay
from dreamhub_client.models import IngestJobCreate
from dreamhub_client.sources import DocumentsSource, JobSource

_log = structlog.get_logger(__name__)


class DeadLettersService:
    def __init__(self, jobs: IngestJobsService, sessions: Sessions) -> None:
        self._jobs = jobs
        self._sessions = sessions

    async def page(self, tenant: str, job: str | None, cursor: str | None, limit: int) -> DeadLetterPage:
        await self._reopen(tenant)
        async with self._sessions.open(tenant, readonly=True) as session:
            page = await sql.list_dead_letters(session.conn, job, cursor=cursor, limit=limit)
            called = await fetch_names(session.conn, session.keys, [letter.error.document for letter in page.items])
            named = {
                letter.version_id: open_name(session.keys, letter.uid, letter.error.document, letter.name_ct)
                for letter in page.items
                if letter.name_ct is not None
            }
        items = tuple(
            _view(letter, called.get(letter.error.document) or named.get(letter.version_id)) for letter in page.items
        )
        return DeadLetterPage(items=items, next_cursor=page.next_cursor)

    async def replay(self, tenant: str, choice: DeadLetterChoice) -> Replay:
        """Order their documents once more, as one new job.

        The job is created first: should this end before the letters are marked, they are there still, and a document
        that is ingested twice is found unchanged. Raises QuotaExceededError when the queue is full.
        """
        await self._reopen(tenant)
        wanted = sql.Choice(choice.job, choice.versions)
        async with self._sessions.open(tenant, readonly=True) as session:
            found = await sql.choose_dead_letters(session.conn, wanted, MAX_DOCUMENTS + 1)
        chosen = found[:MAX_DOCUMENTS]
        if not chosen:
            return Replay(replayed=0, left=False)
        ids = tuple(dict.fromkeys(item.document_id for item in chosen))
        job = await self._jobs.create(tenant, IngestJobCreate(source=JobSource(documents=DocumentsSource(ids=ids))))
        async with self._sessions.open(tenant) as session:
            await sql.mark_replayed(session.conn, chosen, job.name)
        return Replay(job=job, replayed=len(chosen), left=len(found) > MAX_DOCUMENTS)

    async def purge(self, tenant: str, choice: DeadLetterChoice) -> int:
        async with self._sessions.open(tenant) as session:
            return await sql.purge_dead_letters(session.conn, sql.Choice(choice.job, choice.versions))

    async def _reopen(self, tenant: str) -> None:
        async with self._sessions.open(tenant, readonly=True) as session:
            replays = await sql.find_unanswered(session.conn)
        try:
            over = [name for name in replays if await self._jobs.is_over(tenant, name)]
        except UnavailableError as error:
            _log.info("letters of replays are looked at later", tenant=tenant, error=error.message)
            return
        if over:
            async with self._sessions.open(tenant) as session:
                await sql.reopen(session.conn, over)


def _view(letter: sql.DeadLetter, name: str | None) -> DeadLetter:
    return DeadLetter(
        document=letter.error.document_id,
        name=name,
        version=letter.version_id,
        job=letter.job,
        error_class=letter.error.error_class,
        reason=letter.error.reason,
        message=letter.error.message,
        attempts=letter.attempts,
        failed_at=letter.failed_at,
    )

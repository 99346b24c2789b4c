"""The client: one method for each route of the API."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import aiohttp
from pydantic import BaseModel

from dreamhub_client.credentials import TokenSource
from dreamhub_client.dead_letters import DeadLetter, DeadLetterChoice, DeadLetterPage, Purge, PurgeChoice, Replay
from dreamhub_client.errors import ProtocolError, UnreachableError, WaitTimeoutError
from dreamhub_client.messages import JobUpdate
from dreamhub_client.models import (
    FINISHED_PHASES,
    AnswerRequest,
    AnswerResponse,
    Chunk,
    ChunkPage,
    Document,
    DocumentOutcome,
    DocumentPage,
    DocumentVersion,
    DocumentVersionPage,
    IngestJob,
    IngestJobCreate,
    IngestJobPage,
    JobDocument,
    JobDocumentPage,
    Page,
    SearchRequest,
    SearchResponse,
    Task,
    WsTicket,
)
from dreamhub_client.retry import RetryPolicy
from dreamhub_client.tenants import TenantSelf, Usage
from dreamhub_client.transport import API_PREFIX, Call, Transport, connect, segment
from dreamhub_client.upload import Upload
from dreamhub_client.watch import Updates, WatchSettings, watch_job
from dreamhub_client.wire import MAX_PAGE

Item = TypeVar("Item", bound=BaseModel)


class Client:
    """The API as one tenant's caller sees it. Open it with `open_client`; safe for concurrent use in one event loop.

    Every method may raise the errors of `dreamhub_client.errors`. What is transient was retried before.
    """

    def __init__(self, transport: Transport, watching: WatchSettings) -> None:
        self._transport = transport
        self._watching = watching
        self._tenant: TenantSelf | None = None

    # Tenant

    async def fetch_tenant(self) -> TenantSelf:
        """The caller's tenant, and what the caller may do in it."""
        self._tenant = await self._transport.read(Call("GET", f"{API_PREFIX}/tenants/self"), TenantSelf)
        return self._tenant

    async def fetch_usage(self) -> Usage:
        """What the tenant holds and has used, and the limits of its plan."""
        return await self._transport.read(Call("GET", f"{API_PREFIX}/usage"), Usage)

    # Documents

    async def upload_document(self, upload: Upload) -> Document:
        """Stores a document; it is not searchable before a job has ingested it. The same content twice is no error."""
        query = [("name", upload.name), *(("tags", tag) for tag in upload.tags)]
        headers = {
            "Content-Type": upload.media_type or "application/octet-stream",
            "Content-Length": str(upload.size),
        }
        call = Call("POST", f"{API_PREFIX}/documents", query=query, body=upload.open_body, headers=headers)
        return await self._transport.read(call, Document)

    def iterate_documents(self) -> AsyncIterator[Document]:
        """All documents, newest first."""
        return self._iterate(f"{API_PREFIX}/documents", DocumentPage)

    async def fetch_document(self, document_id: str) -> Document:
        return await self._transport.read(Call("GET", _document_path(document_id)), Document)

    async def delete_document(self, document_id: str) -> None:
        """Deletes the document, its versions and its chunks. NotFoundError when it is not there (any more)."""
        await self._transport.send(Call("DELETE", _document_path(document_id), repeatable=False))

    async def stream_content(self, document_id: str) -> AsyncIterator[bytes]:
        """The original bytes, piece by piece."""
        async with self._transport.stream(Call("GET", f"{_document_path(document_id)}/content")) as response:
            try:
                async for piece in response.content.iter_any():
                    yield piece
            except (aiohttp.ClientError, TimeoutError) as error:
                raise UnreachableError(f"the download of {document_id} broke off: try again") from error

    def iterate_chunks(self, document_id: str) -> AsyncIterator[Chunk]:
        """The pieces of the document as they are searched, in reading order."""
        return self._iterate(f"{_document_path(document_id)}/chunks", ChunkPage)

    async def fetch_versions(self, document_id: str) -> tuple[DocumentVersion, ...]:
        """All versions, the newest first."""
        call = Call("GET", f"{_document_path(document_id)}/versions")
        return (await self._transport.read(call, DocumentVersionPage)).items

    # Ingest jobs

    async def create_ingest_job(self, request: IngestJobCreate) -> IngestJob:
        """Starts a job. Never sent again after a lost connection, so that no second job starts."""
        call = Call("POST", f"{API_PREFIX}/ingest-jobs", model=request, repeatable=False)
        return await self._transport.read(call, IngestJob)

    def iterate_ingest_jobs(self) -> AsyncIterator[IngestJob]:
        return self._iterate(f"{API_PREFIX}/ingest-jobs", IngestJobPage)

    async def fetch_ingest_job(self, name: str) -> IngestJob:
        return await self._transport.read(Call("GET", _job_path(name)), IngestJob)

    async def delete_ingest_job(self, name: str) -> None:
        """Deletes the job, which stops it when it still runs. Documents that it made searchable stay."""
        await self._transport.send(Call("DELETE", _job_path(name), repeatable=False))

    def iterate_job_documents(
        self, name: str, outcomes: Sequence[DocumentOutcome] = (), reason: str | None = None
    ) -> AsyncIterator[JobDocument]:
        """How each document of a job stands: all of them, where the job itself shows at most ten errors."""
        only: list[tuple[str, str]] = [("outcome", outcome) for outcome in outcomes]
        if reason is not None:
            only.append(("reason", reason))
        return self._iterate(f"{_job_path(name)}/documents", JobDocumentPage, only)

    async def approve_ingest_job(self, name: str) -> IngestJob:
        """Releases a job whose estimate is above the tenant's threshold. Needs the scope `approve`."""
        return await self._transport.read(Call("POST", f"{_job_path(name)}/approve"), IngestJob)

    async def cancel_ingest_job(self, name: str) -> IngestJob:
        """Stops a job for good. What it has made searchable stays, and so does the job, to tell of it."""
        return await self._transport.read(Call("POST", f"{_job_path(name)}/cancel"), IngestJob)

    async def retry_ingest_job(self, name: str) -> IngestJob:
        """Orders the failed documents of a job once more; the new job. Never sent again after a lost connection."""
        return await self._transport.read(Call("POST", f"{_job_path(name)}/retry", repeatable=False), IngestJob)

    # Dead letters

    def iterate_dead_letters(self, job: str | None = None) -> AsyncIterator[DeadLetter]:
        """Documents that ingest jobs have given up, in the order in which they did."""
        only = [("job", job)] if job is not None else []
        return self._iterate(f"{API_PREFIX}/dead-letters", DeadLetterPage, only)

    async def replay_dead_letters(self, choice: DeadLetterChoice) -> Replay:
        """Orders their documents once more, as one new job. Never sent again after a lost connection."""
        call = Call("POST", f"{API_PREFIX}/dead-letters/replay", model=choice, repeatable=False)
        return await self._transport.read(call, Replay)

    async def purge_dead_letters(self, choice: PurgeChoice) -> Purge:
        """Forgets them. The documents stay as they are."""
        return await self._transport.read(Call("POST", f"{API_PREFIX}/dead-letters/purge", model=choice), Purge)

    async def fetch_task(self, name: str) -> Task:
        return await self._transport.read(Call("GET", f"{API_PREFIX}/tasks/{segment(name)}"), Task)

    async def watch_job(self, name: str) -> Updates:
        """Each new state of a job until it has finished. Close the generator (`aclosing`) when you leave it early."""
        tenant = self._tenant or await self.fetch_tenant()
        async for update in watch_job(self._transport, tenant.name, name, self._watching):
            yield update

    async def wait_job(self, name: str, seconds: float) -> JobUpdate:
        """The finished state of a job, whether it succeeded or failed.

        Raises:
            WaitTimeoutError: it was not finished after `seconds`.
        """
        last: JobUpdate | None = None
        try:
            async with asyncio.timeout(seconds):
                async for update in self.watch_job(name):
                    last = update
        except TimeoutError:
            state = f"{last.phase}, {last.progress.percent} %" if last else "no state seen"
            raise WaitTimeoutError(f"job {name} was not finished after {seconds:g} s ({state})") from None
        if last is None or last.phase not in FINISHED_PHASES:
            raise ProtocolError(f"the watch of job {name} ended before the job did")
        return last

    # Search and answers

    async def search(self, request: SearchRequest) -> SearchResponse:
        return await self._transport.read(Call("POST", f"{API_PREFIX}/search", model=request), SearchResponse)

    async def answer(self, request: AnswerRequest) -> AnswerResponse:
        return await self._transport.read(Call("POST", f"{API_PREFIX}/answers", model=request), AnswerResponse)

    # The service itself

    async def create_ws_ticket(self) -> WsTicket:
        return await self._transport.read(Call("POST", f"{API_PREFIX}/ws-tickets"), WsTicket)

    async def fetch_openapi(self) -> bytes:
        """The OpenAPI document, as JSON."""
        return (await self._transport.send(Call("GET", f"{API_PREFIX}/openapi.json"))).body

    async def check_health(self) -> None:
        """Returns when the server is alive; raises otherwise."""
        await self._transport.send(Call("GET", "/healthz"))

    async def check_ready(self) -> None:
        """Returns when the server and what it needs are ready; raises otherwise, naming what is not."""
        await self._transport.send(Call("GET", "/readyz"))

    @asynccontextmanager
    async def open_websocket(self) -> AsyncIterator[Any]:
        """A raw WebSocket to `/ws`, logged in. For those who want more than `watch_job`."""
        async with self._transport.websocket("/ws") as socket:
            yield socket

    async def _iterate(
        self, path: str, kind: type[Page[Item]], only: Sequence[tuple[str, str]] = ()
    ) -> AsyncIterator[Item]:
        every = [("limit", str(MAX_PAGE)), *only]
        query = every
        while True:
            page = await self._transport.read(Call("GET", path, query=query), kind)
            for item in page.items:
                yield item
            if page.next_cursor is None:
                return
            query = [*every, ("cursor", page.next_cursor)]


def _document_path(document_id: str) -> str:
    return f"{API_PREFIX}/documents/{segment(document_id)}"


def _job_path(name: str) -> str:
    return f"{API_PREFIX}/ingest-jobs/{segment(name)}"


@asynccontextmanager
async def open_client(
    server: str,
    tokens: TokenSource | None,
    *,
    policy: RetryPolicy | None = None,
    watching: WatchSettings | None = None,
) -> AsyncIterator[Client]:
    """A client of the API at `server`, such as `https://hub.example`. `tokens` None sends no login."""
    async with connect(server, tokens, policy or RetryPolicy()) as transport:
        yield Client(transport, watching or WatchSettings())

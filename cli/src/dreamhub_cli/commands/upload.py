"""`dreamhub upload FILES...`: store, ingest and, with --wait, follow until everything is searchable."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from dreamhub_cli.commands.options import Json, Parallelism, Tags, Timeout, Urgency
from dreamhub_cli.commands.watch import WAIT_SECONDS, follow, report, verdict
from dreamhub_cli.connection import UsageError
from dreamhub_cli.exit_codes import ExitCode, exit_code_of
from dreamhub_cli.files import Found, select_files
from dreamhub_cli.live import UploadBars, upload_bars
from dreamhub_cli.output import Output, sentence, size
from dreamhub_cli.run import run
from dreamhub_client import Client, upload_file
from dreamhub_client.costs import Priority
from dreamhub_client.errors import ApiError, ClientError
from dreamhub_client.messages import JobUpdate
from dreamhub_client.models import Document, IngestJob, IngestJobCreate
from dreamhub_client.sources import DocumentsSource, JobSource
from dreamhub_client.wire import MAX_IDS

CONCURRENT = 3
"""Uploads at a time: enough to hide latency, few enough not to crowd out others."""


@dataclass(frozen=True)
class Sent:
    """One file's fate: a document or an error."""

    found: Found
    document: Document | None = None
    error: ClientError | None = None


@dataclass(frozen=True)
class Order:
    """What shall be done with the files."""

    tags: tuple[str, ...]
    ingest: bool
    wait: bool
    force: bool
    priority: Priority
    parallelism: int
    timeout: float


def upload(
    context: typer.Context,
    paths: Annotated[list[Path], typer.Argument(exists=True, readable=True, help="Files, or folders of documents.")],
    *,
    tags: Tags = None,
    wait: Annotated[bool, typer.Option("--wait", "-w", help="Follow the job until all is searchable.")] = False,
    ingest: Annotated[bool, typer.Option(help="Start a job that makes the documents searchable.")] = True,
    force: Annotated[bool, typer.Option("--force", help="Ingest again what is unchanged.")] = False,
    priority: Urgency = "Normal",
    parallelism: Parallelism = 1,
    timeout: Timeout = WAIT_SECONDS,
    as_json: Json = False,
) -> None:
    """Upload documents and make them searchable."""
    order = Order(tuple(tags or ()), ingest, wait and ingest, force, priority, parallelism, timeout)

    async def action(client: Client, output: Output) -> ExitCode:
        selection = select_files(paths)
        if not selection.files:
            raise UsageError("there is nothing to upload: the folders hold no Markdown, HTML, PDF or text files")
        if selection.skipped:
            output.note(f"skipped {len(selection.skipped)} files of other types")
        sent = await send_files(client, output, selection.files, order.tags)
        stored = [item.document for item in sent if item.document is not None]
        jobs = await start_jobs(client, stored, order) if order.ingest else []
        updates = [
            await follow(client, output, job.name, order.timeout, stream_json=False) for job in jobs if order.wait
        ]
        conclude(output, sent, jobs, updates)
        return overall_code(sent, updates)

    run(context, action, as_json=as_json)


class Sender:
    """Sends files. One that is refused does not stop the others; a server that is gone does."""

    def __init__(self, client: Client, tags: tuple[str, ...], bars: UploadBars) -> None:
        self._client = client
        self._tags = tags
        self._bars = bars
        self._gate = asyncio.Semaphore(CONCURRENT)
        self._gone: ClientError | None = None

    async def send(self, found: Found) -> Sent:
        async with self._gate:
            if self._gone is not None:
                return Sent(found, error=self._gone)
            try:
                return Sent(found, document=await self._upload(found))
            except ApiError as error:
                return Sent(found, error=error)
            except ClientError as error:
                self._gone = error
                return Sent(found, error=error)

    async def _upload(self, found: Found) -> Document:
        with self._bars.file(found.name, found.path.stat().st_size) as bar:
            return await self._client.upload_document(
                upload_file(
                    found.path, name=found.name, media_type=found.media_type, tags=self._tags, progress=bar.sent
                )
            )


async def send_files(client: Client, output: Output, files: Sequence[Found], tags: tuple[str, ...]) -> list[Sent]:
    """Each file's fate, in the order given."""
    with upload_bars(output.err, hidden=output.as_json) as bars:
        sender = Sender(client, tags, bars)
        return await asyncio.gather(*(sender.send(found) for found in files))


async def start_jobs(client: Client, documents: Sequence[Document], order: Order) -> list[IngestJob]:
    """One job for all documents, or as few as their size limit allows; none when there is nothing to ingest."""
    todo = [item.id for item in documents if order.force or item.active_version != item.latest_version]
    return [
        await client.create_ingest_job(
            IngestJobCreate(
                source=JobSource(documents=DocumentsSource(ids=tuple(todo[start : start + MAX_IDS]))),
                force=order.force,
                priority=order.priority,
                parallelism=order.parallelism,
            )
        )
        for start in range(0, len(todo), MAX_IDS)
    ]


def conclude(output: Output, sent: Sequence[Sent], jobs: Sequence[IngestJob], updates: Sequence[JobUpdate]) -> None:
    """The result: what was stored, what was refused, which jobs work on it or how they ended."""
    if output.as_json:
        output.document(
            {
                "documents": [item.document for item in sent if item.document],
                "refused": [describe_refusal(item.found, item.error) for item in sent if item.error],
                "jobs": updates or jobs,
            }
        )
        return
    for item in sent:
        if item.document is not None:
            state = "unchanged" if item.document.duplicate else size(item.document.size_bytes)
            output.say(f"{item.document.name}  ", (item.document.id, "dim"), f"  {state}")
        if item.error is not None:
            output.note((f"{item.found.name}: ", "bold red"), refusal(item.error))
    called = {item.document.id: item.document.name for item in sent if item.document is not None}
    for update in updates:
        report(output, update, called)
    if not updates:
        for job in jobs:
            output.say("ingesting as ", (job.name, "bold"), f": `dreamhub watch {job.name}` follows it")


def describe_refusal(found: Found, error: ClientError) -> dict[str, object]:
    code = error.code if isinstance(error, ApiError) else type(error).__name__.removesuffix("Error")
    return {"file": str(found.path), "code": code, "message": error.message}


def refusal(error: ClientError) -> str:
    return sentence(error) if isinstance(error, ApiError) else error.message


def overall_code(sent: Sequence[Sent], updates: Sequence[JobUpdate]) -> ExitCode:
    """The first thing that went wrong decides."""
    failed = [exit_code_of(item.error) for item in sent if item.error is not None]
    failed += [code for code in map(verdict, updates) if code is not ExitCode.OK]
    return failed[0] if failed else ExitCode.OK

"""`dreamhub watch JOB`."""

import asyncio
from collections.abc import Mapping
from contextlib import aclosing
from typing import Annotated

import typer

from dreamhub_cli.commands.options import Json, Timeout
from dreamhub_cli.exit_codes import ExitCode
from dreamhub_cli.live import job_view
from dreamhub_cli.output import Output
from dreamhub_cli.run import run
from dreamhub_client import Client
from dreamhub_client.errors import ProtocolError, WaitTimeoutError
from dreamhub_client.messages import JobUpdate

WAIT_SECONDS = 3600.0


def watch(
    context: typer.Context,
    job: Annotated[str, typer.Argument(help="Name of an ingest job; `dreamhub jobs` lists them.")],
    *,
    timeout: Timeout = WAIT_SECONDS,
    as_json: Json = False,
) -> None:
    """Follow a job's progress until it has finished. With --json: one line for each change."""

    async def action(client: Client, output: Output) -> ExitCode:
        update = await follow(client, output, job, timeout, stream_json=True)
        if not output.as_json:
            report(output, update)
        return verdict(update)

    run(context, action, as_json=as_json)


async def follow(client: Client, output: Output, job: str, seconds: float, *, stream_json: bool) -> JobUpdate:
    """Shows each state of the job and returns the last one, which is a finished one."""
    last: JobUpdate | None = None
    try:
        async with asyncio.timeout(seconds):
            with job_view(output, job, stream_json=stream_json) as view:
                async with aclosing(client.watch_job(job)) as updates:
                    async for last in updates:
                        view.show(last)
    except TimeoutError:
        raise WaitTimeoutError(f"job {job} was not finished after {seconds:g} s; {_then(job, last)}") from None
    if last is None:
        raise ProtocolError(f"the server told nothing of job {job}")
    return last


def _then(job: str, last: JobUpdate | None) -> str:
    if last is not None and last.phase == "AwaitingApproval":
        return f"it waits for an approver: `dreamhub approve {job}`"
    return f"it goes on: `dreamhub watch {job}` follows it again"


def report(output: Output, update: JobUpdate, called: Mapping[str, str] | None = None) -> None:
    """How the job ended: a line, and a sentence for each of the first documents that failed."""
    told = update.progress
    count = told.documents
    output.say(
        (f"{update.name} {update.phase.lower()}", "bold green" if update.phase == "Succeeded" else "bold red"),
        f": {count.done} of {count.total} documents searchable ({count.skipped} unchanged, {count.failed} failed), "
        f"{told.pages} pages, {told.chunks} chunks",
    )
    if update.phase == "Failed" and update.message and not update.errors:
        output.say(f"  {update.message} ({update.reason})")
    for error in update.errors:
        name = "" if error.document is None else f"{(called or {}).get(error.document, error.document)}: "
        output.say(f"  {name}{error.message} ({error.reason})")
    if count.failed > len(update.errors) or any(error.document is None for error in update.errors):
        output.say(f"  all of them, by name: `dreamhub jobs documents {update.name} --outcome Failed`")
    if count.unread or count.deleted:
        output.say(
            f"  in the source: {count.unread} not read, {count.deleted} deleted; which, and why: "
            f"`dreamhub jobs documents {update.name} --outcome Unread --outcome Deleted`"
        )


def verdict(update: JobUpdate) -> ExitCode:
    return ExitCode.OK if update.phase == "Succeeded" else ExitCode.JOB_FAILED

"""`dreamhub jobs` and `dreamhub jobs documents JOB`."""

from collections.abc import Sequence
from typing import Annotated, get_args

import typer
from rich.table import Table
from rich.text import Text

from dreamhub_cli.commands.options import Json
from dreamhub_cli.exit_codes import ExitCode
from dreamhub_cli.output import THE_SOURCE, Output, printable
from dreamhub_cli.run import run
from dreamhub_client import Client
from dreamhub_client.models import DocumentOutcome, IngestJob, JobDocument

_STYLES = {"Succeeded": "green", "Failed": "red", "Running": "cyan", "AwaitingApproval": "yellow"}


jobs_app = typer.Typer(name="jobs", invoke_without_command=True, rich_markup_mode=None)


@jobs_app.callback()
def jobs(
    context: typer.Context,
    *,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="At most so many, the newest first.")] = 20,
    as_json: Json = False,
) -> None:
    """List the tenant's ingest jobs."""
    if context.invoked_subcommand is not None:
        return

    async def action(client: Client, output: Output) -> ExitCode:
        found = await _first(client, limit)
        if output.as_json:
            output.document({"items": found})
        elif found:
            output.out.print(build_table(found))
        else:
            output.note("no jobs: `dreamhub upload` starts one")
        return ExitCode.OK

    run(context, action, as_json=as_json)


@jobs_app.command()
def documents(
    context: typer.Context,
    job: Annotated[str, typer.Argument(help="Name of an ingest job.")],
    *,
    outcome: Annotated[
        list[str] | None,
        typer.Option("--outcome", "-o", help="Queued, Done, Skipped, Failed, Unread or Deleted; may be given again."),
    ] = None,
    reason: Annotated[str | None, typer.Option("--reason", help="Only with an error of this reason.")] = None,
    as_json: Json = False,
) -> None:
    """Tell of each document of a job what became of it."""
    wanted = read_outcomes(outcome or ())

    async def action(client: Client, output: Output) -> ExitCode:
        found = [item async for item in client.iterate_job_documents(job, wanted, reason)]
        if output.as_json:
            output.document({"items": found})
        elif found:
            output.out.print(build_documents_table(found))
        else:
            output.note("no such documents")
        return ExitCode.OK

    run(context, action, as_json=as_json)


def read_outcomes(given: Sequence[str]) -> tuple[DocumentOutcome, ...]:
    known: dict[str, DocumentOutcome] = {name.lower(): name for name in get_args(DocumentOutcome)}
    for word in given:
        if word.lower() not in known:
            raise typer.BadParameter(f"{word!r} is none of {', '.join(known.values())}", param_hint="--outcome")
    return tuple(known[word.lower()] for word in given)


def build_documents_table(found: list[JobDocument]) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("DOCUMENT", "OUTCOME", "PAGES", "CHUNKS", "TOKENS", "REASON", "MESSAGE"):
        table.add_column(heading)
    for item in found:
        table.add_row(
            Text(printable(item.name or item.document_id or THE_SOURCE)),
            Text(item.outcome, style=_STYLES.get(item.outcome, "")),
            str(item.pages),
            str(item.chunks),
            str(item.tokens),
            item.error.reason if item.error else "",
            printable(item.error.message) if item.error else "",
        )
    return table


async def _first(client: Client, limit: int) -> list[IngestJob]:
    found: list[IngestJob] = []
    async for job in client.iterate_ingest_jobs():
        found.append(job)
        if len(found) == limit:
            break
    return found


def build_table(found: list[IngestJob]) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("NAME", "PHASE", "DONE", "DOCUMENTS", "CHUNKS", "CREATED", "REASON"):
        table.add_column(heading)
    for job in found:
        counts = job.progress.documents
        table.add_row(
            job.name,
            Text(job.phase, style=_STYLES.get(job.phase, "")),
            f"{job.progress.percent} %",
            f"{counts.done}/{counts.total}",
            str(job.progress.chunks),
            f"{job.created_at:%Y-%m-%d %H:%M}",
            printable(job.reason or ""),
        )
    return table

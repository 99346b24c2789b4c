"""`dreamhub jobs`."""

from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from dreamhub_cli.commands.options import Json
from dreamhub_cli.exit_codes import ExitCode
from dreamhub_cli.output import Output, printable
from dreamhub_cli.run import run
from dreamhub_client import Client
from dreamhub_client.models import IngestJob

_STYLES = {"Succeeded": "green", "Failed": "red", "Running": "cyan", "AwaitingApproval": "yellow"}


def jobs(
    context: typer.Context,
    *,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="At most so many, the newest first.")] = 20,
    as_json: Json = False,
) -> None:
    """List the tenant's ingest jobs."""

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

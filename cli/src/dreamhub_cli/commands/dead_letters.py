"""`dreamhub dead-letters`, and `replay` and `purge` below it."""

from typing import Annotated

import typer
from rich.table import Column, Table
from rich.text import Text

from dreamhub_cli.commands.options import Json
from dreamhub_cli.exit_codes import ExitCode
from dreamhub_cli.output import THE_SOURCE, Output, printable
from dreamhub_cli.run import run
from dreamhub_client import Client
from dreamhub_client.dead_letters import DeadLetter, DeadLetterChoice, PurgeChoice

dead_letters_app = typer.Typer(name="dead-letters", invoke_without_command=True, rich_markup_mode=None)

Job = Annotated[str | None, typer.Option("--job", help="Only those of this ingest job.")]
Versions = Annotated[list[str] | None, typer.Argument(help="Versions of documents; all of them when none is named.")]


@dead_letters_app.callback()
def dead_letters(context: typer.Context, *, job: Job = None, as_json: Json = False) -> None:
    """List the documents that ingest jobs have given up."""
    if context.invoked_subcommand is not None:
        return

    async def action(client: Client, output: Output) -> ExitCode:
        found = [letter async for letter in client.iterate_dead_letters(job)]
        if output.as_json:
            output.document({"items": found})
        elif found:
            output.out.print(build_table(found))
        else:
            output.note("no dead letters")
        return ExitCode.OK

    run(context, action, as_json=as_json)


@dead_letters_app.command()
def replay(context: typer.Context, versions: Versions = None, *, job: Job = None, as_json: Json = False) -> None:
    """Order the documents of dead letters once more, as a new job."""

    async def action(client: Client, output: Output) -> ExitCode:
        made = await client.replay_dead_letters(choose(job, versions))
        if output.as_json:
            output.document(made)
        elif made.job is None:
            output.note(
                "nothing to replay: there are no such dead letters, or there is no document (any more); "
                "`dreamhub retry JOB` reads a job's source again"
            )
        else:
            output.note(f"{made.replayed} replayed in the job {made.job.name}")
            if made.left:
                output.note("there are more than one job takes: replay again")
        return ExitCode.OK

    run(context, action, as_json=as_json)


@dead_letters_app.command()
def purge(
    context: typer.Context,
    versions: Annotated[list[str] | None, typer.Argument(help="Versions of documents.")] = None,
    *,
    job: Job = None,
    everything: Annotated[bool, typer.Option("--all", help="Forget every dead letter.")] = False,
    as_json: Json = False,
) -> None:
    """Forget dead letters: of these versions, of one job, or all. The documents stay as they are."""
    if (bool(versions) or job is not None) == everything:
        raise typer.BadParameter(
            "name versions, or a job with --job, or give --all alone to forget every dead letter; "
            "`dreamhub dead-letters` lists them",
            param_hint="VERSIONS",
        )

    async def action(client: Client, output: Output) -> ExitCode:
        chosen = PurgeChoice(job=job, versions=tuple(versions) if versions else None, all=everything)
        done = await client.purge_dead_letters(chosen)
        if output.as_json:
            output.document(done)
        else:
            output.note(f"{done.purged} forgotten")
        return ExitCode.OK

    run(context, action, as_json=as_json)


def choose(job: str | None, versions: list[str] | None) -> DeadLetterChoice:
    return DeadLetterChoice(job=job, versions=tuple(versions) if versions else None)


def build_table(letters: list[DeadLetter]) -> Table:
    """The version is what a replay is told: it is never cut, however narrow the terminal."""
    table = Table("Failed", "Job", "Document", Column("Version", min_width=36), "Reason", "Message", box=None)
    for letter in letters:
        table.add_row(
            letter.failed_at.strftime("%Y-%m-%d %H:%M"),
            letter.job,
            Text(printable(letter.name or letter.document or THE_SOURCE)),
            letter.version,
            letter.reason,
            Text(printable(letter.message)),
        )
    return table

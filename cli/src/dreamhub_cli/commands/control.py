"""`dreamhub approve`, `cancel` and `retry`."""

from typing import Annotated

import typer

from dreamhub_cli.approval import approve_by_kubectl
from dreamhub_cli.commands.options import Json
from dreamhub_cli.connection import Connection, connect
from dreamhub_cli.exit_codes import ExitCode
from dreamhub_cli.output import Output
from dreamhub_cli.run import run, run_unconnected
from dreamhub_client import Client
from dreamhub_client.models import IngestJob

Job = Annotated[str, typer.Argument(help="Name of an ingest job; `dreamhub jobs` lists them.")]


def approve(context: typer.Context, job: Job, *, as_json: Json = False) -> None:
    """Release a job whose estimate is above the tenant's threshold. Through kubectl: as who you are to the cluster."""

    async def action(connection: Connection, output: Output) -> ExitCode:
        if connection.kube is not None and connection.logs_in_by_kubectl:
            who = await approve_by_kubectl(connection.kube, job)
            if output.as_json:
                output.document({"name": job, "approvedBy": who})
            else:
                output.say((job, "bold"), f" approved by {who}")
            return ExitCode.OK
        async with connect(connection) as client:
            return _tell(output, await client.approve_ingest_job(job), "approved")

    run_unconnected(context, action, as_json=as_json)


def cancel(context: typer.Context, job: Job, *, as_json: Json = False) -> None:
    """Stop a job for good. What it has made searchable stays."""

    async def action(client: Client, output: Output) -> ExitCode:
        return _tell(output, await client.cancel_ingest_job(job), "stops")

    run(context, action, as_json=as_json)


def retry(context: typer.Context, job: Job, *, as_json: Json = False) -> None:
    """Order the failed documents of a job once more, as a new job."""

    async def action(client: Client, output: Output) -> ExitCode:
        return _tell(output, await client.retry_ingest_job(job), "ordered")

    run(context, action, as_json=as_json)


def _tell(output: Output, job: IngestJob, what: str) -> ExitCode:
    if output.as_json:
        output.document(job)
    else:
        output.say((job.name, "bold"), f" {what}")
    return ExitCode.OK

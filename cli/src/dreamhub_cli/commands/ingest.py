"""`dreamhub ingest s3|web|mail|mbox|calendar|plugin`: order a job that reads a source upstream."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from dreamhub_cli.commands.options import Json, Parallelism, Tags, Timeout, Urgency
from dreamhub_cli.commands.watch import WAIT_SECONDS, follow, report, verdict
from dreamhub_cli.connection import UsageError
from dreamhub_cli.exit_codes import ExitCode
from dreamhub_cli.output import Output
from dreamhub_cli.run import run
from dreamhub_client import Client
from dreamhub_client.models import IngestJobCreate
from dreamhub_client.sources import JobSource

Secret = Annotated[
    str | None, typer.Option("--secret", help="Secret in the tenant's namespace with what the source asks for.")
]
Several = list[str] | None
Given = dict[str, Any]
"""A part of an order as JSON."""

ingest = typer.Typer(name="ingest", no_args_is_help=True, help="Read documents from where they are kept.")


@dataclass(frozen=True)
class Order:
    """What all sources have in common."""

    job_name: Annotated[str | None, typer.Option("--name", help="Of the job; the server makes one when absent.")] = None
    tags: Tags = None
    force: Annotated[bool, typer.Option("--force", help="Ingest again what is unchanged.")] = False
    priority: Urgency = "Normal"
    parallelism: Parallelism = 1
    wait: Annotated[bool, typer.Option("--wait", "-w", help="Follow the job until all is searchable.")] = False
    timeout: Timeout = WAIT_SECONDS
    as_json: Json = False


def source(build: Callable[..., Given]) -> Callable[..., Given]:
    """A command of the function's own parameters and those of Order, named as the function is."""
    own, common = inspect.signature(build).parameters, inspect.signature(Order).parameters

    def command(context: typer.Context, **given: Any) -> None:
        order = Order(**{name: given.pop(name) for name in common})
        run(context, lambda client, output: _order(client, output, order, build(**given)), as_json=order.as_json)

    shared = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in common.values()]
    first = inspect.signature(command).parameters["context"]
    command.__dict__["__signature__"] = inspect.Signature([first, *own.values(), *shared])
    command.__annotations__ = {name: each.annotation for name, each in inspect.signature(command).parameters.items()}
    ingest.command(build.__name__, help=build.__doc__)(command)
    return build


async def _order(client: Client, output: Output, order: Order, given: Given) -> ExitCode:
    wanted = IngestJobCreate(
        name=order.job_name,
        source=JobSource.model_validate(given),
        tags=tuple(order.tags or ()),
        force=order.force,
        priority=order.priority,
        parallelism=order.parallelism,
    )
    job = await client.create_ingest_job(wanted)
    if order.wait:
        update = await follow(client, output, job.name, order.timeout, stream_json=True)
        if not output.as_json:
            report(output, update)
        return verdict(update)
    if output.as_json:
        output.document(job)
    else:
        output.say("ingesting as ", (job.name, "bold"), f": `dreamhub watch {job.name}` follows it")
    return ExitCode.OK


@source
def s3(
    prefix: Annotated[str, typer.Argument(help="Beginning of the keys, such as handbooks/.")] = "",
    *,
    endpoint: Annotated[str | None, typer.Option(help="URL of an S3 that is not the platform's.")] = None,
    bucket: Annotated[str | None, typer.Option(help="Its bucket.")] = None,
    region: Annotated[str | None, typer.Option(help="Its region.")] = None,
    secret: Secret = None,
) -> Given:
    """Objects of the tenant's import folder, or of a bucket of its own."""
    own = {"endpoint": endpoint, "bucket": bucket, "region": region, "secretRef": _reference(secret)}
    return {"s3": {"prefix": prefix, **_given(own)}}


@source
def web(
    urls: Annotated[list[str], typer.Argument(help="Where the crawl begins.")],
    *,
    depth: Annotated[int, typer.Option(help="Links away from a start page.")] = 1,
    pages: Annotated[int, typer.Option(help="Most pages.")] = 100,
    hosts: Annotated[Several, typer.Option("--host", help="A further host that links may lead to.")] = None,
    sitemap: Annotated[bool, typer.Option("--sitemap", help="Read the hosts' sitemaps as well.")] = False,
    secret: Secret = None,
) -> Given:
    """Pages of web sites."""
    limits = {"maxDepth": depth, "maxPages": pages, "hosts": hosts or [], "sitemap": sitemap}
    return {"web": {"urls": urls, **limits, **_given({"secretRef": _reference(secret)})}}


@source
def mail(
    host: Annotated[str, typer.Argument(help="Name of the IMAP server.")],
    *,
    secret: Annotated[str, typer.Option("--secret", help="Secret with username and password, or token.")],
    folders: Annotated[Several, typer.Option("--folder", help="INBOX when absent.")] = None,
    port: Annotated[int | None, typer.Option(help="993, or 143 with --starttls, when absent.")] = None,
    starttls: Annotated[bool, typer.Option("--starttls", help="Encrypt after connecting.")] = False,
) -> Given:
    """Messages of an IMAP server."""
    given = _given({"folders": folders, "port": port, "tls": "StartTLS" if starttls else None})
    return {"mail": {"imap": {"host": host, "secretRef": _reference(secret), **given}}}


@source
def mbox(
    prefix: Annotated[str, typer.Argument(help="Beginning of the files' keys in the tenant's import folder.")],
) -> Given:
    """Messages of mailboxes in files."""
    return {"mail": {"mbox": {"prefix": prefix}}}


@source
def calendar(
    url: Annotated[str, typer.Argument(help="Of a calendar file or, with --caldav, of a CalDAV server.")],
    *,
    caldav: Annotated[bool, typer.Option("--caldav", help="The address is a CalDAV server's.")] = False,
    secret: Secret = None,
) -> Given:
    """Events of calendars."""
    given = _given({"protocol": "CalDAV" if caldav else None, "secretRef": _reference(secret)})
    return {"calendar": {"url": url, **given}}


@source
def plugin(
    name: Annotated[str, typer.Argument(help="Name that the plug-in is registered under.")],
    *,
    config: Annotated[Several, typer.Option("--set", metavar="KEY=VALUE", help="What the plug-in is told.")] = None,
    secret: Secret = None,
) -> Given:
    """A source that the platform's worker image brings along."""
    given = _given({"secretRef": _reference(secret)})
    return {"plugin": {"name": name, "config": _read_config(config or []), **given}}


def _read_config(entries: list[str]) -> dict[str, str]:
    pairs = [entry.partition("=") for entry in entries]
    if any(not separator for _, separator, _ in pairs):
        raise UsageError("--set takes KEY=VALUE")
    return {key: value for key, _, value in pairs}


def _reference(secret: str | None) -> Given | None:
    return None if secret is None else {"name": secret}


def _given(values: Given) -> Given:
    return {key: value for key, value in values.items() if value is not None}

"""`dreamhub usage`."""

import typer
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from dreamhub_cli.commands.options import Json
from dreamhub_cli.exit_codes import ExitCode
from dreamhub_cli.output import Output, printable, size
from dreamhub_cli.run import run
from dreamhub_client import Client
from dreamhub_client.tenants import QuotaName, QuotaUse, Usage

BAR_WIDTH = 12
_TIGHT, _FULL = 0.8, 1.0

_LABELS: dict[QuotaName, str] = {
    "documents": "documents",
    "chunks": "chunks",
    "storage": "storage",
    "tokensPerDay": "tokens today",
    "tokensPerMonth": "tokens this month",
    "queuedJobs": "jobs in the queue",
    "concurrentJobs": "jobs running",
}


def usage(context: typer.Context, *, as_json: Json = False) -> None:
    """Show what the tenant holds and has used, beside the limits of its plan."""

    async def action(client: Client, output: Output) -> ExitCode:
        found = await client.fetch_usage()
        if output.as_json:
            output.document(found)
        else:
            print_usage(output, found)
        return ExitCode.OK

    run(context, action, as_json=as_json)


def print_usage(output: Output, found: Usage) -> None:
    output.out.print(build_quotas(found))
    if found.tokens:
        output.out.print()
        output.out.print(build_tokens(found))
    if found.suspended:
        output.note(("the tenant is suspended: ", "bold red"), "new documents and new jobs are refused")


def build_quotas(found: Usage) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("QUOTA")
    table.add_column("USED", justify="right")
    table.add_column("LIMIT", justify="right")
    table.add_column("", width=BAR_WIDTH)
    table.add_column("", justify="right")
    table.add_column("RESETS (UTC)")
    for quota in found.quotas:
        resets = f"{quota.resets_at:%Y-%m-%d}" if quota.resets_at and quota.limit is not None else ""
        table.add_row(
            _LABELS[quota.quota], amount(quota, quota.used), limit_of(quota), bar(quota), share(quota), resets
        )
    return table


def build_tokens(found: Usage) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("MODEL", "FOR"):
        table.add_column(heading)
    for heading in ("TODAY", "THIS MONTH"):
        table.add_column(heading, justify="right")
    for entry in found.tokens:
        table.add_row(printable(entry.model), entry.purpose, f"{entry.today:,}", f"{entry.month:,}")
    return table


def amount(quota: QuotaUse, count: int) -> str:
    return size(count) if quota.quota == "storage" else f"{count:,}"


def limit_of(quota: QuotaUse) -> str:
    return "none" if quota.limit is None else amount(quota, quota.limit)


def filled(quota: QuotaUse) -> float | None:
    """Share of the limit that is used, above 1 where a limit was lowered; None without a limit."""
    if quota.limit is None:
        return None
    return quota.used / quota.limit if quota.limit else _FULL


def bar(quota: QuotaUse) -> ProgressBar | str:
    part = filled(quota)
    if part is None:
        return ""
    style = _style(part)
    return ProgressBar(total=1, completed=min(1, part), width=BAR_WIDTH, complete_style=style, finished_style=style)


def share(quota: QuotaUse) -> Text:
    part = filled(quota)
    return Text("") if part is None else Text(f"{int(part * 100)} %", style=_style(part))


def _style(part: float) -> str:
    if part >= _FULL:
        return "red"
    return "yellow" if part >= _TIGHT else "green"

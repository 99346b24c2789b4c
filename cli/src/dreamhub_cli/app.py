"""The command line's shape: `dreamhub` with its own options, and `kubectl dreamhub` with kubectl's."""

import subprocess
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from dreamhub_cli import exit_codes
from dreamhub_cli.commands.ask import ask
from dreamhub_cli.commands.control import approve, cancel, retry
from dreamhub_cli.commands.dead_letters import dead_letters_app
from dreamhub_cli.commands.doctor import doctor
from dreamhub_cli.commands.ingest import ingest
from dreamhub_cli.commands.jobs import jobs_app
from dreamhub_cli.commands.search import search
from dreamhub_cli.commands.upload import upload
from dreamhub_cli.commands.usage import usage
from dreamhub_cli.commands.watch import watch
from dreamhub_cli.connection import Connection, UsageError, choose_connection, parse_kube
from dreamhub_cli.run import Settings
from dreamhub_client.kube import SYSTEM_NAMESPACE, KubeAccess

COMMANDS = (upload, watch, search, ask, approve, cancel, retry, usage, doctor)

_EPILOG = "Exit codes: " + "; ".join(
    " ".join(line.split()) for line in (exit_codes.__doc__ or "").splitlines() if line[:5].strip().isdigit()
)


def _print_version(*, wanted: bool) -> None:
    if wanted:
        typer.echo(f"dreamhub {version('dreamhub-cli')}")
        raise typer.Exit


Version = Annotated[bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")]


def configure(
    context: typer.Context,
    *,
    server: Annotated[
        str | None, typer.Option(envvar="DREAMHUB_SERVER", help="Address of the API, such as https://hub.example.")
    ] = None,
    token: Annotated[
        str | None, typer.Option(envvar="DREAMHUB_TOKEN", help="Bearer token. Others on this machine can see options.")
    ] = None,
    token_file: Annotated[
        Path | None, typer.Option(envvar="DREAMHUB_TOKEN_FILE", help="File with the token, read anew at each request.")
    ] = None,
    kube: Annotated[
        str | None,
        typer.Option(
            envvar="DREAMHUB_KUBE",
            metavar="[NAMESPACE/]TENANT",
            help="Log in, and without --server also connect, through kubectl's cluster.",
        ),
    ] = None,
    kube_context: Annotated[
        str | None, typer.Option("--context", envvar="DREAMHUB_KUBE_CONTEXT", help="kubectl's context for --kube.")
    ] = None,
    _version: Version = False,
) -> None:
    """Upload documents to DreamHub, follow their ingestion, search them and ask them."""

    def connection() -> Connection:
        access = parse_kube(kube, kube_context) if kube else None
        return choose_connection(server=server, token=token, token_file=token_file, kube=access)

    context.obj = Settings(connection)


def configure_kubectl(
    context: typer.Context,
    *,
    namespace: Annotated[
        str | None, typer.Option("--namespace", "-n", help="The tenant's namespace (dh-...); kubectl's present one.")
    ] = None,
    kubeconfig: Annotated[Path | None, typer.Option(help="Path of the kubeconfig file.")] = None,
    kube_context: Annotated[str | None, typer.Option("--context", help="Context of the kubeconfig.")] = None,
    system_namespace: Annotated[
        str, typer.Option(envvar="DREAMHUB_SYSTEM_NAMESPACE", help="Where DreamHub is installed.")
    ] = SYSTEM_NAMESPACE,
    _version: Version = False,
) -> None:
    """DreamHub through kubectl: it logs in as the tenant's owner and forwards a port to the API."""

    def connection() -> Connection:
        access = KubeAccess("", system_namespace, kubeconfig=kubeconfig, context=kube_context)
        tenant = tenant_of(namespace or present_namespace(access))
        access = KubeAccess(tenant, system_namespace, kubeconfig=kubeconfig, context=kube_context)
        return choose_connection(server=None, token=None, token_file=None, kube=access)

    context.obj = Settings(connection)


def tenant_of(namespace: str) -> str:
    tenant = namespace.removeprefix("dh-")
    if not tenant or tenant == namespace:
        raise UsageError(f"namespace {namespace!r} is not a tenant's: give --namespace dh-<tenant>")
    return tenant


def present_namespace(access: KubeAccess) -> str:
    """The namespace that kubectl would use now."""
    command = access.command("config", "view", "--minify", "--output", "jsonpath={..namespace}")
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise UsageError("kubectl is not installed or not on the PATH") from error
    return done.stdout.strip() or "default"


def build_app(name: str, callback: Callable[..., None]) -> typer.Typer:
    app = typer.Typer(
        name=name,
        no_args_is_help=True,
        add_completion=name == "dreamhub",
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        epilog=_EPILOG,
    )
    app.callback(epilog=_EPILOG)(callback)
    for command in COMMANDS:
        app.command()(command)
    app.add_typer(ingest)
    app.add_typer(jobs_app)
    app.add_typer(dead_letters_app)
    return app

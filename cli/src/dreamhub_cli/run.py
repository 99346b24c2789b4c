"""The frame around every command: a connection, an event loop, and errors turned into a sentence and an exit code."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import typer
from pydantic import ValidationError

from dreamhub_cli.connection import Connection, UsageError, connect
from dreamhub_cli.exit_codes import ExitCode, exit_code_of
from dreamhub_cli.output import Output, open_output
from dreamhub_client import Client
from dreamhub_client.errors import ClientError


@dataclass(frozen=True)
class Settings:
    """What stands before the command. `connection` is decided when a command needs it, so that --help never fails."""

    connection: Callable[[], Connection]


Action = Callable[[Client, Output], Awaitable[ExitCode]]


def run(context: typer.Context, action: Action, *, as_json: bool) -> None:
    """Runs `action` with an open client and leaves with its exit code."""

    async def connected(connection: Connection, output: Output) -> ExitCode:
        async with connect(connection) as client:
            return await action(client, output)

    run_unconnected(context, connected, as_json=as_json)


def run_unconnected(
    context: typer.Context, action: Callable[[Connection, Output], Awaitable[ExitCode]], *, as_json: bool
) -> None:
    """The same for a command that opens the connection by itself."""
    settings: Settings = context.obj
    output = open_output(as_json=as_json)

    async def guarded() -> ExitCode:
        try:
            return await action(settings.connection(), output)
        except ClientError as error:
            output.client_failure(error)
            return exit_code_of(error)

    try:
        code = asyncio.run(guarded())
    except UsageError as error:
        output.failure(str(error), code="Usage")
        code = ExitCode.USAGE
    except ValidationError as error:
        output.failure(describe_invalid(error), code="Usage")
        code = ExitCode.USAGE
    except KeyboardInterrupt:
        output.failure("interrupted: what was uploaded stays, and a started job goes on", code="Interrupted")
        code = ExitCode.INTERRUPTED
    raise typer.Exit(code)


def describe_invalid(error: ValidationError) -> str:
    """Which option does not fit, in the words of the wire models that refused it before anything was sent."""
    found = error.errors(include_url=False, include_input=False, include_context=False)
    return "; ".join(f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}" for item in found)

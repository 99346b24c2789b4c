"""`dreamhub doctor`: everything between this machine and a search, one check after the other."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass

import aiohttp
import typer

from dreamhub_cli.commands.options import Json
from dreamhub_cli.connection import Connection, connect
from dreamhub_cli.exit_codes import ExitCode, exit_code_of
from dreamhub_cli.output import Output
from dreamhub_cli.run import run_unconnected
from dreamhub_client import Client
from dreamhub_client.errors import ApiError, ClientError, ProtocolError, UnreachableError
from dreamhub_client.messages import ClientMessage
from dreamhub_client.models import SearchRequest

PONG_SECONDS = 10


@dataclass(frozen=True)
class Finding:
    """One check. `detail` says what was found, or what is wrong and what to do."""

    check: str
    ok: bool
    detail: str


Check = Callable[[Client], Awaitable[str]]


def doctor(context: typer.Context, *, as_json: Json = False) -> None:
    """Check the way to the server, the login and every part.

    It stops at the first failure, which decides the exit code.
    """

    async def action(connection: Connection, output: Output) -> ExitCode:
        findings, code = await examine(connection)
        if output.as_json:
            output.document({"ok": code is ExitCode.OK, "checks": [asdict(finding) for finding in findings]})
            return code
        for finding in findings:
            mark = ("✓ ", "green") if finding.ok else ("✗ ", "bold red")
            output.say(mark, (f"{finding.check}: ", "bold"), finding.detail)
        return code

    run_unconnected(context, action, as_json=as_json)


async def examine(connection: Connection) -> tuple[list[Finding], ExitCode]:
    """The findings up to the first failure: what comes after it would only repeat it."""
    findings: list[Finding] = []
    async with AsyncExitStack() as stack:
        try:
            client = await stack.enter_async_context(connect(connection))
            findings.append(Finding("connection", ok=True, detail=connection.describe()))
        except ClientError as error:
            return [Finding("connection", ok=False, detail=error.message)], exit_code_of(error)
        for name, check in CHECKS.items():
            try:
                findings.append(Finding(name, ok=True, detail=await check(client)))
            except ClientError as error:
                code = f" ({error.code})" if isinstance(error, ApiError) else ""
                findings.append(Finding(name, ok=False, detail=error.message + code))
                return findings, exit_code_of(error)
    return findings, ExitCode.OK


async def check_alive(client: Client) -> str:
    await client.check_health()
    return "the server answers"


async def check_ready(client: Client) -> str:
    await client.check_ready()
    return "the server has what it needs"


async def check_version(client: Client) -> str:
    try:
        return f"API {json.loads(await client.fetch_openapi())['info']['version']}"
    except (ValueError, KeyError, TypeError) as error:
        raise ProtocolError("the server's openapi.json is no OpenAPI document") from error


async def check_login(client: Client) -> str:
    tenant = await client.fetch_tenant()
    return f"{tenant.subject} in tenant {tenant.name}, may {' and '.join(tenant.scopes)}"


async def check_tenant(client: Client) -> str:
    tenant = await client.fetch_tenant()
    state = "suspended: new jobs wait" if tenant.suspended else tenant.phase
    return f"{state}; {tenant.models.embedding}, {tenant.models.chat}"


async def check_search(client: Client) -> str:
    found = await client.search(SearchRequest(query="dreamhub doctor", limit=1))
    return f"{found.took_ms:.0f} ms with {found.model}" + ("" if found.hits else "; nothing is ingested yet")


async def check_socket(client: Client) -> str:
    try:
        async with asyncio.timeout(PONG_SECONDS), client.open_websocket() as socket:
            await socket.send_str(ClientMessage(op="ping").model_dump_json(exclude_none=True))
            frame = await socket.receive()
    except TimeoutError:
        raise UnreachableError("the WebSocket opens and stays silent: a proxy may hold it back") from None
    if frame.type is not aiohttp.WSMsgType.TEXT:
        raise UnreachableError("the WebSocket closes at once: a proxy may not let it through; watching falls back")
    return "live progress gets through"


CHECKS: dict[str, Check] = {
    "alive": check_alive,
    "ready": check_ready,
    "version": check_version,
    "login": check_login,
    "tenant": check_tenant,
    "search": check_search,
    "websocket": check_socket,
}

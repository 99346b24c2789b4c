"""What is outside of the REST API: the WebSocket, health, metrics and the API's own description."""

from aiohttp import WSCloseCode, hdrs, web

from dreamhub.errors import UnavailableError
from dreamhub.telemetry.metrics import render
from dreamhub_api.auth.principal import Principal, require
from dreamhub_api.dispatch import SERVICES, TENANT
from dreamhub_api.hub.connection import CLOSE_SECONDS, HEARTBEAT_SECONDS, MAX_MESSAGE_BYTES, Connection
from dreamhub_api.services.readiness import find_faults

OPEN_CONNECTIONS: web.AppKey[set[Connection]] = web.AppKey("open_connections")
OPENAPI_DOCUMENT: web.AppKey[bytes] = web.AppKey("openapi_document", bytes)


async def healthz(_request: web.Request) -> web.Response:
    """The process answers. Load and dependencies have no say: a restart would mend neither."""
    return web.Response(text="ok\n")


async def readyz(request: web.Request) -> web.Response:
    """Names each part that is not ready and why."""
    faults = await find_faults(request.app[SERVICES].checks)
    if faults:
        raise UnavailableError("; ".join(f"{name}: {fault}" for name, fault in faults.items()), code="NotReady")
    return web.Response(text="ok\n")


async def metrics(request: web.Request) -> web.Response:
    registry = request.app[SERVICES].metrics.registry
    body, content_type = render(registry, request.headers.get(hdrs.ACCEPT, ""))
    return web.Response(body=body, headers={hdrs.CONTENT_TYPE: content_type})


async def openapi(request: web.Request) -> web.Response:
    return web.Response(body=request.app[OPENAPI_DOCUMENT], content_type="application/json")


async def websocket(request: web.Request) -> web.StreamResponse:
    """Log in before the upgrade, so that a refusal is an ordinary problem document."""
    services = request.app[SERVICES]
    principal = await _principal(request)
    request[TENANT] = principal.tenant
    require(principal, "read")
    socket = web.WebSocketResponse(
        heartbeat=HEARTBEAT_SECONDS, compress=False, max_msg_size=MAX_MESSAGE_BYTES, timeout=CLOSE_SECONDS
    )
    await socket.prepare(request)
    connection = Connection(socket, principal, services.hub)
    connections = request.app[OPEN_CONNECTIONS]
    connections.add(connection)
    services.metrics.ws_connections.inc()
    try:
        await connection.run(services.authenticator)
    finally:
        connections.discard(connection)
        services.metrics.ws_connections.dec()
        services.metrics.ws_closed.labels(connection.reason).inc()
    return socket


async def end_connections(app: web.Application) -> None:
    """At shutdown: every client is told to come back, which another instance answers."""
    connections = app[OPEN_CONNECTIONS]
    for connection in tuple(connections):
        connection.end("shutdown", WSCloseCode.GOING_AWAY, b"this instance stops; resume on another")


async def _principal(request: web.Request) -> Principal:
    services = request.app[SERVICES]
    ticket = request.query.get("ticket")
    if ticket is None:
        return await services.authenticator.authenticate(request.headers.get(hdrs.AUTHORIZATION))
    principal = await services.tickets.redeem(ticket)
    await services.authenticator.verify_again(principal)
    return principal

"""The aiohttp application around its services."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

from aiohttp import web

from dreamhub_api.dispatch import API_PREFIX, MAX_JSON_BYTES, SERVICES, bind
from dreamhub_api.handlers import links, operations
from dreamhub_api.middleware import observe
from dreamhub_api.openapi import build_document
from dreamhub_api.routes import ROUTES
from dreamhub_api.services.bundle import Services

OpenServices = Callable[[AsyncExitStack], Awaitable[Services]]


def create_app(open_services: OpenServices) -> web.Application:
    """`open_services` runs at start-up; what it puts on the stack is closed, last first, at the end."""
    app = web.Application(middlewares=[observe], client_max_size=MAX_JSON_BYTES)
    app[operations.OPENAPI_DOCUMENT] = json.dumps(build_document(ROUTES), ensure_ascii=False).encode()
    app[operations.OPEN_CONNECTIONS] = set()

    async def services(app: web.Application) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            app[SERVICES] = await open_services(stack)
            yield

    app.cleanup_ctx.append(services)
    app.on_shutdown.append(operations.end_connections)
    for route in ROUTES:
        app.router.add_route(route.method, API_PREFIX + route.path, bind(route))
    app.router.add_get(API_PREFIX + "/openapi.json", operations.openapi)
    app.router.add_get("/ws", operations.websocket, allow_head=False)
    app.router.add_get("/healthz", operations.healthz)
    app.router.add_get("/readyz", operations.readyz)
    app.router.add_get("/metrics", operations.metrics)
    return app


def serve_workers(app: web.Application, host: str, port: int) -> None:
    """Answer workers, too: on a port of its own, so that nothing which leads to the API leads there."""

    async def serve(app: web.Application) -> AsyncIterator[None]:
        runner = web.AppRunner(create_internal_app(app[SERVICES]), access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, host, port).start()
            yield
        finally:
            await runner.cleanup()

    app.cleanup_ctx.append(serve)


def create_internal_app(services: Services) -> web.Application:
    """What workers are answered with."""
    internal = web.Application(middlewares=[observe], client_max_size=MAX_JSON_BYTES)
    internal[SERVICES] = services
    internal.router.add_post("/internal/v1/links", links.sign_links)
    internal.router.add_post("/internal/v1/imports", links.list_imports)
    return internal

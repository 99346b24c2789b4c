"""Around every request: an id, a log line, a measurement, and errors as problem documents."""

import re
import secrets
import time
from collections.abc import Awaitable, Callable

import structlog
from aiohttp import hdrs, web

from dreamhub.telemetry.logs import trace
from dreamhub_api.dispatch import SERVICES, TENANT
from dreamhub_api.problems import RequestIdentity, problem_response

REQUEST_ID = "X-Request-ID"
CLIENT_GONE = 499
"""Logged and counted only: nobody reads the answer."""

_GIVEN_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
_QUIET = frozenset({"/healthz", "/readyz", "/metrics"})

_log = structlog.get_logger(__name__)

Next = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def observe(request: web.Request, handler: Next) -> web.StreamResponse:
    request_id = read_request_id(request.headers.get(REQUEST_ID))
    started = time.perf_counter()
    with trace(read_trace_id(request.headers.get("traceparent"))):
        status = CLIENT_GONE
        try:
            response = await _answer(request, handler, request_id)
            status = response.status
        finally:
            _record(request, request_id, status, time.perf_counter() - started)
    if not response.prepared:
        response.headers[REQUEST_ID] = request_id
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers.setdefault(hdrs.CACHE_CONTROL, "no-store")
        response.headers[hdrs.SERVER] = "dreamhub"
    return response


async def _answer(request: web.Request, handler: Next, request_id: str) -> web.StreamResponse:
    try:
        return await handler(request)
    except ConnectionError:
        raise
    except Exception as error:  # noqa: BLE001 - the edge: whatever it is, the caller gets a problem document
        response = problem_response(error, RequestIdentity(request.path, request_id))
        if response.status == 500:
            _log.exception("request failed", request_id=request_id, route=route_of(request))
        return response


def _record(request: web.Request, request_id: str, status: int, seconds: float) -> None:
    route = route_of(request)
    metrics = request.app[SERVICES].metrics
    metrics.requests.labels(request.method, route, str(status)).observe(seconds)
    if route not in _QUIET:
        _log.info(
            "request",
            method=request.method,
            route=route,
            status=status,
            milliseconds=round(seconds * 1000, 1),
            tenant=request.get(TENANT),
            request_id=request_id,
        )


def route_of(request: web.Request) -> str:
    """The route's template: a path holds ids, which belong neither into labels nor into logs."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "unknown"


def read_request_id(given: str | None) -> str:
    """The caller's id when it is harmless in a log, else a new one."""
    return given if given is not None and _GIVEN_ID.fullmatch(given) else secrets.token_hex(8)


def read_trace_id(traceparent: str | None) -> str | None:
    """Of a W3C `traceparent` header; None starts a new trace."""
    match = _TRACEPARENT.fullmatch(traceparent or "")
    return match.group(1) if match else None

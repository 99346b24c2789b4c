"""From an HTTP request to a handler's call: log in, check the scope, parse by the route's models, send its reply."""

from typing import Any

from aiohttp import hdrs, web
from pydantic import ValidationError

from dreamhub.errors import InvalidInputError, UnsupportedTypeError
from dreamhub.sql.refusals import suspended
from dreamhub_api.auth.principal import require
from dreamhub_api.calls import B, Call, Q, Reply, Route
from dreamhub_api.problems import from_validation
from dreamhub_api.services.bundle import Services

SERVICES: web.AppKey[Services] = web.AppKey("services", Services)
TENANT: web.RequestKey[str] = web.RequestKey("tenant", str)

API_PREFIX = "/api/v1"
MAX_JSON_BYTES = 2_097_152
"""An inline text of the greatest length fits, however it is escaped."""


def bind(route: Route[Any, Any]) -> Any:
    """The aiohttp handler of a route."""

    async def handle(request: web.Request) -> web.StreamResponse:
        services = request.app[SERVICES]
        principal = await services.authenticator.authenticate(request.headers.get(hdrs.AUTHORIZATION))
        request[TENANT] = principal.tenant
        require(principal, route.scope)
        if route.begins_work:
            refuse_suspended(services, principal.tenant)
        raw = await _read_json(request) if route.body_kind == "json" else b""
        call = Call(
            services=services,
            principal=principal,
            path=request.match_info,
            query=parse_query(route.query, request),
            body=parse_body(route.body, raw) if route.body_kind == "json" else route.body.model_construct(),
            raw_body=raw,
            request=request,
        )
        reply = await route.handler(call)
        return reply if isinstance(reply, web.StreamResponse) else respond(reply)

    return handle


def refuse_suspended(services: Services, tenant: str) -> None:
    """Before any byte is taken. The database refuses too, whoever asks."""
    resource = services.find_tenant(tenant)
    if resource is not None and resource.spec.suspend:
        raise suspended()


def respond(reply: Reply) -> web.Response:
    if reply.body is None:
        return web.Response(status=reply.status, headers=reply.headers)
    text = reply.body.model_dump_json(by_alias=True)
    return web.Response(text=text, status=reply.status, headers=reply.headers, content_type="application/json")


def parse_query(model: type[Q], request: web.Request) -> Q:
    """Raises InvalidBodyError for unknown, repeated or refused parameters."""
    values: dict[str, Any] = {}
    for name in request.query:
        given = request.query.getall(name)
        if name in model.REPEATED:
            values[name] = tuple(item for value in given for item in value.split(","))
        elif len(given) > 1:
            raise InvalidInputError(f"the query parameter {name} may be given once", code="InvalidFields")
        else:
            values[name] = given[0]
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise from_validation("query", error) from error


def parse_body(model: type[B], raw: bytes) -> B:
    """Strict: a number in quotes is no number. Raises InvalidInputError `MalformedJSON` or InvalidBodyError."""
    try:
        return model.model_validate_json(raw, strict=True)
    except ValidationError as error:
        if any(item["type"] == "json_invalid" for item in error.errors(include_input=False)):
            raise InvalidInputError("the body is not valid JSON", code="MalformedJSON") from error
        raise from_validation("body", error) from error


async def _read_json(request: web.Request) -> bytes:
    if request.content_type != "application/json":
        raise UnsupportedTypeError(
            f"the body must be application/json, not {request.content_type}", code="UnsupportedContentType"
        )
    return await request.read()

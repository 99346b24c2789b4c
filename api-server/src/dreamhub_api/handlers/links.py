"""What workers ask for, on a port of its own that no Ingress leads to."""

from typing import TypeVar

from aiohttp import hdrs, web
from pydantic import BaseModel, ValidationError

from dreamhub.domain.job_token import JobClaims
from dreamhub.domain.link_messages import ImportsRequest, LinksRequest
from dreamhub.errors import InvalidInputError
from dreamhub_api.dispatch import SERVICES, TENANT

M = TypeVar("M", bound=BaseModel)


async def sign_links(request: web.Request) -> web.Response:
    claims = _claims(request)
    return _respond(await request.app[SERVICES].links.sign(claims, await _read(request, LinksRequest)))


async def list_imports(request: web.Request) -> web.Response:
    claims = _claims(request)
    return _respond(await request.app[SERVICES].links.list_imports(claims, await _read(request, ImportsRequest)))


def _claims(request: web.Request) -> JobClaims:
    claims = request.app[SERVICES].links.authenticate(request.headers.get(hdrs.AUTHORIZATION))
    request[TENANT] = claims.tenant
    return claims


async def _read(request: web.Request, model: type[M]) -> M:
    try:
        return model.model_validate_json(await request.read())
    except ValidationError as error:
        places = sorted({".".join(map(str, fault["loc"])) or "body" for fault in error.errors(include_input=False)})
        raise InvalidInputError(f"this request for links is not of this release: {', '.join(places)}") from error


def _respond(reply: BaseModel) -> web.Response:
    return web.Response(text=reply.model_dump_json(by_alias=True), content_type="application/json")

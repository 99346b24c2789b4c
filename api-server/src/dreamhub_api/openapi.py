"""The OpenAPI 3.1 document, built from the table of routes and the wire models. Nothing of it is written by hand."""

import inspect
import re
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from dreamhub.domain.media_types import MEDIA_TYPES
from dreamhub_api.calls import Outcome, Route
from dreamhub_api.dispatch import API_PREFIX
from dreamhub_api.handlers.idempotency import HEADER, MAX_KEY_CHARACTERS, REPLAYED
from dreamhub_api.problems import PROBLEM_TYPE
from dreamhub_client.models import Problem
from dreamhub_client.wire import DocumentId, JobName

_REFERENCES = "#/components/schemas/{model}"
_PATH_PARAMETERS: dict[str, Any] = {"document_id": DocumentId, "job_name": JobName}
_IN_PATH = re.compile(r"{(\w+)}")

Json = dict[str, Any]


def build_document(routes: Iterable[Route[Any, Any]]) -> Json:
    table = tuple(routes)
    schemas, references = _schemas(table)
    paths: dict[str, Json] = {}
    for route in table:
        paths.setdefault(API_PREFIX + route.path, {})[route.method.lower()] = _operation(route, references)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "DreamHub",
            "version": version("dreamhub-api"),
            "description": "A tenant's documents, ingest jobs, search and answers. The token decides the tenant.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
        "security": [{"token": []}],
    }


References = Mapping[tuple[Any, JsonSchemaMode], Json]
"""By model and mode."""


def _schemas(routes: tuple[Route[Any, Any], ...]) -> tuple[Json, References]:
    """All models under `components`, each once, and how to point at them."""
    wanted: dict[tuple[type[BaseModel], JsonSchemaMode], None] = {(Problem, "serialization"): None}
    for route in routes:
        if route.body_kind == "json":
            wanted[route.body, "validation"] = None
        for outcome in route.outcomes.values():
            if outcome.model is not None:
                wanted[outcome.model, "serialization"] = None
    references, definitions = models_json_schema(list(wanted), by_alias=True, ref_template=_REFERENCES)
    return definitions.get("$defs", {}), references


def _operation(route: Route[Any, Any], references: References) -> Json:
    summary, _, rest = inspect.cleandoc(route.handler.__doc__ or "").partition("\n")
    operation: Json = {
        "operationId": route.name,
        "summary": summary,
        "tags": [route.path.split("/")[1]],
        "parameters": [*_path_parameters(route), *_query_parameters(route), *_key_parameter(route)],
        "responses": {
            **{str(status): _response(outcome, route, references) for status, outcome in route.outcomes.items()},
            "default": {
                "description": "An error.",
                "content": {PROBLEM_TYPE: {"schema": references[Problem, "serialization"]}},
            },
        },
        "x-dreamhub-scope": route.scope,
    }
    if rest.strip():
        operation["description"] = " ".join(rest.split())
    body = _request_body(route, references)
    return {**operation, "requestBody": body} if body else operation


def _path_parameters(route: Route[Any, Any]) -> list[Json]:
    return [
        {"name": name, "in": "path", "required": True, "schema": TypeAdapter(_PATH_PARAMETERS[name]).json_schema()}
        for name in _IN_PATH.findall(route.path)
    ]


def _query_parameters(route: Route[Any, Any]) -> list[Json]:
    schema = route.query.model_json_schema(by_alias=True)
    return [
        {"name": name, "in": "query", "required": name in schema.get("required", ()), "schema": _without_null(found)}
        for name, found in schema.get("properties", {}).items()
    ]


def _without_null(schema: Json) -> Json:
    """A query string cannot say null: an optional parameter is absent."""
    choices = [choice for choice in schema.get("anyOf", ()) if choice != {"type": "null"}]
    rest = {key: value for key, value in schema.items() if key not in {"anyOf", "default", "title"}}
    return {**rest, **choices[0]} if len(choices) == 1 else rest


def _key_parameter(route: Route[Any, Any]) -> list[Json]:
    if not route.idempotent_by_key:
        return []
    schema = {"type": "string", "minLength": 1, "maxLength": MAX_KEY_CHARACTERS, "pattern": r"^[\x21-\x7e]+$"}
    return [{"name": HEADER, "in": "header", "required": False, "schema": schema}]


def _request_body(route: Route[Any, Any], references: References) -> Json | None:
    if route.body_kind == "json":
        schema = references[route.body, "validation"]
        return {"required": True, "content": {"application/json": {"schema": schema}}}
    if route.body_kind == "upload":
        form = {
            "type": "object",
            "required": ["file"],
            "properties": {"file": {"type": "string", "contentMediaType": "application/octet-stream"}},
        }
        raw: Json = {media_type: {"schema": {}} for media_type in MEDIA_TYPES}
        return {"required": True, "content": {**raw, "multipart/form-data": {"schema": form}}}
    return None


def _response(outcome: Outcome, route: Route[Any, Any], references: References) -> Json:
    names = (*outcome.headers, *((REPLAYED,) if route.idempotent_by_key else ()))
    response: Json = {"description": outcome.description}
    if names:
        response["headers"] = {name: {"schema": {"type": "string"}} for name in names}
    if outcome.model is not None:
        response["content"] = {"application/json": {"schema": references[outcome.model, "serialization"]}}
    elif outcome.content is not None:
        response["content"] = {outcome.content: {"schema": {}}}
    return response

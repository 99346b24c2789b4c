"""From pydantic's JSON Schema (2020-12) to the structural OpenAPI v3.0 schema that a CRD may hold.

The API server refuses a CRD, or worse prunes fields in silence, for what JSON Schema allows freely. What is translated:

- `$ref` is inlined; keywords beside it (a field's own description, a default) win over those of the target.
- `anyOf` with null becomes `nullable`; no other `anyOf` is let through, except that int-or-string has its own keyword.
- `const` becomes a one-element `enum`; numeric `exclusiveMinimum` becomes `minimum` and a boolean.
- `title`, `discriminator` and `additionalProperties: false` go; empty defaults go, a model as default becomes `{}`,
  since defaulting descends into it.

A keyword that is neither translated nor known to be allowed raises, so that a new pydantic feature cannot slip by.
"""

from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel

Schema = dict[str, Any]

_DROPPED: Final = frozenset({"title", "discriminator", "$defs"})
_ALLOWED: Final = frozenset(
    {
        "default",
        "description",
        "enum",
        "format",
        "maxItems",
        "maxLength",
        "maxProperties",
        "maximum",
        "minItems",
        "minLength",
        "minProperties",
        "minimum",
        "nullable",
        "pattern",
        "required",
        "type",
    }
)


def build_structural_schema(model: type[BaseModel]) -> Schema:
    """The structural schema of a part of a resource, such as a spec."""
    document = model.model_json_schema(by_alias=True)
    return _translate(document, document.get("$defs", {}))


def without_defaults(schema: Schema) -> Schema:
    """The same schema for a status: the API server must not fill in what no writer said."""
    return {
        key: _without_defaults_below(key, value)
        for key, value in schema.items()
        if key not in {"default", "required"} or (key == "required" and "type" in value)
    }


def _without_defaults_below(key: str, value: Any) -> Any:
    if key == "properties":
        return {name: without_defaults(field) for name, field in value.items()}
    return without_defaults(value) if key in {"items", "additionalProperties"} else value


def _translate(node: Mapping[str, Any], definitions: Mapping[str, Any]) -> Schema:
    flat = _resolve(node, definitions)
    result: Schema = {}
    for key, value in flat.items():
        if key in _DROPPED or (key == "additionalProperties" and value is False):
            continue
        if key == "default":
            result.update(_default(value, flat))
        else:
            result.update(_keyword(key, value, definitions))
    return result


def _resolve(node: Mapping[str, Any], definitions: Mapping[str, Any]) -> Schema:
    """The node with its references and its nullable or int-or-string unions flattened into it."""
    flat = dict(node)
    while True:
        if "$ref" in flat:
            target = definitions[flat.pop("$ref").removeprefix("#/$defs/")]
        elif "anyOf" in flat:
            target = _union(flat.pop("anyOf"), int_or_string="x-kubernetes-int-or-string" in flat)
        else:
            return flat
        flat = {**target, **flat}


def _union(members: list[Schema], *, int_or_string: bool) -> Schema:
    if int_or_string:
        return {}
    others = [member for member in members if member.get("type") != "null"]
    if len(others) != 1 or len(others) == len(members):
        raise ValueError(f"a structural schema cannot express the union {members}: use optional fields and a CEL rule")
    return {**others[0], "nullable": True}


def _default(value: Any, flat: Schema) -> Schema:
    if value in (None, "", []):
        return {}
    return {"default": {} if "properties" in flat else value}


def _keyword(key: str, value: Any, definitions: Mapping[str, Any]) -> Schema:
    match key:
        case "properties":
            return {key: {name: _translate(field, definitions) for name, field in value.items()}}
        case "items" | "additionalProperties":
            return {key: _translate(value, definitions)}
        case "const":
            return {"enum": [value]}
        case "exclusiveMinimum" | "exclusiveMaximum":
            return {key.removeprefix("exclusive").lower(): value, key: True}
        case "description":
            return {key: " ".join(value.split())}
        case _ if key in _ALLOWED or key.startswith("x-kubernetes-"):
            return {key: value}
        case _:
            raise ValueError(f"no structural form is known for the JSON Schema keyword {key!r} = {value!r}")

"""`values.schema.json` out of the typed values and the comments of `values.yaml`."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from hack.chart.model import ChartValues

Json = dict[str, Any]
_LINE = re.compile(r"^(?P<indent> *)(?:# -- (?P<comment>.*)|(?P<key>\w+):.*)$")


def read_comments(values: str) -> dict[tuple[str, ...], str]:
    """Path of a value to its `# --` comment, which is one line above it."""
    comments: dict[tuple[str, ...], str] = {}
    path: list[tuple[int, str]] = []
    pending = ""
    for line in values.splitlines():
        if not (match := _LINE.match(line)):
            continue
        if match["comment"]:
            pending = match["comment"]
            continue
        indent = len(match["indent"])
        path = [step for step in path if step[0] < indent] + [(indent, match["key"])]
        if pending:
            comments[tuple(key for _, key in path)] = pending
        pending = ""
    return comments


def build_schema(values: str) -> str:
    """The schema as text. References are resolved in place, so that each value carries its own description."""
    raw = ChartValues.model_json_schema(by_alias=True)
    schema = _resolve(raw, raw.get("$defs", {}))
    for path, comment in read_comments(values).items():
        _find(schema, path)["description"] = comment
    head = {"$schema": "http://json-schema.org/draft-07/schema#", "title": "Values of the DreamHub chart"}
    return json.dumps(head | schema, indent=2, ensure_ascii=False) + "\n"


def list_paths(schema: Mapping[str, Any], prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every value that the schema names, as a path."""
    for key, inner in schema.get("properties", {}).items():
        yield (*prefix, key)
        yield from list_paths(inner, (*prefix, key))


def _resolve(node: Any, definitions: Mapping[str, Json]) -> Any:
    if isinstance(node, list):
        return [_resolve(item, definitions) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return _resolve(definitions[node["$ref"].rpartition("/")[2]], definitions)
    dropped = {"$defs", "default", "title"} if _is_schema(node) else set[str]()
    return {key: _resolve(value, definitions) for key, value in node.items() if key not in dropped}


def _is_schema(node: Mapping[str, Any]) -> bool:
    """Whether a dict is a schema, rather than a map of property names: `title` may be either's key."""
    return any(isinstance(node.get(key), str) for key in ("type", "title", "$ref")) or "anyOf" in node


def _find(schema: Json, path: tuple[str, ...]) -> Json:
    for key in path:
        schema = schema["properties"][key]
    return schema

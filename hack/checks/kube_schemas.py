"""JSON schemas for kubeconform, made from the OpenAPI document of the pinned Kubernetes module and from our own CRDs.

kubeconform fetches its schemas from the network by default: then a check would depend on somebody's server, and on
whichever Kubernetes version lies there. The API document of the very version that our clusters run is a file in the Go
module that they are built from.
"""

import copy
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Json = dict[str, Any]

LOCATION_TEMPLATE = "{{ .Group }}/{{ .ResourceKind }}_{{ .ResourceAPIVersion }}.json"
"""Where kubeconform looks below the folder; its `Group` is the version for objects of the core group."""

_PREFIX = "#/definitions/"
_SCALARS: Mapping[str, Json] = {
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": {"type": ["string", "integer"]},
    "io.k8s.apimachinery.pkg.api.resource.Quantity": {"type": ["string", "number"]},
}
"""Types that the API document calls strings although the server takes numbers too."""


@dataclass(frozen=True)
class KindKey:
    """`apiVersion` and `kind` as a manifest spells them."""

    api_version: str
    kind: str

    @property
    def path(self) -> str:
        group, _, version = self.api_version.rpartition("/")
        return f"{group or version}/{self.kind.lower()}_{version}.json"


def kinds_of(documents: Iterable[Json]) -> set[KindKey]:
    return {KindKey(document["apiVersion"], document["kind"]) for document in documents}


def build_core_schemas(openapi: Json, wanted: Iterable[KindKey]) -> dict[KindKey, Json]:
    """A self-contained strict schema for each wanted kind that Kubernetes itself serves."""
    definitions = {name: _SCALARS.get(name) or _strict(schema) for name, schema in openapi["definitions"].items()}
    names = {
        KindKey("/".join(filter(None, (gvk["group"], gvk["version"]))), gvk["kind"]): name
        for name, schema in openapi["definitions"].items()
        for gvk in schema.get("x-kubernetes-group-version-kind", ())
    }
    return {key: _self_contained(names[key], definitions) for key in wanted if key in names}


def build_crd_schemas(crds: Iterable[Json]) -> dict[KindKey, Json]:
    """A strict schema for each served version of each CustomResourceDefinition."""
    return {
        KindKey(f"{crd['spec']['group']}/{version['name']}", crd["spec"]["names"]["kind"]): _strict(
            _with_object_fields(version["schema"]["openAPIV3Schema"])
        )
        for crd in crds
        for version in crd["spec"]["versions"]
    }


def write_schemas(schemas: Mapping[KindKey, Json], folder: Path) -> None:
    for key, schema in schemas.items():
        path = folder / key.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(schema))


def _with_object_fields(schema: Json) -> Json:
    """A CRD may leave apiVersion, kind and metadata out: the API server knows them."""
    known = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"}}
    return schema | {"properties": known | schema.get("properties", {})}


def _strict(schema: Json) -> Json:
    """The same schema, refusing unknown fields as `kubectl apply` does, and with OpenAPI's own words translated."""
    strict = {key: _strict_value(key, value) for key, value in schema.items()}
    closed = "properties" in schema and not schema.get("x-kubernetes-preserve-unknown-fields")
    if closed and "additionalProperties" not in schema:
        strict["additionalProperties"] = False
    if schema.get("x-kubernetes-int-or-string"):
        strict["type"] = ["string", "integer"]
    if schema.get("nullable") and isinstance(strict.get("type"), str):
        strict["type"] = [strict["type"], "null"]
    return strict


def _strict_value(key: str, value: Any) -> Any:
    match key:
        case "properties":
            return {name: _strict(schema) for name, schema in value.items()}
        case "items" | "additionalProperties" if isinstance(value, dict):
            return _strict(value)
        case _:
            return copy.deepcopy(value)


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        if isinstance(reference := schema.get("$ref"), str):
            yield reference.removeprefix(_PREFIX)
        for value in schema.values():
            yield from _references(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _references(value)


def _self_contained(name: str, definitions: Mapping[str, Json]) -> Json:
    """The schema of one definition together with all that it refers to, directly or not."""
    needed: dict[str, Json] = {}
    open_names = [name]
    while open_names:
        current = open_names.pop()
        if current not in needed:
            needed[current] = definitions[current]
            open_names.extend(_references(definitions[current]))
    return {"$ref": f"{_PREFIX}{name}", "definitions": needed}

import json
from pathlib import Path
from typing import Any

import pytest

from hack.checks.kube_schemas import KindKey, build_core_schemas, build_crd_schemas, kinds_of, write_schemas

OPENAPI: dict[str, Any] = {
    "definitions": {
        "io.Pod": {
            "properties": {"spec": {"$ref": "#/definitions/io.Spec"}, "kind": {"type": "string"}},
            "x-kubernetes-group-version-kind": [{"group": "", "version": "v1", "kind": "Pod"}],
        },
        "io.Spec": {
            "properties": {
                "ports": {
                    "type": "array",
                    "items": {"$ref": "#/definitions/io.k8s.apimachinery.pkg.util.intstr.IntOrString"},
                },
                "labels": {"type": "object", "additionalProperties": {"type": "string"}},
            }
        },
        "io.k8s.apimachinery.pkg.util.intstr.IntOrString": {"type": "string", "format": "int-or-string"},
        "io.Unrelated": {"type": "object"},
    }
}
POD = KindKey("v1", "Pod")


def crd(schema: dict[str, Any]) -> dict[str, Any]:
    versions = [{"name": "v1alpha1", "schema": {"openAPIV3Schema": schema}}]
    return {"spec": {"group": "dreamhub.dev", "names": {"kind": "Tenant"}, "versions": versions}}


def crd_schema(schema: dict[str, Any]) -> dict[str, Any]:
    (built,) = build_crd_schemas([crd(schema)]).values()
    return built


@pytest.mark.parametrize(
    ("key", "path"),
    [
        (POD, "v1/pod_v1.json"),
        (KindKey("apps/v1", "Deployment"), "apps/deployment_v1.json"),
        (KindKey("networking.k8s.io/v1", "NetworkPolicy"), "networking.k8s.io/networkpolicy_v1.json"),
    ],
)
def test_paths_are_where_kubeconform_looks(key: KindKey, path: str) -> None:
    assert key.path == path


def test_a_core_schema_brings_what_it_refers_to_and_nothing_else() -> None:
    schema = build_core_schemas(OPENAPI, [POD])[POD]
    assert schema["$ref"] == "#/definitions/io.Pod"
    assert set(schema["definitions"]) == {"io.Pod", "io.Spec", "io.k8s.apimachinery.pkg.util.intstr.IntOrString"}


def test_core_schemas_refuse_unknown_fields_but_not_free_maps() -> None:
    definitions = build_core_schemas(OPENAPI, [POD])[POD]["definitions"]
    assert definitions["io.Spec"]["additionalProperties"] is False
    assert definitions["io.Spec"]["properties"]["labels"]["additionalProperties"] == {"type": "string"}


def test_ports_may_be_numbers() -> None:
    definitions = build_core_schemas(OPENAPI, [POD])[POD]["definitions"]
    assert definitions["io.k8s.apimachinery.pkg.util.intstr.IntOrString"] == {"type": ["string", "integer"]}


def test_kinds_that_kubernetes_does_not_serve_get_no_schema() -> None:
    assert build_core_schemas(OPENAPI, [KindKey("dreamhub.dev/v1alpha1", "Tenant")]) == {}


def test_crd_schemas_know_the_fields_of_every_object() -> None:
    schema = crd_schema({"type": "object", "properties": {"spec": {"type": "object", "properties": {}}}})
    assert set(schema["properties"]) == {"apiVersion", "kind", "metadata", "spec"}
    assert schema["additionalProperties"] is False
    assert schema["properties"]["spec"]["additionalProperties"] is False


@pytest.mark.parametrize(
    ("field", "translated"),
    [
        ({"type": "string", "nullable": True}, ["string", "null"]),
        ({"x-kubernetes-int-or-string": True}, ["string", "integer"]),
        ({"type": "string"}, "string"),
    ],
)
def test_words_of_openapi_are_translated(field: dict[str, Any], translated: object) -> None:
    schema = crd_schema({"type": "object", "properties": {"spec": {"properties": {"field": field}}}})
    assert schema["properties"]["spec"]["properties"]["field"]["type"] == translated


def test_preserved_unknown_fields_stay_allowed() -> None:
    spec = {"type": "object", "properties": {}, "x-kubernetes-preserve-unknown-fields": True}
    schema = crd_schema({"type": "object", "properties": {"spec": spec}})
    assert "additionalProperties" not in schema["properties"]["spec"]


def test_schemas_are_written_by_group(tmp_path: Path) -> None:
    write_schemas({POD: {"type": "object"}}, tmp_path)
    assert json.loads((tmp_path / "v1/pod_v1.json").read_text()) == {"type": "object"}


def test_kinds_of() -> None:
    assert kinds_of([{"apiVersion": "v1", "kind": "Pod"}, {"apiVersion": "v1", "kind": "Pod"}]) == {POD}

"""The CRDs as a whole: what every field owes to its reader, and the committed files."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dreamhub.crd.__main__ import find_stale, main, render_files
from dreamhub.crd.definitions import DEFINITIONS, Definition, build_crd
from dreamhub.crd.ingest_job import IngestJob, IngestReason
from dreamhub.crd.tenant import Tenant

CRDS = Path(__file__).parents[3] / "crds"


def schema_of(definition: Definition) -> dict[str, Any]:
    version = build_crd(definition)["spec"]["versions"][0]
    schema: dict[str, Any] = version["schema"]["openAPIV3Schema"]
    return schema


def walk(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for name, field in schema.get("properties", {}).items():
        yield f"{path}.{name}", field
        yield from walk(field, f"{path}.{name}")
        yield from walk(field.get("items", {}), f"{path}.{name}[]")


def test_the_committed_files_are_up_to_date() -> None:
    assert find_stale(CRDS, render_files()) == []


@pytest.mark.parametrize("definition", DEFINITIONS, ids=lambda definition: definition.plural)
def test_every_field_explains_itself(definition: Definition) -> None:
    own = {".apiVersion", ".kind", ".metadata"}
    silent = [path for path, field in walk(schema_of(definition)) if path not in own and not field.get("description")]
    assert silent == []


@pytest.mark.parametrize("definition", DEFINITIONS, ids=lambda definition: definition.plural)
def test_every_rule_names_its_field(definition: Definition) -> None:
    for path, field in [("", schema_of(definition)), *walk(schema_of(definition))]:
        for rule in field.get("x-kubernetes-validations", []):
            named = [path.rpartition(".")[2].removesuffix("[]"), "metadata.name", "spec."]
            inner = list(field.get("properties", {}))
            assert any(name and name in rule["message"] for name in [*named, *inner]), (path, rule)


@pytest.mark.parametrize("definition", DEFINITIONS, ids=lambda definition: definition.plural)
def test_conditions_are_a_map_by_type_with_closed_reasons(definition: Definition) -> None:
    conditions = schema_of(definition)["properties"]["status"]["properties"]["conditions"]
    assert conditions["x-kubernetes-list-type"] == "map"
    assert conditions["x-kubernetes-list-map-keys"] == ["type"]
    assert {"Ready", "Reconciling", "Stalled"} <= set(conditions["items"]["properties"]["type"]["enum"])
    assert len(conditions["items"]["properties"]["reason"]["enum"]) > 10


@pytest.mark.parametrize("definition", DEFINITIONS, ids=lambda definition: definition.plural)
def test_only_the_operator_writes_a_status(definition: Definition) -> None:
    version = build_crd(definition)["spec"]["versions"][0]
    assert version["subresources"] == {"status": {}}
    assert "status" not in schema_of(definition).get("required", [])


def test_an_author_cannot_choose_what_runs() -> None:
    names = {path.rpartition(".")[2] for definition in DEFINITIONS for path, _ in walk(schema_of(definition))}
    forbidden = {"image", "command", "args", "serviceAccountName", "hostPath", "env", "podSpec"}
    assert names & forbidden == set()


def test_a_default_tenant_has_the_offline_models() -> None:
    tenant = Tenant.model_validate({"metadata": {"name": "acme"}})
    assert tenant.spec.models.embedding == "builtin/wordllama-256"
    assert tenant.spec.deletion_policy == "Block"


def test_unknown_fields_of_a_newer_version_are_ignored() -> None:
    job = IngestJob.model_validate(
        {
            "metadata": {"name": "x", "managedFields": []},
            "spec": {"source": {"inline": {"name": "a", "text": "b"}}, "new": 1},
        }
    )
    assert job.status.reason is IngestReason.RECEIVED


def test_check_names_stale_and_superfluous_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--folder", str(tmp_path)]) == 0
    assert main(["--folder", str(tmp_path), "--check"]) == 0
    (tmp_path / "dreamhub.dev_tenants.yaml").write_text("changed")
    (tmp_path / "old.yaml").write_text("left over")

    assert main(["--folder", str(tmp_path), "--check"]) == 1

    message = capsys.readouterr().err
    assert "dreamhub.dev_tenants.yaml" in message
    assert "old.yaml" in message
    assert main(["--folder", str(tmp_path)]) == 0
    assert not (tmp_path / "old.yaml").exists()

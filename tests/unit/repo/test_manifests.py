import json
from pathlib import Path
from typing import Any

import pytest

from hack.checks import manifests
from hack.checks.manifests import check_sources, parse_documents, read_values


def test_only_kubernetes_objects_are_taken() -> None:
    stream = "apiVersion: v1\nkind: Pod\n---\nreplicas: 3\n---\n\n---\n- a list\n"
    assert parse_documents(stream) == [{"apiVersion": "v1", "kind": "Pod"}]


def test_values_come_from_the_charts_cases_and_the_docs(tmp_path: Path) -> None:
    (tmp_path / "charts/dreamhub/ci").mkdir(parents=True)
    (tmp_path / "charts/dreamhub/ci/external.yaml").write_text("a: 1\n")
    (tmp_path / "README.md").write_text("```yaml\n# values.yaml\nb: 2\n```\n\n```yaml\nkind: Pod\n```\n")
    assert list(read_values(tmp_path)) == [
        ("external.yaml", "a: 1\n"),
        ("README.md, YAML block 1", "# values.yaml\nb: 2\n"),
    ]


class FakeResult:
    def __init__(self, stdout: str) -> None:
        self.stdout = stdout


@pytest.mark.parametrize(
    ("answer", "problems"),
    [
        ({"resources": []}, []),
        ({"resources": [{"kind": "Pod", "name": "a", "msg": "bad"}]}, ["docs: Pod a: bad"]),
    ],
)
def test_each_problem_names_where_it_stands(
    monkeypatch: pytest.MonkeyPatch, answer: dict[str, Any], problems: list[str]
) -> None:
    monkeypatch.setattr(manifests, "run_tool", lambda *_, **__: FakeResult(json.dumps(answer)))
    assert check_sources({"docs": []}, Path("kubeconform"), Path("schemas")) == problems


def test_a_broken_kubeconform_is_a_problem_and_not_a_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifests, "run_tool", lambda *_, **__: FakeResult("panic"))
    assert check_sources({"docs": []}, Path("k"), Path("s")) == ["docs: kubeconform failed: panic"]
